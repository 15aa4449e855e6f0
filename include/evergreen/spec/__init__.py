"""The model spec: what a model's YAML may say, and the only code that reads it. Light to import."""

from include.evergreen.spec.acceptance import AcceptanceCase, AcceptanceExamples, Expectation
from include.evergreen.spec.base import ColumnName, Name, Section
from include.evergreen.spec.gates import Behaviour, Fairness, Gates, Slice
from include.evergreen.spec.loading import LoadedSpecs, Refusal
from include.evergreen.spec.model import ModelSpec, load_spec, load_specs
from include.evergreen.spec.sections import (
    Bins,
    Budget,
    CalendarPart,
    Column,
    Data,
    Deployment,
    Features,
    FileLimits,
    Holdout,
    Labels,
    Monitoring,
    Ratio,
    Retrain,
    ServiceLevels,
    Training,
)

__all__ = [
    "AcceptanceCase",
    "AcceptanceExamples",
    "Behaviour",
    "Bins",
    "Budget",
    "CalendarPart",
    "Column",
    "ColumnName",
    "Data",
    "Deployment",
    "Expectation",
    "Fairness",
    "Features",
    "FileLimits",
    "Gates",
    "Holdout",
    "Labels",
    "LoadedSpecs",
    "ModelSpec",
    "Monitoring",
    "Name",
    "Ratio",
    "Refusal",
    "Retrain",
    "Section",
    "ServiceLevels",
    "Slice",
    "Training",
    "load_spec",
    "load_specs",
]
