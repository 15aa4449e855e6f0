"""Each file and each row is taken in once, whatever dies, comes again or is mended."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import time
from collections.abc import Callable

import polars as pl
import pytest

from include.evergreen.adapters.lake import Append
from include.evergreen.adapters.ledger import Ledger
from include.evergreen.errors import FileStillGrowing
from include.evergreen.stages.ingest import ingest
from include.evergreen.stages.resources import Resources

from .conftest import LATER


@pytest.fixture
def good(make_row: Callable[..., str]) -> list[str]:
    return [make_row(f"g{index}") for index in range(20)]


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing catches it."""


def die_at(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, after: bool) -> None:
    step = getattr(owner, name)

    def dying(*arguments, **named):
        if after:
            step(*arguments, **named)
        raise Killed

    monkeypatch.setattr(owner, name, dying)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Ledger, "claim_file"),
        (Append, "commit"),
        (Ledger, "request_retrain"),
        (Ledger, "finish_file"),
        (Ledger, "acknowledge_landed"),
    ],
)
def test_a_run_killed_anywhere_is_finished_by_the_next(
    zone, good, make_row, monkeypatch, owner, name, after
):
    zone.land("a.csv", [*good, make_row("bad", size="-1")])
    with monkeypatch.context() as patch:
        die_at(patch, owner, name, after=after)
        with pytest.raises(Killed):
            zone.ingest()
    report = zone.ingest()
    assert zone.keys == [f"g{i}" for i in range(20)]
    assert zone.bad == [(21, "size", "min")]
    ledger = zone.resources.ledger
    assert ledger.rows_ingested("demo") == 20
    assert len(ledger.pending_requests("demo")) == 1
    taken = [outcome.rows_appended for outcome in report.files]
    assert taken in ([20], [0], []), "0: it was known, none: it was acknowledged as well"
    assert zone.ingest().files == ()


