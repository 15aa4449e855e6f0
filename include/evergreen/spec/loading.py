"""From a YAML file to a validated spec, or to a refusal that says where and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from include.evergreen.errors import SpecError
from include.evergreen.settings import PROJECT_ROOT
from include.evergreen.spec.acceptance import is_examples_file
from include.evergreen.spec.base import SpecFile
from include.evergreen.spec.document import Document, read_document
from include.evergreen.spec.locations import display_path
from include.evergreen.spec.messages import placed, refusal_sheet
from include.evergreen.spec.validating import validated

Spec = TypeVar("Spec", bound=SpecFile)
_MODEL_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


@dataclass(frozen=True)
class Refusal:
    """A spec file that was not taken, and why. `path` is as a person would write it."""

    path: str
    message: str


@dataclass(frozen=True)
class LoadedSpecs(Generic[Spec]):
    """The specs by model name, in the order of the names, and the files that were refused."""

    specs: dict[str, Spec] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()


def read_spec(path: Path, model: type[Spec]) -> Spec:
    """The file at `path` as a `model`, with the files it names beside it.

    Raises:
        SpecError: with every problem found, at most ten shown.
    """
    document = read_document(path, display_path(path, PROJECT_ROOT))
    spec = validate(document, model)
    problems = spec.read_beside(path.parent)
    if problems:
        raise SpecError(refusal_sheet(document.name, [placed(document, *p) for p in problems]))
    return spec


def validate(document: Document, model: type[Spec]) -> Spec:
    """Validate a document as `model`; SpecError where it breaks a rule."""
    nothing = f"{document.name} holds no spec: a mapping that starts with 'model:' does."
    return validated(document, model, nothing=nothing)


def read_specs(directory: Path, model: type[Spec], only: str | None) -> LoadedSpecs[Spec]:
    """Read every spec of a directory, or just that of `only`; a bad one is listed, not raised."""
    if only is None:
        return _read_all(directory, model)
    quick = directory / f"{only}.yaml"
    if _MODEL_NAME.match(only) and quick.exists():
        spec = _try_read(quick, model)
        if not isinstance(spec, Refusal) and _name(spec) == only:
            return LoadedSpecs({only: spec})
    everything = _read_all(directory, model)
    specs = {name: spec for name, spec in everything.specs.items() if name == only}
    return LoadedSpecs(specs, everything.refusals)


def _read_all(directory: Path, model: type[Spec]) -> LoadedSpecs[Spec]:
    found: dict[str, dict[str, Spec]] = {}
    refusals: list[Refusal] = []
    for path in _spec_files(directory):
        spec = _try_read(path, model)
        if isinstance(spec, Refusal):
            refusals.append(spec)
        else:
            found.setdefault(_name(spec), {})[display_path(path, PROJECT_ROOT)] = spec
    specs: dict[str, Spec] = {}
    for name, by_path in sorted(found.items()):
        if len(by_path) == 1:
            specs[name] = next(iter(by_path.values()))
            continue
        message = (
            f"The model name {name!r} is in {len(by_path)} specs: {', '.join(list(by_path)[:10])}. "
            "None of them is taken. Give each model a name of its own."
        )
        refusals += [Refusal(path, message) for path in by_path]
    return LoadedSpecs(specs, tuple(sorted(refusals, key=lambda refusal: refusal.path)))


def _spec_files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(
        path
        for path in directory.iterdir()
        if path.suffix in {".yaml", ".yml"}
        and not path.name.startswith(".")
        and not is_examples_file(path.name)
    )


def _try_read(path: Path, model: type[Spec]) -> Spec | Refusal:
    try:
        return read_spec(path, model)
    except SpecError as error:
        return Refusal(display_path(path, PROJECT_ROOT), str(error))


def _name(spec: SpecFile) -> str:
    return str(getattr(spec, "model", ""))
