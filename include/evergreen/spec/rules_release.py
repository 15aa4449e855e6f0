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
    users = spec.deployment.approval_rules.users
    for index, user in enumerate(users):
        if not user.strip():
            yield Problem(("deployment", "approval_rules", "users", index), "is nobody's name")
        elif user in users[:index]:
            yield Problem(
                ("deployment", "approval_rules", "users", index), f"{user[:80]!r} stands twice"
            )
