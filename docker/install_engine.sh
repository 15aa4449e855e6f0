#!/usr/bin/env bash
# Makes sure a container engine answers on this Debian machine, for CI and for machines that have
# none: installs docker.io from Debian's packages and starts dockerd. Does nothing if an engine
# answers already. Needs root.
#
#   EVERGREEN_ENGINE_PID_FILE   where the pid of a dockerd started here is written, so that whoever
#                               called can end it again; not written when systemd starts it
set -euo pipefail

log="${TMPDIR:-/tmp}/evergreen-dockerd.log"
wait_s=60

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

if command -v docker >/dev/null && answers; then
  echo "A container engine answers: $(docker version --format '{{.Server.Version}}')."
  exit 0
fi
[ "$(id -u)" = 0 ] || fail "No container engine answers, and installing one needs root."

missing=()
command -v dockerd >/dev/null || missing+=(docker.io)
command -v iptables >/dev/null || missing+=(iptables)
if [ "${#missing[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null || fail "There is no apt-get: install a container engine by hand."
  echo "Installing ${missing[*]} …"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if ! command -v docker >/dev/null; then # newer Debian has the command in a package of its own
  apt-get install -y -qq --no-install-recommends docker-cli >/dev/null
fi
answers && exit 0

if [ -d /run/systemd/system ]; then
  systemctl start docker
else
  rm -f /var/run/docker.pid
  setsid dockerd >"$log" 2>&1 </dev/null &
  [ -z "${EVERGREEN_ENGINE_PID_FILE:-}" ] || echo "$!" >"$EVERGREEN_ENGINE_PID_FILE"
fi
for _ in $(seq "$wait_s"); do
  if answers; then
    echo "Started a container engine: $(docker version --format '{{.Server.Version}}')."
    exit 0
  fi
  sleep 1
done
[ ! -r "$log" ] || tail -n 20 "$log" >&2
fail "dockerd did not answer within $wait_s s (its last lines are above)."
