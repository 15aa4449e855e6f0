"""Every asset of Evergreen, named in one place, so that no two files disagree about a name.

An asset only wakes a DAG; what there is to do is read from the ledger (ADR 2). Names carry no
scheme: `Asset("name")` costs nothing to parse, a URI loads provider code.
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from include.evergreen.request_trigger import RequestTrigger
from include.evergreen.spec import ModelSpec
from include.evergreen.triggers import LandingTrigger


def file_landed(spec: ModelSpec) -> Asset:
    """Fires when the model's landing zone holds a settled file that ingest has not acknowledged."""
    trigger = LandingTrigger(model=spec.model, poll_s=spec.data.poll_s)
    watcher = AssetWatcher(name=f"{spec.model}.landing", trigger=trigger)
    return Asset(f"{spec.model}.file_landed", watchers=[watcher])


def data_ingested(model: str) -> Asset:
    """Rows were appended to the model's lake table."""
    return Asset(f"{model}.data_ingested")


def retrain_requested(model: str) -> Asset:
    """The ledger holds a request that the retraining policy may grant."""
    return Asset(f"{model}.retrain_requested")


def request_waiting(model: str) -> Asset:
    """Fires when a request waits in the ledger and no other event will wake train for it."""
    watcher = AssetWatcher(name=f"{model}.requests", trigger=RequestTrigger(model=model))
    return Asset(f"{model}.request_waiting", watchers=[watcher])


def candidate_registered(model: str) -> Asset:
    """A challenger won and stands in the registry."""
    return Asset(f"{model}.candidate_registered")


def staged(model: str) -> Asset:
    """A version proved itself in staging and answers there."""
    return Asset(f"{model}.staged")


def release_waiting(model: str) -> Asset:
    """Fires when a staged version, or a release that was begun, waits and no other event will wake
    release for it.
    """
    trigger = RequestTrigger(model=model, stage="release")
    watcher = AssetWatcher(name=f"{model}.releases", trigger=trigger)
    return Asset(f"{model}.release_waiting", watchers=[watcher])


def released(model: str) -> Asset:
    """A version is the champion: it answers in production and kept its service levels there."""
    return Asset(f"{model}.released")