def test_two_runs_at_once_take_each_file_once(zone, good, make_row):
    for index in range(4):
        zone.land(f"{index}.csv", [make_row(f"{index}-{i}") for i in range(10)])
    files = ingest.discover_files(zone.resources, now=LATER)
    resources = zone.resources
    runs = [
        threading.Thread(
            target=ingest.ingest_files,
            args=(resources, files),
            kwargs={"owner": f"run{n}", "now": LATER},
        )
        for n in range(3)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    zone.ingest()
    assert len(zone.keys) == len(set(zone.keys)) == 40


def take(resources: Resources, owner: str, after_s: float) -> list[str]:
    now = LATER + dt.timedelta(seconds=after_s)
    files = ingest.discover_files(resources, now=now)
    report = ingest.ingest_files(resources, files, owner=owner, now=now)
    return [file.state for file in report.files]


def test_a_file_whose_run_was_given_up_is_taken_by_another_within_a_minute(zone, good, monkeypatch):
    zone.land("a.csv", good)
    resources = zone.resources
    with monkeypatch.context() as patch:
        die_at(patch, Append, "commit", after=False)
        with pytest.raises(Killed):
            take(resources, "the dead", 0)
    assert take(resources, "another", 55) == [], "it may still be at it"
    assert take(resources, "another", 65) == ["appended"]


def test_a_claim_lasts_as_long_as_the_work_does(zone, good, monkeypatch):
    zone.land("a.csv", good)
    resources = dataclasses.replace(zone.resources, lease_s=0.4)
    append, seen = Append.commit, []

    def slow(self):
        time.sleep(1.5)
        seen.extend(take(resources, "another", 1.5))
        return append(self)

    monkeypatch.setattr(Append, "commit", slow)
    assert take(resources, "first", 0) == ["appended"]
    assert seen == [], "nobody took it away"
    assert len(zone.keys) == 20


def test_a_mended_file_brings_only_the_rows_that_are_new(zone, good, make_row):
    zone.land("a.csv", [*good, make_row("late", size="-1")])
    zone.ingest()
    zone.land("a.csv", [*good, make_row("late", size="1")])
    assert zone.only().rows_appended == 1
    assert zone.keys == [*[f"g{i}" for i in range(20)], "late"]


def test_a_file_that_somebody_appends_to_brings_its_new_rows_each_time(zone, make_row):
    lines = [make_row(f"r{i}") for i in range(30)]
    for end in (10, 20, 30):
        zone.land("log.csv", lines[:end])
        assert zone.only().rows_appended == 10
    assert zone.keys == [f"r{i}" for i in range(30)]


def test_equal_rows_of_one_file_are_kept_as_often_as_they_stand_there(zone, make_row):
    zone.contract(limits={"max_duplicate_share": 1.0})
    zone.land("a.csv", [make_row("same")] * 3)
    zone.ingest()
    zone.land("a.csv", [make_row("same")] * 5)
    assert zone.only().rows_appended == 2
    assert zone.keys == ["same"] * 5


def test_equal_rows_of_two_files_are_two_rows(zone, good, make_row):
    zone.land("a.csv", good)
    zone.land("b.csv", [*good, make_row("new")])
    assert zone.ingest().rows_appended == 41


def test_the_same_file_under_a_new_contract_brings_what_passes_now(zone, good, make_row):
    zone.land("a.csv", [*good, make_row("big", size="150")])
    zone.ingest()
    zone.contract(columns={"size": {"max": 200}})
    zone.land("copy.csv", [*good, make_row("big", size="150")])
    assert zone.only().rows_appended == 1
    assert zone.keys.count("big") == 1
    assert len(zone.keys) == 21


def test_each_appended_file_asks_for_a_training_once(zone, good, make_row):
    zone.land("a.csv", good)
    zone.land("b.csv", [make_row("b")])
    zone.land("c.csv", "")
    zone.ingest()
    requests = zone.resources.ledger.pending_requests("demo")
    assert [request.details["rows"] for request in requests] == [20, 1]
    assert {request.reason for request in requests} == {"new_data"}
    assert zone.resources.ledger.rows_since("demo", 1) == 1


def test_files_come_in_the_order_in_which_they_were_written(zone, good, make_row):
    import os

    for when, name in ((300, "a"), (100, "c"), (200, "b")):
        os.utime(zone.land(f"{name}.csv", [make_row(name)]), (when, when))
    zone.ingest()
    assert zone.keys == ["c", "b", "a"]


def test_batches_are_the_versions_of_the_table(zone, good, make_row):
    zone.land("a.csv", good)
    first = zone.ingest().data_version
    zone.land("b.csv", [make_row("b")])
    report = zone.ingest()
    assert report.data_version > first
    newer = zone.table().filter(pl.col("_batch") > first)
    assert newer["k"].to_list() == ["b"]


def test_growing_files_are_waited_for_and_settled_ones_are_not_kept_waiting(zone, good):
    now = LATER.replace(year=2020)  # on this clock every file was changed just now
    zone.land("a.csv", good)
    waits: list[float] = []
    resources = zone.resources
    found = ingest.discover_files(resources, now=now, sleep=waits.append)
    assert [file.uri[-5:] for file in found] == ["a.csv"]
    assert waits == [2.0], "unchanged over settle_s is settled, whatever the clocks say"


def test_a_file_that_never_settles_is_reported_after_the_timeout(zone, good):
    zone.contract(limits={"settle_timeout_s": 10})
    zone.land("a.csv", good)
    written: list[str] = []

    def write_on(_seconds: float) -> None:
        written.append("x")
        zone.land("a.csv", good[: len(written) + 1])

    with pytest.raises(FileStillGrowing, match=r"1 files are still growing after 10 s.*\.part"):
        ingest.discover_files(zone.resources, now=LATER.replace(year=2020), sleep=write_on)
    assert len(written) == 5


def test_nothing_landed_is_nothing_to_do(zone):
    assert ingest.discover_files(zone.resources, now=LATER) == []
    report = ingest.ingest_files(zone.resources, [], owner="x", now=LATER)
    assert (report.files, report.rows_appended, report.data_version) == ((), 0, 0)


def test_training_is_woken_for_what_a_try_that_died_left_pending(zone, good):
    resources = zone.resources
    assert not ingest.has_news(resources, zone.ingest())
    zone.land("a.csv", good)
    files = ingest.discover_files(resources, now=LATER)
    ingest.ingest_files(resources, files, owner="run", now=LATER)
    again = ingest.ingest_files(resources, files, owner="run", now=LATER)
    assert again.rows_appended == 0
    assert ingest.has_news(resources, again)
    pending = resources.ledger.pending_requests("demo")
    resources.ledger.answer_requests([r.id for r in pending], None, "lost", "", LATER)
    assert not ingest.has_news(resources, again)
