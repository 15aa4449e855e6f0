"""What the steps of a training share: its lease, its study, its folder, how it ends."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from include.evergreen.adapters.studies import Params, Study
from include.evergreen.contracts import Snapshot
from include.evergreen.effects import effect
from include.evergreen.errors import EvergreenError, LeaseLost
from include.evergreen.policy.metrics import KNOWN
from include.evergreen.stages.clock import Clock
from include.evergreen.stages.leases import holding
from include.evergreen.stages.resources import Resources


def greater_is_better(resources: Resources) -> bool:
    return KNOWN[resources.spec.training.metric].greater_is_better


def open_study(
    resources: Resources,
    snapshot: Snapshot,
    *,
    worker: int = 0,
    first: Callable[[], Sequence[Params]] = tuple,
) -> Study:
    """The study of a training, as one worker sees it."""
    return resources.studies.open(
        snapshot.key,
        greater_is_better=greater_is_better(resources),
        seed=resources.spec.training.seed + worker,
        first=first,
    )


def training_folder(resources: Resources, snapshot: Snapshot) -> Path:
    """This machine's own folder for a training; what it holds can be made or fetched again."""
    return resources.settings.work_dir / "trainings" / snapshot.model / snapshot.key


@effect
def forget_folder(resources: Resources, snapshot: Snapshot) -> None:
    """Free the disk: MLflow has what is to be kept."""
    shutil.rmtree(training_folder(resources, snapshot), ignore_errors=True)


@contextlib.contextmanager
def recording_failure(resources: Resources, snapshot: Snapshot, clock: Clock) -> Iterator[None]:
    """An error that no retry can help marks the training failed; its requests stay pending.

    To have lost a lease is no failure of the training: somebody else goes on with it.
    """
    try:
        yield
    except EvergreenError as error:
        if not (error.retryable or isinstance(error, LeaseLost)):
            resources.ledger.fail_training(snapshot.key, str(error), clock())
        raise


def training_subject(key: str) -> str:
    """What the lease on a training's steps after its trials is named by."""
    return f"training:{key}"


@contextlib.contextmanager
def training_step(resources: Resources, snapshot: Snapshot, clock: Clock) -> Iterator[None]:
    """A step of a training after its trials: one run at a time, its failure on record."""
    with (
        holding(resources, training_subject(snapshot.key), clock=clock),
        recording_failure(resources, snapshot, clock),
    ):
        yield
