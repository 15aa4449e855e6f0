"""Only a version that was judged against what is in production now is staged by itself."""

import datetime as dt
import json
from types import SimpleNamespace

import pytest

from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.contracts import (
    Candidate,
    JournalAnchor,
    Judgement,
    RunningService,
    Snapshot,
    TrialBudget,
)
from include.evergreen.stages.deploy.build import _beat_the_champion

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SERVICE = RunningService("id", "name", "process", "http://127.0.0.1:1", "digest", "")


@pytest.fixture
def resources(tmp_path):
    registry = SimpleNamespace(
        anchor_journal=lambda _, number, digest, **__: JournalAnchor(number, digest, "a test")
    )
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    return SimpleNamespace(ledger=ledger, registry=registry, model="m", owner="m.deploy run-1")


def register(resources, version: int, against: int | None) -> Candidate:
    snapshot = Snapshot(
        "m", f"key{version}", 1, None, "r", "s", "c", {}, "", "", "",
        TrialBudget(1, 1, 1), (), "new_data",
    )  # fmt: skip
    ledger = resources.ledger
    ledger.open_training(snapshot, "run", NOW)
    ledger.record_judgement(snapshot.key, Judgement("won", "better", champion_version=against), NOW)
    candidate = Candidate("m", version, "run", snapshot.key, "manifest", refitted=True)
    ledger.record_candidate(candidate, NOW)
    return candidate


def go_live(resources, version: int) -> None:
    """In staging, and from there in production."""
    ledger = resources.ledger
    for environment in ("staging", "production"):
        name = f"v{version}-{environment}"
        deployment = ledger.begin_deployment("m", version, environment, name, NOW)
        ledger.record_service(deployment, SERVICE, NOW)
        ledger.finish_deployment(deployment, "live", "verified", (), NOW)


def test_a_first_version_and_one_that_beat_the_live_one_are_staged(resources) -> None:
    assert _beat_the_champion(resources, register(resources, 1, None), NOW)
    go_live(resources, 1)
    assert _beat_the_champion(resources, register(resources, 2, 1), NOW)


def test_one_that_was_never_compared_with_the_live_one_is_given_up(resources) -> None:
    register(resources, 1, None)
    hasty = register(resources, 2, None)
    go_live(resources, 1)
    assert not _beat_the_champion(resources, hasty, NOW)
    assert resources.ledger.candidates_undeployed("m") == [], "nothing wakes for it again"
    [refused] = resources.ledger.deployments("m", ["failed"])
    assert (
        refused.reason == "judged against no champion, and v1 is live now: they were never compared"
    )
    told = json.loads(resources.ledger.journal("m")[-1].document)
    assert (told["kind"], told["why"], told["run"]) == (
        "staging_failed",
        refused.reason,
        "m.deploy run-1",
    )
    assert resources.ledger.unanchored("m") == []
