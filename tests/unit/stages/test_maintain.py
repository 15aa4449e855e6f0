"""Exactly the litter goes, on real stores; what only looks like litter survives."""

import dataclasses
import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.errors import InputError, MaintenanceIncomplete, SettingsError
from include.evergreen.stages.maintain import maintain as stage
from include.evergreen.stages.maintain.folders import FoldersPart
from include.evergreen.stages.maintain.maintain import Outcome, maintain
from tests.unit.stages.littered import LATER, OPEN, World, make_world
from tests.unit.stages.watched import empty_mlflow, place_mlflow, spec


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    return empty_mlflow(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def world(tmp_path: Path, database: Path) -> Iterator[World]:
    home = tmp_path / "home"
    place_mlflow(database, home)
    nowhere = f"unix://{tmp_path}/no-engine.sock"
    environ = {"EVERGREEN_HOME": str(home), "EVERGREEN_DOCKER_URL": nowhere}
    made = make_world(evergreen_settings.load(environ), spec(), tmp_path)
    yield made
    for service in made.runtime.find():
        made.runtime.remove(service, grace_s=0.1)


def named(outcome: Outcome) -> set[tuple[str, str, str]]:
    return {(d.action, d.thing.kind, d.thing.name) for d in outcome.done}


def test_a_dry_run_names_all_litter_and_removes_nothing(world: World) -> None:
    first = maintain(world.house(), dry_run=True)
    assert named(first) == world.litter
    assert named(maintain(world.house(), dry_run=True)) == world.litter, "nothing was changed"
    (decision, *_) = world.resources.ledger.decisions("rides")
    assert (decision.stage, decision.verdict, decision.count) == ("maintain", "dry_run", 2)
    assert "5 removed" not in decision.reason
    assert "1 finished" not in decision.reason
    assert (
        "5 finished (1 deployment, 1 journal entry, 1 run, 1 trial, 1 version)" in decision.reason
    )


def test_exactly_the_litter_goes_and_a_second_run_finds_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert named(maintain(world.house(), dry_run=False)) == world.litter
    assert "left alone in this run: No container engine answers" in caplog.text
    assert "keep image" in caplog.text
    assert named(maintain(world.house(), dry_run=False)) == set()
    (decision, *_) = world.resources.ledger.decisions("rides")
    assert decision.reason == "nothing to remove or to finish"
    assert any("keep service" in line for line in decision.details["kept"])

    registry, runtime = world.resources.registry, world.runtime
    (live,) = runtime.find("rides")
    assert runtime.state(live) == "running", "what answers goes on answering"
    assert [v for v, image in world.images.items() if runtime.has(image)] == [2, 3, 4, 5]
    assert registry.aliases("rides")["somebodys_own"] in {
        v.version for v in registry.version_states("rides", look_at_bundles=False)
    }
    snapshots = world.resources.lake.snapshots("rides")
    assert {f"{v:064x}" for v in (2, 3, 4, 5)} | {OPEN, "e" * 64} <= set(snapshots)
    statuses = {run.training_key: run.status for run in registry.run_states("rides")}
    assert statuses[OPEN] == "RUNNING"
    training = world.resources.ledger.training("e" * 64)
    assert training is not None
    assert training.candidate is not None, "what register began is on record"
    study = world.resources.studies.existing(OPEN)
    assert study is not None
    assert study.running() == [1], "a trial on a ticket runs on"
    assert world.resources.ledger.unanchored("rides") == [], "what it recorded itself as well"
    numbers = {anchor.number for anchor in registry.journal_anchors("rides")}
    assert numbers == set(range(1, len(world.resources.ledger.journal("rides")) + 1))
    assert world.resources.lake.scan("rides", "rows").collect().height == 5
    assert (world.settings.spool_dir / "rides/v2-staging/unread.parquet").is_file()


def test_what_is_young_is_left_to_the_run_that_may_need_it(world: World) -> None:
    outcome = maintain(world.house(dt.datetime.now(dt.UTC)), dry_run=True)
    kinds = {kind for _, kind, _ in named(outcome)}
    assert kinds <= {"deployment", "table_files"}, "neither is a matter of age"


def test_one_failure_stops_no_other_and_is_named_at_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = FoldersPart.act

    def failing(part: FoldersPart, decided: object) -> None:
        if decided.thing.kind == "report":  # type: ignore[attr-defined]
            raise PermissionError("the disk says no")
        act(part, decided)  # type: ignore[arg-type]

    monkeypatch.setattr(FoldersPart, "act", failing)
    with pytest.raises(MaintenanceIncomplete) as caught:
        maintain(world.house(), dry_run=False)
    assert "1 could not be done, 28 were" in str(caught.value)
    assert "remove report 20260101T000000Z: PermissionError: the disk says no" in str(caught.value)
    (decision, *_) = world.resources.ledger.decisions("rides")
    assert decision.verdict == "incomplete"
    monkeypatch.undo()
    rest = maintain(world.house(), dry_run=False)
    assert named(rest) == {("remove", "report", "20260101T000000Z")}


def test_what_is_needed_since_it_was_decided_on_is_left_alone(world: World) -> None:
    run = stage._Run(world.house(), ["rides"])
    run.decide()
    world.resources.registry.set_alias("rides", "somebodys_own", 1)
    run.act()
    left = world.litter - named(run.outcome)
    assert ("remove", "image", world.images[1].reference) in left
    assert world.runtime.has(world.images[1])
    assert not run.outcome.failed


def test_what_somebody_works_on_is_left_to_them(world: World) -> None:
    ledger, now = world.resources.ledger, dt.datetime.now(dt.UTC)
    lease = ledger.take_lease("deployment:rides:staging", "a run of deploy", now, 600)
    outcome = maintain(world.house(), dry_run=False)
    left = {kind for _, kind, _ in world.litter - named(outcome)}
    assert left == {
        *("deployment", "service", "image", "spool", "report", "work", "table_files"),
        "journal_entry",
    }
    ledger.release_lease(lease, dt.datetime.now(dt.UTC))
    rest = world.litter - named(outcome)
    # What registered the unrecorded version has anchored the journal's whole end with it.
    anchored = {thing for thing in rest if thing[1] == "journal_entry"}
    assert named(maintain(world.house(), dry_run=False)) == rest - anchored


def test_beside_an_empty_ledger_nothing_that_serves_is_touched(world: World) -> None:
    before = [(service, world.runtime.state(service)) for service in world.runtime.find()]
    other = f"sqlite:///{world.settings.home}/other.db"
    empty = dataclasses.replace(world.settings, ledger_url=other)
    house = dataclasses.replace(world.house(), settings=empty)
    assert len(before) > 1
    with pytest.raises(SettingsError, match=r"there are \d services of ours.* Nothing was touched"):
        maintain(house, dry_run=False)
    assert [(s, world.runtime.state(s)) for s in world.runtime.find()] == before


def test_a_model_without_a_spec_may_be_worked_on_too(world: World) -> None:
    ledger, now = world.resources.ledger, dt.datetime.now(dt.UTC)
    lease = ledger.take_lease("deployment:rides:staging", "a run of deploy", now, 600)
    house = dataclasses.replace(world.house(), specs={})  # refused, or taken away, at this moment
    assert "service" not in {kind for _, kind, _ in named(maintain(house, dry_run=False))}
    ledger.release_lease(lease, dt.datetime.now(dt.UTC))
    assert "service" in {kind for _, kind, _ in named(maintain(house, dry_run=False))}


def test_what_was_done_is_on_record_although_the_run_was_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(part: FoldersPart, decided: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FoldersPart, "act", ended)
    with pytest.raises(KeyboardInterrupt):
        maintain(world.house(), dry_run=False)
    (decision, *_) = world.resources.ledger.decisions("rides")
    assert any(line.startswith("remove service") for line in decision.details["done"])
    assert not any("remove report" in line for line in decision.details["done"])


def test_only_the_model_asked_for_is_looked_after(world: World) -> None:
    with pytest.raises(InputError, match="There is no model 'ride'; known are rides"):
        maintain(world.house(), dry_run=True, model="ride")
    outcome = maintain(world.house(), dry_run=True, model="rides")
    assert {d.thing.model for d in outcome.done} == {"rides"}


def test_a_training_that_a_death_left_is_ended_once_nobody_can_mean_to_go_on(world: World) -> None:
    ledger, key = world.resources.ledger, "9" * 64
    world.training(key, LATER - dt.timedelta(days=90))
    maintain(world.house(), dry_run=False)
    ended = ledger.training(key)
    assert ended.state == "failed"
    assert "nobody goes on with it" in ended.why
    assert ledger.training(OPEN).state == "open", "what was lately worked on may be resumed"
    assert ledger.open_training(ended.snapshot, "a run with the same rows", LATER).state == "open"
