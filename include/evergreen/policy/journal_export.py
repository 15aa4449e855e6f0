"""A journal as a file that is verified without ledger, MLflow or this project. Pure.

JSON lines: a head for each model, its anchors, its entries; at the end a seal, the SHA-256 of
all bytes before it. The seal finds what was damaged on the way. What was forged is found by the
digests, and by the anchors: a forger of the file forges those, too, so compare them with MLflow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from include.evergreen.contracts import JournalAnchor, JournalLink
from include.evergreen.policy.journal import GENESIS, Problem, Verified, canonical, verify

FORMAT = "evergreen-journal-1"
#: How a reader without this project verifies an entry.
_HOW = "digest = sha256(previous + document) in hex, of ASCII text; previous of entry 1: genesis"


T = TypeVar("T", JournalAnchor, JournalLink)


@dataclass
class Exported:
    """One model's journal, as a file has it."""

    model: str
    entries: list[JournalLink] = field(default_factory=list)
    anchors: list[JournalAnchor] = field(default_factory=list)

    def verified(self) -> Verified:
        return verify(self.model, self.entries, self.anchors)


def export(journals: Sequence[Exported]) -> str:
    """All journals in one text."""
    body = "".join(canonical(line) + "\n" for journal in journals for line in _lines(journal))
    return body + canonical({"seal": _seal(body)}) + "\n"


def parse(text: str) -> tuple[list[Exported], list[Problem]]:
    """The journals of an export, and what is wrong with the file itself.

    A line that cannot be read is a problem, and the others are read all the same.
    """
    journals: list[Exported] = []
    problems: list[Problem] = []
    *lines, last = text.split("\n")[:-1] or [""]
    for place, line in enumerate(lines, start=1):
        try:
            _take(json.loads(line), journals)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            problems.append(Problem(place, "damaged", f"line {place} cannot be read: {error!r}"))
    body = "".join(f"{line}\n" for line in lines)
    if text != body + canonical({"seal": _seal(body)}) + "\n":
        words = f"the seal on line {len(lines) + 1} is not that of the lines before it: the file "
        words += "was changed or cut off since it was written"
        problems.append(Problem(len(lines) + 1, "damaged", words if last else "the file is empty"))
    return journals, problems


def _lines(journal: Exported) -> Iterator[dict[str, Any]]:
    yield {"journal": journal.model, "format": FORMAT, "genesis": GENESIS, "how": _HOW}
    for anchor in journal.anchors:
        yield {"anchor": anchor.as_json()}
    for entry in journal.entries:
        yield {"entry": entry.as_json()}


def _take(line: dict[str, Any], journals: list[Exported]) -> None:
    if "journal" in line:
        if line["format"] != FORMAT:
            raise ValueError(f"the format is {line['format']!r}, and {FORMAT!r} is known")
        journals.append(Exported(line["journal"]))
    elif "anchor" in line:
        journals[-1].anchors.append(_typed(JournalAnchor.from_json(line["anchor"])))
    else:
        journals[-1].entries.append(_typed(JournalLink.from_json(line["entry"])))


def _typed(found: T) -> T:
    """The same, if what is hashed and compared is of the type it must be."""
    texts = [found.digest]
    if isinstance(found, JournalLink):
        texts += [found.previous, found.document, found.event]
    if type(found.number) is not int or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"entry {found.number!r} has a field of another type than text")
    return found


def _seal(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
