"""The model spec: one YAML file that says all about a model, and the only code that reads it.

`ModelSpec` is frozen; a spec that breaks a rule is refused with the file, the line, what was
seen and what is allowed (`SpecError`). Digests cover what changes a training: `data`, `features`,
`training` and `gates`, never a description or a monitoring window.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, model_validator

from include.evergreen.contracts import Task
from include.evergreen.settings import Settings
from include.evergreen.spec.acceptance import AcceptanceExamples, read_examples
from include.evergreen.spec.base import Name, SpecFile
from include.evergreen.spec.gates import Gates
from include.evergreen.spec.loading import LoadedSpecs, read_spec, read_specs
from include.evergreen.spec.locations import resolve_location
from include.evergreen.spec.problems import Problem, RuleBroken
from include.evergreen.spec.rules import broken_rules
from include.evergreen.spec.sections import (
    Column,
    Data,
    Deployment,
    Features,
    Monitoring,
    Retrain,
    Training,
)


class ModelSpec(SpecFile):
    """One model, whole. See `docs/spec.schema.json` for the schema editors complete from."""

    model: Name = Field(description="The model's name: small letters, digits and underscores.")
    description: str = Field(default="", max_length=2000)
    owner: str = Field(default="evergreen", max_length=100)
    task: Task
    data: Data
    features: Features = Features()
    training: Training
    gates: Gates = Gates()
    retrain: Retrain = Retrain()
    deployment: Deployment = Deployment()
    monitoring: Monitoring = Monitoring()
    _examples: AcceptanceExamples | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        problems = broken_rules(self)
        if problems:
            raise RuleBroken(problems)
        return self

    def read_beside(self, directory: Path) -> list[Problem]:
        """Take in the acceptance examples that `deployment.acceptance` names."""
        name = self.deployment.acceptance
        if name is None:
            return []
        found = read_examples(self, directory, name)
        if isinstance(found, str):
            return [Problem(("deployment", "acceptance"), f"{name!r}: {found}")]
        self._examples = found
        return []

    @property
    def acceptance(self) -> AcceptanceExamples | None:
        """The acceptance examples; None where none are named, or the spec was read from no file."""
        return self._examples

    @property
    def feature_columns(self) -> dict[str, Column]:
        """The raw columns a model may learn from: neither target, key nor any timestamp."""
        apart = {self.data.target, self.data.key, self.data.time}
        return {
            name: column
            for name, column in self.data.columns.items()
            if name not in apart and column.type != "timestamp"
        }

    def training_digest(self) -> str:
        """Sha256 (hex) over what changes a training: task, data, features, training and gates.

        Not when files are looked for: a watcher that looks more often trains nothing.
        """
        document = self.model_dump(mode="json", include=_TRAINING_SECTIONS)
        for field in ("schedule", "poll_s"):
            document["data"].pop(field)
        for field in _SETTLING:
            document["data"]["limits"].pop(field)
        return _digest(document)

    def contract_digest(self) -> str:
        """Sha256 (hex) over what decides which rows of a file are taken, and as what."""
        document = self.data.model_dump(mode="json", include=_CONTRACT_FIELDS)
        document["labels_key"] = self.data.labels.key if self.data.labels else None
        for field in _SETTLING:
            document["limits"].pop(field)
        return _digest(document)

    def landing_uri(self, settings: Settings) -> str:
        """Where rows land: an absolute directory or `s3://bucket/prefix/`; else SpecError."""
        return resolve_location(self.data.landing, settings, f"{self.model}: data.landing")

    def labels_uri(self, settings: Settings) -> str | None:
        """Where late labels land; None where the spec names no such place."""
        if self.data.labels is None:
            return None
        return resolve_location(
            self.data.labels.landing, settings, f"{self.model}: data.labels.landing"
        )


_TRAINING_SECTIONS = {"task", "data", "features", "training", "gates"}
_SETTLING = ("settle_s", "settle_timeout_s")
_CONTRACT_FIELDS = {"columns", "time", "time_zone", "key", "target", "format", "limits"}


def _digest(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def load_spec(path: Path) -> ModelSpec:
    """The spec in a YAML file; SpecError names the file, the line, what was seen and is allowed."""
    return read_spec(Path(path), ModelSpec)


def load_specs(directory: Path, only: str | None = None) -> LoadedSpecs[ModelSpec]:
    """All specs of a directory, and the refused ones with their reasons; one never stops another.

    Args:
        directory: holds one `*.yaml` or `*.yml` a model; the file's name is free.
        only: the one model wanted. Just `<only>.yaml` is read if it holds the model of this name
            (two specs with one model name go unnoticed then), else all files are searched.
    """
    return read_specs(Path(directory), ModelSpec, only)
