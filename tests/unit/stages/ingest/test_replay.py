"""After the contract was mended, what was quarantined comes back in, each row once."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from include.evergreen.adapters.lake import Append


@pytest.fixture
def good(make_row: Callable[..., str]) -> list[str]:
    return [make_row(f"g{index}") for index in range(20)]


def status_of(zone) -> dict[tuple, str]:
    newest = zone.table("quarantine").unique(
        subset=["_file_digest", "_row_number"], keep="last", maintain_order=True
    )
    return {
        (uri.rpartition("/")[2], number): status
        for uri, number, status in newest.select(
            "_file_uri", "_row_number", "_status"
        ).iter_rows()
    }  # fmt: skip


def test_rows_that_pass_the_mended_contract_come_in_once(zone, good, make_row):
    bad = [make_row("big", size="150"), make_row("low", size="-5")]
    zone.land("a.csv", [*good, *bad])
    zone.ingest()
    zone.contract(columns={"size": {"max": 200}})
    report = zone.replay()
    assert (report.rows_appended, report.rows_quarantined) == (1, 1)
    row = zone.table().filter(pl.col("k") == "big").row(0, named=True)
    assert (row["size"], row["_row_number"]) == (150.0, 21)
    assert status_of(zone) == {("a.csv", 21): "taken_in", ("a.csv", 22): "open"}
    assert zone.replay().files == (), "under the same contract there is nothing to replay"
    assert zone.keys.count("big") == 1
    assert len(zone.resources.ledger.pending_requests("demo")) == 2

    zone.contract(columns={"size": {"min": -10}})
    assert zone.replay().rows_appended == 1
    assert sorted(zone.keys) == sorted([*[f"g{i}" for i in range(20)], "big", "low"])
    assert set(status_of(zone).values()) == {"taken_in"}


def test_a_contract_that_goes_back_takes_nothing_twice(zone, good, make_row):
    zone.land("a.csv", [*good, make_row("big", size="150")])
    zone.ingest()
    for most in (200, 100, 200, 300):
        zone.contract(columns={"size": {"max": most}})
        zone.replay()
    assert zone.keys.count("big") == 1


def test_a_stopped_file_comes_in_whole_when_the_share_is_raised(zone, good, make_row):
    zone.land("a.csv", [*good[:7], *[make_row(f"b{i}", size="-1") for i in range(3)]])
    assert zone.only().state == "stopped"
    zone.contract(limits={"max_quarantined_share": 0.5})
    report = zone.replay()
    assert [outcome.state for outcome in report.files] == ["appended"]
    assert zone.keys == [f"g{i}" for i in range(7)]
    assert status_of(zone) == {
        ("a.csv", None): "taken_in",
        **{("a.csv", n): "open" for n in (8, 9, 10)},
    }
    zone.contract(columns={"size": {"min": -10}})
    assert zone.replay().rows_appended == 3
    assert len(zone.keys) == 10
    assert zone.replay().files == ()


def test_rows_of_a_stopped_file_that_are_good_now_are_not_taken_twice(zone, good, make_row):
    zone.land("a.csv", [*good[:7], *[make_row(f"b{i}", size="-1") for i in range(3)]])
    zone.ingest()
    zone.contract(columns={"size": {"min": -10}})
    assert zone.replay().rows_appended == 10
    assert set(status_of(zone).values()) == {"taken_in"}
    zone.contract(columns={"size": {"min": -20}})
    assert zone.replay().rows_appended == 0
    assert len(zone.keys) == 10


def test_a_file_refused_as_a_whole_is_read_again_from_the_landing_zone(zone, good):
    zone.contract(limits={"max_rows": 10})
    zone.land("a.csv", good)
    assert zone.only().rule == "too_many_rows"
    assert zone.replay().files == ()
    zone.contract(limits={"max_rows": 100})
    assert zone.replay().rows_appended == 20
    assert status_of(zone) == {("a.csv", None): "taken_in"}


def test_a_file_that_is_gone_is_named_and_the_rest_is_replayed(zone, good, make_row, caplog):
    zone.land("gone.csv", "").unlink()
    zone.land("gone.csv", "")
    zone.land("a.csv", [*good, make_row("big", size="150")])
    zone.ingest()
    (zone.directory / "gone.csv").unlink()
    zone.contract(columns={"size": {"max": 200}})
    assert zone.replay().rows_appended == 1
    assert "gone.csv is not in the landing zone any more" in caplog.text


def test_rows_of_a_file_that_a_newer_one_replaced_stay_out(zone, good, make_row):
    zone.land("a.csv", [*good, make_row("late", size="150")])
    zone.ingest()
    zone.land("a.csv", [*good, make_row("late", size="50")])
    zone.ingest()
    zone.contract(columns={"size": {"max": 200}})
    assert zone.replay().rows_appended == 0
    assert zone.keys.count("late") == 1
    assert status_of(zone) == {("a.csv", 21): "superseded"}


def test_a_refused_file_mended_in_place_closes_its_record(zone, good):
    zone.land("a.csv", "")
    zone.ingest()
    zone.land("a.csv", good)
    zone.ingest()
    zone.contract(columns={"size": {"max": 200}})
    zone.replay()
    assert status_of(zone) == {("a.csv", None): "superseded"}
    assert len(zone.keys) == 20


def test_lines_that_are_no_rows_stay_open_with_their_first_reason(zone, good, make_row):
    zone.land("a.csv", [*good, "too,short", make_row("big", size="150")])
    zone.ingest()
    zone.contract(columns={"size": {"max": 200}})
    report = zone.replay()
    assert (report.rows_appended, report.rows_quarantined) == (1, 1)
    last = zone.table("quarantine").filter(pl.col("_row_number") == 21).row(-1, named=True)
    assert (last["_rule"], last["_row"], last["_status"]) == ("fields", "too,short", "open")
    assert last["_contract_digest"] == zone.resources.spec.contract_digest()


def test_a_replay_killed_between_its_commits_is_finished_by_the_next(
    zone, good, make_row, monkeypatch
):
    zone.land("a.csv", [*good, make_row("big", size="150")])
    zone.ingest()
    zone.contract(columns={"size": {"max": 200}})
    commit = Append.commit
    calls: list[int] = []

    def commit_one(append):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return commit(append)

    with monkeypatch.context() as patch:
        patch.setattr(Append, "commit", commit_one)
        with pytest.raises(KeyboardInterrupt):
            zone.replay()
    assert zone.keys.count("big") == 1
    zone.replay()
    assert zone.keys.count("big") == 1
    assert status_of(zone) == {("a.csv", 21): "taken_in"}
    assert zone.resources.ledger.rows_ingested("demo") == 21


def test_replaying_an_empty_quarantine_does_nothing(zone):
    assert zone.replay().files == ()
