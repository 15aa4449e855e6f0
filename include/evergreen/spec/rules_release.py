"""The rules between the fields that say how a version gets into production."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from include.evergreen.spec.problems import Problem

if TYPE_CHECKING:
    from include.evergreen.spec.model import ModelSpec


def release(spec: ModelSpec) -> Iterator[Problem]:
    """Steps that ascend and end, and deadlines that leave time for what they end."""
    canary = spec.deployment.canary
    if any(low >= high for low, high in itertools.pairwise(canary.steps)):
        yield Problem(
            ("deployment", "canary", "steps"), "must ascend, each share above the one before"
        )
    for index, share in enumerate(canary.steps):
        if not 0 < share < 1:
            yield Problem(
                ("deployment", "canary", "steps", index),
                f"{share:g} is no part of the requests: above 0, below 1; all of them come after "
                "the last step",
            )
    least = canary.window_s * len(canary.steps)
    if canary.deadline_s < least:
        yield Problem(
            ("deployment", "canary", "deadline_s"),
            f"{canary.deadline_s:g} s end before {len(canary.steps)} steps of "
            f"{canary.window_s:g} s could",
        )
    yield from _log(spec)
    users = spec.deployment.approval_rules.users
    for index, user in enumerate(users):
        if not user.strip():
            yield Problem(("deployment", "approval_rules", "users", index), "is nobody's name")
        elif user in users[:index]:
            yield Problem(
                ("deployment", "approval_rules", "users", index), f"{user[:80]!r} stands twice"
            )


def _log(spec: ModelSpec) -> Iterator[Problem]:
    """Shadow and a/b go by the prediction log: it must have what they compare."""
    deployment, data = spec.deployment, spec.data
    if deployment.strategy not in {"shadow", "ab"}:
        return
    where = ("deployment", "strategy")
    if deployment.prediction_log.share == 0:
        yield Problem(where, "goes by the prediction log, and prediction_log.share is 0")
    private = deployment.prediction_log.private
    if deployment.strategy == "shadow":
        hidden = [name for name in spec.feature_columns if name in private]
        if hidden:
            yield Problem(
                where,
                f"asks again what is in the prediction log, and {', '.join(hidden[:10])} is not "
                "kept there as it came",
            )
    elif data.key is None:
        yield Problem(where, "joins answers and labels by data.key, which is not set")
    elif data.key in private:
        yield Problem(
            where, f"joins answers and labels by {data.key!r}, which the prediction log hides"
        )
