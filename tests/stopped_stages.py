"""The stages of a training and a deployment, as functions that a process of its own can import.

Imported once by the server that such processes are forked from: MLflow alone takes seconds.
"""

from __future__ import annotations

import datetime as dt

from include.evergreen.contracts import BuiltImage, Fitted, Judgement, Snapshot, Verification
from include.evergreen.stages.deploy import promote, verify
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training import fit, judge, register


def fit_challenger(resources: Resources, snapshot: Snapshot) -> None:
    fit.fit_challenger(resources, snapshot)


def judge_challenger(resources: Resources, snapshot: Snapshot, fitted: Fitted) -> None:
    judge.judge_challenger(resources, snapshot, fitted)


def register_candidate(
    resources: Resources, snapshot: Snapshot, fitted: Fitted, word: Judgement
) -> None:
    register.register_candidate(resources, snapshot, fitted, word)


def start_and_verify(resources: Resources, image: BuiltImage) -> None:
    verify.start_and_verify(resources, image, now=dt.datetime.now(dt.UTC))


def promote_to_staging(resources: Resources, proven: Verification) -> None:
    promote.promote_to_staging(resources, proven, now=dt.datetime.now(dt.UTC))
