#!/usr/bin/env bash
# debian_image.sh TAG PACKAGES COMMAND: makes sure the engine has TAG, a minimal Debian 12 with the
# packages (comma-separated) that runs COMMAND, made with debootstrap, for machines that can pull no
# image. Does nothing if it is there already, made by this very recipe. Needs root (debootstrap makes
# a root file system) and a running engine.
#
#   EVERGREEN_DEBIAN_MIRROR   the mirror to take packages from; default: the one this machine's apt
#                             uses for bookworm, else http://deb.debian.org/debian
#
# Proxy and CA settings of the environment are honoured while building; neither they nor the
# mirror's name are written into the image.
set -euo pipefail

[ "$#" = 3 ] || {
  echo "usage: debian_image.sh TAG PACKAGES COMMAND" >&2
  exit 2
}
tag="$1" packages="$2" command="$3"
suite="bookworm"
recipe="$({ cat "${BASH_SOURCE[0]}"; echo "$packages $command"; } | sha256sum | cut -d' ' -f1)"

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

command -v docker >/dev/null || fail "There is no docker command: install docker.io first."
docker version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
  fail "No container engine answers: start dockerd, or set DOCKER_HOST."

made_by="$(docker image inspect "$tag" \
  --format '{{index .Config.Labels "evergreen.recipe"}}' 2>/dev/null || true)"
if [ "$made_by" = "$recipe" ]; then
  echo "$tag is there already."
  exit 0
fi

[ "$(id -u)" = 0 ] ||
  fail "debootstrap makes a root file system and needs root: run it with sudo, or name an image that this engine has (docker/base/README.md)."
command -v debootstrap >/dev/null ||
  fail "There is no debootstrap: apt-get install debootstrap."

# The mirror that this machine's own apt uses for the suite: deb822 files and one-line files.
apt_mirror() {
  local file
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -r "$file" ] || continue
    awk -v suite="$suite" '
      /^URIs:/ { uri = $2 }
      /^Suites:/ { for (i = 2; i <= NF; i++) if ($i == suite) found = 1 }
      /^$/ { if (found && uri) { print uri; exit }; uri = ""; found = 0 }
      END { if (found && uri) print uri }' "$file"
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -r "$file" ] || continue
    awk -v suite="$suite" '
      $1 == "deb" { sub(/\[[^]]*\] */, ""); if ($3 == suite) print $2 }' "$file"
  done
}

mirror="${EVERGREEN_DEBIAN_MIRROR:-$(apt_mirror | head -n 1)}"
mirror="${mirror:-http://deb.debian.org/debian}"
trust=()
case "$mirror" in
  https://*) [ -r "${SSL_CERT_FILE:-}" ] && trust=(--ca-certificate="$SSL_CERT_FILE") ;;
esac

root="$(mktemp -d "${TMPDIR:-/tmp}/evergreen-base.XXXXXX")"
trap 'rm -rf --one-file-system "$root"' EXIT

echo "Making $tag with debootstrap; this takes about half a minute."
debootstrap --variant=minbase --include="$packages" \
  ${trust[@]+"${trust[@]}"} "$suite" "$root" "$mirror" >"$root.log" 2>&1 || {
  tail -n 20 "$root.log" >&2
  rm -f "$root.log"
  fail "debootstrap failed (its last lines are above): check the mirror, or set EVERGREEN_DEBIAN_MIRROR."
}
rm -f "$root.log"

# What belongs to this machine, and what a container does not need.
rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
  "$root"/var/log/* "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* \
  "$root"/etc/apt/sources.list.d/*
: >"$root/etc/resolv.conf"
: >"$root/etc/hostname"
printf 'deb http://deb.debian.org/debian %s main\n' "$suite" >"$root/etc/apt/sources.list"

tar --numeric-owner -C "$root" -c . | docker import \
  --change "LABEL evergreen.recipe=$recipe" \
  --change "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8" \
  --change "CMD [\"$command\"]" \
  - "$tag" >/dev/null
echo "$tag is ready: $(docker image inspect "$tag" --format '{{.Size}}' | awk '{printf "%.0f MB", $1 / 1e6}')."
