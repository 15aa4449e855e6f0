#!/usr/bin/env bash
# Makes sure the engine has evergreen/base:bookworm: a minimal Debian 12 with Python 3.11, what the
# serving images are built on where no image can be pulled (see debian_image.sh).
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/debian_image.sh" \
  evergreen/base:bookworm python3,python3-venv,ca-certificates python3
