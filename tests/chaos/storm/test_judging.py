"""The books of a storm see a ride that is lost, doubled or invented; its client a wrong answer."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.lake import Lake
from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.contracts import Deployment, RunningService
from include.evergreen.policy.releasing import SLACK
from tests.answering import served
from tests.chaos.storm import plan, quiet
from tests.chaos.storm.client import Client
from tests.chaos.storm.deliveries import Expected
from tests.chaos.storm.judging import _books, _given_up

MODEL = "rides"
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


@pytest.fixture
def resources(installation: evergreen_settings.Settings) -> SimpleNamespace:
    lake = Lake(installation)
    for table in ("rows", "labels"):
        frame = pl.DataFrame({"ride": ["r1", "r2"]})
        lake.append_rows(MODEL, table, [frame], transaction=table)
    return SimpleNamespace(model=MODEL, lake=lake, ledger=open_ledger(installation.ledger_url))


def books(resources: SimpleNamespace, rides: set[str], broken: int = 0) -> list[str]:
    return list(_books(resources, Expected(rides, {"r1", "r2"}, broken)))


def test_what_landed_and_nothing_else_is_sound(resources: SimpleNamespace) -> None:
    assert books(resources, {"r1", "r2"}) == []


def test_a_lost_ride_and_an_invented_one_are_seen(resources: SimpleNamespace) -> None:
    assert books(resources, {"r1", "r2", "r3"}) == ["1 rides are not in table 'rows': ['r3']"]
    assert books(resources, {"r1"}) == ["1 rides in table 'rows' never landed: ['r2']"]


def test_a_doubled_ride_is_seen(resources: SimpleNamespace) -> None:
    resources.lake.append_rows(MODEL, "rows", [pl.DataFrame({"ride": ["r2"]})], transaction="x")
    assert books(resources, {"r1", "r2"}) == ["1 rides are in table 'rows' more than once"]


def test_a_broken_row_that_is_nowhere_is_seen(resources: SimpleNamespace) -> None:
    assert books(resources, {"r1", "r2"}, broken=1) == [
        "0 rows are in quarantine, and 1 broken ones landed"
    ]


def test_a_version_that_was_given_up_is_seen_unless_another_came_first(
    resources: SimpleNamespace,
) -> None:
    ledger = resources.ledger
    for version, why in ((1, "overtaken by deployment 3"), (2, "failed: healthy")):
        number = ledger.begin_deployment(MODEL, version, "staging", f"s{version}", NOW)
        ledger.finish_deployment(number, "failed", why, (), NOW)
    assert list(_given_up(resources)) == ["v2 won, and was given up: failed: healthy"]


def asked(
    endpoint: str,
    runtime: str = "process",
    *,
    engine_is_down: bool = False,
    being_left: tuple[int, ...] = (),
) -> Client:
    service = RunningService("id", "name", runtime, endpoint, "digest", "")
    live = Deployment(MODEL, 2, "production", service, NOW.isoformat())
    replaced = [SimpleNamespace(version=version) for version in being_left]
    known = {"deployment": lambda *_: live, "deployments": lambda *_: replaced}
    resources = SimpleNamespace(model=MODEL, ledger=SimpleNamespace(**known))
    client = Client(resources, lambda _: [{}], lambda: engine_is_down)
    with client:
        time.sleep(0.3)
    return client


def test_a_release_whose_run_died_for_good_is_taken_up_and_ends_before_patience_does() -> None:
    looks_every_s = 10.0  # the watcher of the ledger
    assert SLACK.total_seconds() + looks_every_s + 4 * plan.LOOP_S < quiet.PATIENCE_S


def test_an_answer_of_the_live_version_counts() -> None:
    with served("2") as endpoint:
        score = asked(endpoint).score
    assert score.answered["2"] > 0
    assert score.lost == []


def test_an_answer_of_another_version_is_a_loss() -> None:
    with served("1") as endpoint:
        score = asked(endpoint).score
    assert not score.answered
    assert score.lost[0].endswith("v1 answered")


def test_an_answer_of_the_version_that_is_being_left_counts() -> None:
    with served("1") as endpoint:
        score = asked(endpoint, being_left=(1,)).score
    assert score.lost == []


def test_no_answer_is_a_loss_but_for_a_container_whose_engine_is_down(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    assert asked(nobody).score.lost
    assert asked(nobody, "docker").score.lost
    assert asked(nobody, "process", engine_is_down=True).score.lost
    score = asked(nobody, "docker", engine_is_down=True).score
    assert score.lost == []
    assert score.engine_down > 0
