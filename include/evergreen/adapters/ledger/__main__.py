"""`python -m include.evergreen.adapters.ledger upgrade|check` for those who migrate by hand."""

from __future__ import annotations

import argparse
import sys

from include.evergreen import settings
from include.evergreen.adapters.ledger import Ledger
from include.evergreen.errors import EvergreenError


def main(arguments: list[str] | None = None) -> int:
    """Upgrade the ledger (0), or say whether it stands as the code wants it (0: yes, 1: no)."""
    parser = argparse.ArgumentParser(prog="ledger", description=__doc__)
    parser.add_argument("action", choices=("upgrade", "check"))
    parser.add_argument("--url", help="default: EVERGREEN_LEDGER_URL, or the one under the home")
    options = parser.parse_args(arguments)
    try:
        ledger = Ledger(options.url or settings.load().ledger_url)
        if options.action == "upgrade":
            ledger.migrate()
            sys.stdout.write(f"The ledger at {ledger.address} is at the newest revision.\n")
            return 0
        missing = ledger.schema_differences()
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for difference in missing:
        sys.stdout.write(f"{difference}\n")
    sys.stdout.write(f"{len(missing)} differences between {ledger.address} and the code.\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
