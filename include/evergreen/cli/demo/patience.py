"""Waits for the loop to get somewhere, through crashes and restarts, and helps as a person would.

The ledger says what is true. Where everything is quiet and the fact is still not there (an event
was lost, a run failed because Airflow was killed), the DAG that would make it true is triggered
by hand, a few times at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from include.evergreen.cli.airflow_api import AirflowRefused
from include.evergreen.cli.demo.clock import Step, Steps
from include.evergreen.cli.loop.outcome import Facts
from include.evergreen.cli.loop.watch import STAGES, Watch
from include.evergreen.errors import EvergreenError, Unavailable

POLL_S = 0.5
QUIET_S = 12.0
NUDGES = 4
TIMEOUT_S = 900.0

Found = TypeVar("Found")


class DemoFailed(EvergreenError):
    """The loop did not get to where the demo waits for it; the message says what was seen."""


def wait_for(
    watch: Watch,
    steps: Steps,
    step: Step,
    look: Callable[[Facts], Found | None],
    *,
    nudge: str,
    version: int | None = None,
    landed: Mapping[str, str] | None = None,
    told: Callable[[], str] = str,
) -> Found:
    """The first answer of `look` that is not None. Meanwhile the step shows what is `told`, or
    the tasks that run where that is nothing. A `version` is what the nudge asks for by hand.

    Raises:
        DemoFailed: it did not come, even after the DAG `<model>.<nudge>` was triggered by hand.
    """
    deadline, nudges, quiet_since = time.monotonic() + TIMEOUT_S, 0, time.monotonic()
    failure = ""
    while time.monotonic() < deadline:
        facts = watch.facts(landed)
        found = look(facts)
        if found is not None:
            return found
        failure = facts.failure or facts.release_failure or failure
        steps.tell(step, told() or ", ".join(facts.running) or step.detail, facts.note)
        if facts.note or facts.active(*STAGES):
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > QUIET_S:
            if nudges == NUDGES:
                break
            nudges += 1
            quiet_since = time.monotonic()
            trigger(watch, nudge, version)
        time.sleep(POLL_S)
    raise DemoFailed(f"'{step.name}' did not come about. {failure or 'No run failed.'}")


def trigger(watch: Watch, stage: str, version: int | None = None) -> None:
    """Start a run by hand, as a person would in the UI; while Airflow is away: not this time."""
    try:
        conf = {} if version is None else {"version": version}
        watch.airflow().trigger(f"{watch.model}.{stage}", conf, note="make demo")
    except (Unavailable, AirflowRefused):
        return  # whoever waits looks again, and triggers again
