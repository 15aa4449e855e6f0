"""Makes ready what serving needs the network for, so that no deployment waits for it.

`python -m include.evergreen.cli.serving_image` builds the serving image where an engine answers,
and says which runtime the models get. Doing it again is a matter of milliseconds.
"""

from __future__ import annotations

import logging
import sys

from include.evergreen import settings
from include.evergreen.adapters.runtime import open_runtime


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("include.evergreen").setLevel(logging.INFO)
    runtime = open_runtime("auto", settings.load())
    runtime.prepare()
    where = "containers" if runtime.name == "docker" else "plain local processes"
    print(f"Models will be served from {where}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
