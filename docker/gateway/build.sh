#!/usr/bin/env bash
# Makes sure the engine has evergreen/gateway:bookworm: a minimal Debian 12 with HAProxy, what the
# gateway runs from where no image can be pulled (see ../base/debian_image.sh).
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/../base/debian_image.sh" \
  evergreen/gateway:bookworm haproxy haproxy
