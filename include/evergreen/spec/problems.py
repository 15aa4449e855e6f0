"""What a broken rule is called and where it shows; and the guess at what a misspelt word means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from include.evergreen.spec.document import Location


class Problem(NamedTuple):
    """One broken rule: where it shows, and what was seen against what is allowed."""

    location: Location
    message: str


class RuleBroken(ValueError):
    """The problems of one spec, for the loader to place on their lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(
            "; ".join(f"{'.'.join(map(str, p.location))}: {p.message}" for p in problems)
        )
        self.problems = tuple(problems)


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that a misspelt one most likely means, or None."""
    from rapidfuzz import fuzz, process

    match = process.extractOne(word[:100].lower(), known, scorer=fuzz.ratio, score_cutoff=70)
    return str(match[0]) if match else None


def hint(word: str, known: Sequence[str]) -> str:
    guess = nearest(word, list(known))
    return f" Did you mean {guess!r}?" if guess else ""
