"""Shows why each version is where it is, newest last, and verifies that nobody changed the record.

`python -m include.evergreen.cli.journal [--model bike_demand] [--export FILE] [--logs FOLDER]`
reads ledger and MLflow (and the anchors in Airflow's logs below a folder); `--verify-export FILE`
reads nothing but the file. Ends with 0 where all is verified, 1 where anything is not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from include.evergreen import settings
from include.evergreen.errors import EvergreenError, InputError
from include.evergreen.policy.journal import Problem, Verified
from include.evergreen.policy.journal_export import Exported, export, parse
from include.evergreen.policy.journal_words import because, printable, standing, tell
from include.evergreen.stages.journal import collected
from include.evergreen.stages.stores import Stores

SHOWN = 10


class _Installation(Stores):
    def __init__(self, found: settings.Settings) -> None:
        self.settings = found


def lines_of(journal: Exported) -> tuple[list[str], bool]:
    """The journal in words, why production is as it is, what is verified or wrong, and whether
    all is well.
    """
    found = journal.verified()
    told = [*tell(journal.entries), *standing(journal.entries), *because(journal.entries)]
    told += problem_lines(found.problems) if found.problems else [summary(found)]
    if found.waiting:
        first, last = found.waiting[0], found.waiting[-1]
        which = f"Entry {first} is" if first == last else f"Entries {first} to {last} are"
        told.append(
            f"{which} not anchored yet: the next run of the model, or maintain, does it. Until "
            "then nothing outside of the ledger vouches for the newest of the journal."
        )
    return told, not found.problems


def summary(found: Verified) -> str:
    """`verified: 12 entries, 12 anchors`"""
    return f"verified: {_count(found.entries, 'entry', 'entries')}, " + _count(
        found.anchors, "anchor", "anchors"
    )


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """Every problem, the first one first; ten at most, and how many there are."""
    head = f"NOT VERIFIED: {_count(len(problems), 'problem', 'problems')}"
    lines = [printable(f"- {problem.kind}: {problem.words}") for problem in problems[:SHOWN]]
    more = [f"- and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return [head, *lines, *more]


def show(journals: Sequence[Exported]) -> bool:
    """Print every journal; whether all of them were verified."""
    sound = True
    for journal in journals:
        print(f"The journal of {printable(journal.model)}:")
        lines, verified = lines_of(journal)
        print("\n".join(lines))
        sound &= verified
    return sound


def verify_file(path: Path) -> int:
    """Verify an export by itself."""
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:
        print(f"{path} cannot be read: {error}", file=sys.stderr)
        return 1
    journals, problems = parse(text)
    sound = show(journals)
    if problems:
        print(f"The file {path} itself:")
        print("\n".join(problem_lines(problems)))
    return 0 if sound and journals and not problems else 1


def from_installation(model: str, to: Path | None, logs: Path | None) -> int:
    """Show and verify what is there; to a file as well where one is named."""
    stores = _Installation(settings.load())
    # Also of a model whose chain was deleted, anchors are looked for.
    known = sorted({*stores.ledger.journal_models(), *stores.ledger.models()})
    if model and model not in known:
        raise InputError(f"There is no model '{model}'; known are {', '.join(known) or 'none'}.")
    journals = [collected(stores, name, logs) for name in ([model] if model else known)]
    if not journals:
        print("No model has a journal yet.")
        return 1
    sound = show(journals)
    if to is not None:
        to.write_text(export(journals), encoding="utf-8")
        print(f"Exported to {to}: verify it with --verify-export {to}, on any machine.")
    return 0 if sound else 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="journal", description=__doc__)
    parser.add_argument("--model", default="", help="left out: all of them")
    parser.add_argument("--export", default="", metavar="FILE", help="write JSON lines there")
    parser.add_argument("--logs", default="", metavar="FOLDER", help="Airflow's logs of tasks")
    parser.add_argument("--verify-export", default="", metavar="FILE")
    options = parser.parse_args(arguments)
    if options.verify_export:
        return verify_file(Path(options.verify_export))
    to, logs = (Path(given) if given else None for given in (options.export, options.logs))
    try:
        return from_installation(options.model, to, logs)
    except EvergreenError as error:
        print(f"Not verified: {error}", file=sys.stderr)
        return 1


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


if __name__ == "__main__":
    sys.exit(main())
