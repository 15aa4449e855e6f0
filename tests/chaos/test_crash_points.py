"""A process may die at any failpoint: what Airflow does next finishes the work, once."""

from __future__ import annotations

import importlib
import json
import os
import random
import re
import time
from pathlib import Path

import pytest

from include.evergreen import effects
from include.evergreen.preload import our_modules
from tests.chaos.recording import Recording
from tests.chaos.sweep import Case, Verdict, cases, run_case
from tests.containers import test_crash_points as on_engine
from tests.containers import test_gateway, test_gateway_release

pytestmark = pytest.mark.filterwarnings("default")
#: How many deaths each half of the sample of `make test` has; `make chaos` tries all.
SAMPLE = 6
_AFTER_A_DEATH = "clears up what a death left: the tries after the sweep's deaths pass it"
_PERSON = "a person delivers a file; no task writes to a landing zone"


#: Effects of containers and their gateway; a test of tests/containers dies at each.
ONLY_ON_ENGINE = (
    "runtime.change_certificate",
    "runtime.create",
    "runtime.create_gateway",
    "runtime.create_network",
    "runtime.ensure_inside",
    "runtime.ensure_outside",
    "runtime.ensure_running",
    "runtime.gateway",
    "runtime.guard",
    "runtime.join_network",
    "runtime.open_place",
    "runtime.order",
    "runtime.reach",
    "runtime.remember_ports",
    "runtime.remove_network",
    "runtime.restart",
    "runtime.save",
    "runtime.save_certificate",
    "runtime.serving",
    "runtime.split",
    "runtime.start_again",
    "runtime.start_gateway",
    "runtime.take",
    "runtime.version",
    "runtime.withdraw",
    "runtime.write_config",
)
#: Effects that the recorded loop does not pass, and why.
NOT_IN_THE_LOOP = {
    "lake.discard": "an append that is given up after rows of it were written",
    "lake.remove_unneeded_files": _AFTER_A_DEATH,
    "lake.widen": "a contract that turns whole numbers into fractions",
    "landing.deliver": _PERSON,
    "landing.upload": _PERSON,
    "ledger.fail_training": "an error that no retry can help",
    "ledger.orphaned_trials": "no stage asks for it: the study itself knows its running trials",
    "ledger.postpone_landed": "a file that may not be read",
    "ledger.release_tickets": _AFTER_A_DEATH,
    "ledger.renew_file": "a file of more than fifteen seconds",
    "ledger.renew_lease": "a task of more than fifteen seconds",
    "ledger.renew_ticket": "a trial of more than fifteen seconds",
    "registry.end_run": _AFTER_A_DEATH,
    "registry.remove_logged_model": _AFTER_A_DEATH,
    "registry.remove_version": _AFTER_A_DEATH,
    "registry.take_away": "two that register one training in the same moment",
    **dict.fromkeys(ONLY_ON_ENGINE, "containers only: see `dies_on_engine`"),
    "runtime.discard": _AFTER_A_DEATH,
    "runtime.prepare": "`make setup` and the choice of a runtime; nothing to do for processes",
    "spool_moves.forget_empty": _AFTER_A_DEATH,
    "studies.fail": "a trial that fails",
    "studies.integer": "an estimator with whole-number parameters: `studies.real` is its like",
    "studies.prune": "a hopeless trial",
}
#: Passed by a loop on a busy machine.
TIMED = {"ledger.renew_file", "ledger.renew_lease", "ledger.renew_ticket"}


def dies_on_engine() -> set[str]:
    """The effects of a runtime at which a test of containers dies."""
    steps = (
        *(test_gateway.START_DIES_AT + test_gateway.DEAF_DIES_AT + test_gateway.NETWORKS_DIE_AT),
        *(test_gateway_release.SPLIT_DIES_AT + test_gateway_release.TLS_DIES_AT),
        *(test_gateway_release.RENEWAL_DIES_AT + test_gateway_release.OPENING_DIES_AT),
    )
    tasks = (*on_engine.DEPLOY, *on_engine.FIRST_STEP, *on_engine.ABORT, *on_engine.STEPS)
    of_gateway = {f"runtime.{step.partition(':')[0]}" for step in steps}
    return of_gateway | {point for _, points in tasks for point in points}


def seed() -> int:
    """What `CHAOS_SEED` says, else another one every time; it is shown where a case fails."""
    return int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))


def told(verdict: Verdict) -> str:
    lines = [
        f"{'held ' if not verdict.broken else 'BROKE'} {verdict.seconds:5.1f} s  {verdict.case}"
    ]
    return "\n".join([*lines, *(f"        {words}" for words in verdict.broken)])


def sweep(recording: Recording, chosen: list[Case], number: int, name: str) -> None:
    """Try every case, and fail with all that broke."""
    print(f"\nCHAOS_SEED={number}: {len(chosen)} deaths")
    verdicts = []
    for case in chosen:
        verdict = run_case(recording, case)
        verdicts.append(verdict)
        print(told(verdict), flush=True)
    broken = [verdict for verdict in verdicts if verdict.broken]
    report(verdicts, name)
    assert not broken, f"CHAOS_SEED={number} repeats it:\n" + "\n".join(map(told, broken))


def report(verdicts: list[Verdict], name: str) -> None:
    """Figures for docs/reliability.md, where `CHAOS_REPORT` names a file."""
    if not os.environ.get("CHAOS_REPORT"):
        return
    path = Path(os.environ["CHAOS_REPORT"])
    document = json.loads(path.read_text()) if path.exists() else {}
    document[name] = {
        "at": time.strftime("%Y-%m-%d"),
        "cases": len(verdicts),
        "broken": sum(bool(v.broken) for v in verdicts),
        "requests": sum(v.requests for v in verdicts),
        "seconds": [
            {
                "case": str(v.case),
                "seconds": round(v.seconds, 1),
                "healthy_s": round(v.healthy_s, 1),
            }
            for v in verdicts
        ],
    }
    path.write_text(json.dumps(document, indent=1))


def test_every_effect_is_in_the_loop_or_it_is_said_why_not(recording: Recording) -> None:
    for name in our_modules():
        importlib.import_module(name)
    ours = {
        point
        for point, places in effects.POINTS.items()
        if all(place.startswith("include.evergreen.") for place in places)
    }
    assert len(ours) > 100
    assert recording.passed <= ours
    assert ours - recording.passed <= set(NOT_IN_THE_LOOP), "new effects: record them, or say why"
    assert recording.passed & set(NOT_IN_THE_LOOP) <= TIMED, "the loop does pass these"


def test_at_every_effect_of_an_engine_alone_a_test_of_containers_dies() -> None:
    assert set(ONLY_ON_ENGINE) - dies_on_engine() == set()


@pytest.mark.parametrize("half", [0, 1])  # one for each worker
def test_a_sample_of_deaths_loses_nothing(recording: Recording, half: int) -> None:
    number = seed()
    everything = cases(recording, number)
    sample = random.Random(number).sample(everything[half::2], SAMPLE)
    sweep(recording, sorted(sample, key=everything.index), number, f"sample {half}")


@pytest.mark.chaos
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("half", [0, 1])
def test_every_death_loses_nothing(recording: Recording, half: int) -> None:
    """`CHAOS_ONLY` limits it to the deaths in whose name it is found: `v1/deploy`, or a pattern."""
    number, only = seed(), re.compile(os.environ.get("CHAOS_ONLY", ""))
    chosen = [case for case in cases(recording, number)[half::2] if only.search(str(case))]
    sweep(recording, chosen, number, f"deaths {half}")
