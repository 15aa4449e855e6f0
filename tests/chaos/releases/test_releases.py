"""Under load, whatever becomes of a new version: no request is lost, and the old one is back.

A seed says how a version is released, which fault befalls it, and when. Real stages, the real
gateway, real containers; six clients ask all the time. CHAOS_SEED is the first seed,
CHAOS_EPISODES how many there are. Each prints its seed and what came of it, and in the end there is
a table, also in the file that CHAOS_REPORT names:

    python -m pytest -n 0 -s -m chaos tests/chaos/releases

`lost`: no answer within 30 s. `5xx`: from the gateway or a service. `wrong`: another prediction
than that version's own. `refused by the challenger`: a 500, for its model answered NaN; a client
meets it in a share of the requests until the new version goes (ADR 16), or after a switch until the
watch has asked the golden rows. `old version back`: from the fault to the last answer that was not
the old version's, or took more than 2 s. On a machine with much else to do a good version may be
too slow: that is no failure, and the table has it among those that were rolled back.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.releases import episode, place, report
from tests.chaos.releases.episode import Outcome
from tests.chaos.releases.plan import ROUND, STRATEGIES, draw

pytestmark = pytest.mark.filterwarnings("default")
EPISODES = 400
#: So many episodes in one installation: its lake and its journal grow.
_IN_ONE_PLACE = 40


def first_seed() -> int:
    """What CHAOS_SEED says, else another one every time."""
    return int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))


def releases(
    chosen: Sequence[int], folder: Path, engine: Any, empty_registry: Path
) -> list[Outcome]:
    """Run episodes in one installation after the other; one that broke is left for a new one."""
    outcomes: list[Outcome] = []
    left, places = list(chosen), 0
    while left:
        places += 1
        with ExitStack() as stack:
            opened = stack.enter_context(
                place.opened(folder / f"place-{places}", engine, empty_registry)
            )
            for _ in range(min(_IN_ONE_PLACE, len(left))):
                outcomes.append(episode.run(opened, draw(left.pop(0))))
                print(f"\n{outcomes[-1].told()}", flush=True)
                if outcomes[-1].broken:
                    break
        report.write(outcomes)
    print("\n" + "\n".join(report.table(outcomes)), flush=True)
    return outcomes


def require_sound(outcomes: Sequence[Outcome]) -> None:
    broken = [outcome for outcome in outcomes if outcome.broken]
    assert not broken, "\n".join(outcome.told() for outcome in broken)


@pytest.mark.timeout(900)
def test_a_fault_in_a_release_of_each_strategy_loses_no_request(
    tmp_path: Path, engine: Any, empty_registry: Path
) -> None:
    first = first_seed() // len(STRATEGIES) * len(STRATEGIES)
    chosen = range(first, first + len(STRATEGIES))
    require_sound(releases(chosen, tmp_path, engine, empty_registry))


@pytest.mark.chaos
@pytest.mark.timeout(6 * 3600)
def test_four_hundred_releases_and_faults_lose_no_request(
    tmp_path: Path, engine: Any, empty_registry: Path
) -> None:
    number = int(os.environ.get("CHAOS_EPISODES") or EPISODES)
    first = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(0, 10**6, ROUND))
    require_sound(releases(range(first, first + number), tmp_path, engine, empty_registry))
