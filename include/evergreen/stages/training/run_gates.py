"""Runs every gate that the spec does not turn off, in the order in which they are told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import get_args

from include.evergreen.contracts import GateName, GateResult
from include.evergreen.policy.gates.finding import Finding, result_of, switched_off
from include.evergreen.stages.training.contest import Contest

log = logging.getLogger(__name__)

Gate = Callable[[Contest], Finding]
#: What measures each gate. Each module of `gates/` has one function of the gate's name.
GATES: Mapping[GateName, Gate] = {}


def run_gates(contest: Contest) -> tuple[GateResult, ...]:
    """One result a gate. An error in one is an error of the judging, never a pass."""
    results = []
    for name in get_args(GateName):
        mode = contest.spec.gates.mode(name)
        result = (
            switched_off(name) if mode == "off" else result_of(name, mode, GATES[name](contest))
        )
        log.info("Gate %s (%s): %s, %s", name, mode, result.verdict, result.seen)
        results.append(result)
    return tuple(results)
