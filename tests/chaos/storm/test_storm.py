"""Whatever goes wrong at once, and in whatever order: each row once, one version, always answered.

A seed says what lands and which faults strike; even seeds keep the ledger on SQLite, odd ones on
PostgreSQL. CHAOS_SEED is the first seed, CHAOS_EPISODES how many there are, CHAOS_HISTORY where the
histories are kept.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.storm import episode, judging, place, report
from tests.chaos.storm.episode import Outcome
from tests.chaos.storm.place import Database

pytestmark = pytest.mark.filterwarnings("default")
DATABASES: tuple[Database, ...] = ("sqlite", "postgresql")
EPISODES = 100
_OUTCOMES: list[Outcome] = []


def first_seed() -> int:
    """What `CHAOS_SEED` says, else another one every time; each episode prints its own."""
    return int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(0, 10**6, 2))


def seeds(database: Database, number: int) -> list[int]:
    """Those of the next `number` seeds that are this database's."""
    first = first_seed()
    chosen = [seed for seed in range(first, first + number) if DATABASES[seed % 2] == database]
    if not chosen:
        pytest.skip(f"CHAOS_SEED={first} and CHAOS_EPISODES={number} have no seed for {database}")
    return chosen


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    folder = os.environ.get("CHAOS_HISTORY")
    return Path(folder) if folder else tmp_path / "histories"


def storms(
    database: Database,
    chosen: Sequence[int],
    folder: Path,
    histories: Path,
    *,
    with_engine: bool = True,
) -> None:
    """Run episodes on one place; a place that broke is left, for a new one."""
    outcomes = list(_episodes(database, chosen, folder, histories, with_engine))
    _OUTCOMES.extend(outcomes)
    report.write(_OUTCOMES)
    broken = [outcome for outcome in outcomes if outcome.broken]
    assert not broken, f"Histories are in {histories}.\n" + "\n".join(o.told() for o in broken)


def _episodes(
    database: Database,
    chosen: Sequence[int],
    folder: Path,
    histories: Path,
    with_engine: bool,
) -> Iterator[Outcome]:
    left = list(chosen)
    places = 0
    while left:
        places += 1
        with ExitStack() as stack:
            opened = stack.enter_context(
                place.opened(folder / f"place-{places}", database, with_engine=with_engine)
            )
            broken = False
            while left and not broken:
                outcome = episode.run(opened, left.pop(0), histories)
                if not outcome.broken and not left:
                    outcome.broken += judging.broken_after_upkeep(opened)
                print(f"\n{outcome.told()}", flush=True)
                broken = bool(outcome.broken)
                yield outcome


@pytest.mark.timeout(1200)
def test_a_short_storm_loses_nothing(tmp_path: Path, histories: Path) -> None:
    """One storm, on either database: which one is the seed's, as all else is."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    storms(DATABASES[seed % 2], [seed], tmp_path, histories, with_engine=False)


@pytest.mark.chaos
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("database", DATABASES)
def test_a_hundred_storms_lose_nothing(database: Database, tmp_path: Path, histories: Path) -> None:
    number = int(os.environ.get("CHAOS_EPISODES") or EPISODES)
    storms(database, seeds(database, number), tmp_path, histories)
