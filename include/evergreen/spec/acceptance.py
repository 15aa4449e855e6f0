"""Acceptance examples: a file of cases beside the spec, with the outcomes the domain expects.

The file is read with the spec and as strictly: closed, its problems placed on their lines, and
every case kept to the contract. What it says trains nothing: its digest is no part of the model's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import Field, PrivateAttr

from include.evergreen.errors import SpecError
from include.evergreen.settings import PROJECT_ROOT
from include.evergreen.spec.acceptance_rules import MAX_CASES, broken_case_rules
from include.evergreen.spec.base import ColumnName, Section
from include.evergreen.spec.document import Document, read_document
from include.evergreen.spec.gates import CellValue
from include.evergreen.spec.locations import display_path
from include.evergreen.spec.messages import placed, refusal_sheet
from include.evergreen.spec.validating import validated

if TYPE_CHECKING:
    from include.evergreen.spec.model import ModelSpec

#: How the name of such a file ends: a directory of specs holds them, and none is taken for a spec.
SUFFIXES = (".acceptance.yaml", ".acceptance.yml")


class Expectation(Section):
    """What the answer must be; of several expectations each must hold."""

    between: tuple[float, float] | None = Field(
        default=None, description="Least and largest prediction, both included (regression)."
    )
    value: float | None = Field(default=None, description="The prediction, within `tolerance`.")
    tolerance: float | None = Field(default=None, ge=0, description="In the target's own unit.")
    label: CellValue | None = Field(default=None, description="The class (classification).")
    probability: dict[str, tuple[float, float]] = Field(
        default={}, description="Least and largest probability of a class, both included."
    )
    above: str | None = Field(
        default=None, description="The case whose prediction must be lower (regression)."
    )
    below: str | None = Field(
        default=None, description="The case whose prediction must be higher (regression)."
    )


class AcceptanceCase(Section):
    """A row as a client would send it, and what its people expect of the model."""

    name: str = Field(min_length=1, max_length=120)
    given: dict[ColumnName, Any]
    expect: Expectation


class AcceptanceExamples(Section):
    """The cases of one file; `file` and `digest` (sha256 of its bytes, hex) say which."""

    cases: tuple[AcceptanceCase, ...] = Field(
        min_length=1, description=f"1 to {MAX_CASES:,} cases."
    )
    _file: str = PrivateAttr(default="")
    _digest: str = PrivateAttr(default="")

    @property
    def file(self) -> str:
        return self._file

    @property
    def digest(self) -> str:
        return self._digest


def is_examples_file(name: str) -> bool:
    """Whether a file of that name holds examples, and no spec."""
    return name.endswith(SUFFIXES)


def name_problem(name: str) -> str | None:
    """What is wrong with the name of a file of examples wherever the spec lies; None: nothing."""
    path = PurePosixPath(name)
    if any(ord(character) < ord(" ") for character in name) or "\\" in name:
        return "holds a control character or a backslash"
    if path.is_absolute() or ".." in path.parts:
        return "must lie beside the spec or below it: a relative path without '..'"
    if not is_examples_file(path.name) or path.name in SUFFIXES:
        return f"must end in {' or '.join(SUFFIXES)}, as in bike_demand{SUFFIXES[0]}"
    return None


def read_examples(spec: ModelSpec, directory: Path, name: str) -> AcceptanceExamples | str:
    """The examples in `name`, relative to the spec's directory; or why there is no such file.

    Raises:
        SpecError: the file is there and breaks a rule; every problem with its line.
    """
    path = directory / name
    problem = name_problem(name) or _place_problem(directory, path)
    if problem:
        return problem
    document = read_document(path, display_path(path, PROJECT_ROOT))
    examples = _validated(document)
    problems = list(broken_case_rules(examples, spec))
    if problems:
        raise SpecError(refusal_sheet(document.name, [placed(document, *p) for p in problems]))
    examples._file, examples._digest = name, document.digest  # noqa: SLF001 - not in the file
    return examples


def _place_problem(directory: Path, path: Path) -> str | None:
    if not path.resolve().is_relative_to(directory.resolve()):
        return f"is a link out of the spec's directory, to {path.resolve()}"
    if not path.is_file():
        return f"there is no such file in {display_path(directory, PROJECT_ROOT)}"
    return None


def _validated(document: Document) -> AcceptanceExamples:
    return validated(
        document,
        AcceptanceExamples,
        nothing=f"{document.name} holds no examples: a mapping that starts with 'cases:'.",
        free_keys=tuple(_places_of_columns(document.content)),
    )


def _places_of_columns(content: Any) -> Iterator[tuple[str | int, ...]]:
    cases = content.get("cases") if isinstance(content, dict) else None
    for index in range(len(cases) if isinstance(cases, list) else 0):
        yield ("cases", index, "given")
        yield ("cases", index, "expect", "probability")
