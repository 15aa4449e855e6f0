"""Starts and stops the embedded Airflow and MLflow: `make up`, `make down`, `make clean`.

`python -m include.evergreen.cli.stack up|down|status|clean`
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from include.evergreen import settings
from include.evergreen.errors import EvergreenError


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when done (status: when it is up), 1 when it could not be, with the reason on stderr."""
    options = _parser().parse_args(arguments)
    installation = settings.load()
    if options.command == "supervise":
        from include.evergreen.cli.stack.supervisor import supervise

        return supervise(installation.home)
    from include.evergreen.cli.stack import commands

    try:
        if options.command == "status":
            return 0 if commands.status(installation, print) else 1
        getattr(commands, options.command)(installation, print)
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. `make up` goes on from here, `make down` stops it all.\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start what does not run, wait until it answers")
    commands.add_parser("down", help="stop it, and the models it serves; all data stays")
    commands.add_parser("status", help="say what runs, and where")
    commands.add_parser("clean", help="down, then delete the home folder with all data")
    commands.add_parser("supervise", help="what up starts in the background")
    return parser


if __name__ == "__main__":
    sys.exit(main())
