"""The lake keeps its promises: once per transaction, one commit, versions that stay readable."""

from __future__ import annotations

import threading
from pathlib import Path

import polars as pl
import pytest

from include.evergreen import settings
from include.evergreen.adapters.lake import Lake, append
from include.evergreen.errors import NotInLake, SpecError


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(settings.load({"EVERGREEN_HOME": str(tmp_path)}))


def frame(*values: float) -> pl.DataFrame:
    return pl.DataFrame({"x": list(values)}, schema={"x": pl.Float64})


def values_of(lake: Lake, version: int | None = None) -> list:
    return lake.scan("m", "rows", version).sort("x").collect()["x"].to_list()


def test_all_frames_of_an_append_come_in_one_commit(lake: Lake):
    version = lake.append_rows("m", "rows", (frame(i) for i in range(5)), transaction="a")
    assert version == lake.version("m", "rows") == 1
    assert values_of(lake) == [0, 1, 2, 3, 4]


def test_the_same_transaction_appends_once(lake: Lake):
    first = lake.append_rows("m", "rows", [frame(1)], transaction="a")
    lake.append_rows("m", "rows", [frame(2)], transaction="b")
    assert lake.append_rows("m", "rows", [frame(1)], transaction="a") == first
    assert values_of(lake) == [1, 2]
    assert lake.committed("m", "rows", "a") == first
    assert lake.committed("m", "rows", "z") is None


def test_batch_is_the_version_of_the_commit(lake: Lake):
    versions = [lake.append_rows("m", "rows", [frame(i)], transaction=str(i)) for i in range(3)]
    assert lake.scan("m", "rows").sort("x").collect()["_batch"].to_list() == versions
    assert versions == [1, 2, 3]


def _write_and_crash(lake: Lake):
    with lake.appending("m", "rows", transaction="b") as pending:
        pending.write(frame(2))
        pending._write_part()
        raise RuntimeError("crash")


def test_an_append_left_without_commit_leaves_nothing(lake: Lake, tmp_path: Path):
    lake.append_rows("m", "rows", [frame(1)], transaction="a")
    files = sorted((tmp_path / "lake" / "m" / "rows").glob("*.parquet"))
    with pytest.raises(RuntimeError, match="crash"):
        _write_and_crash(lake)
    assert values_of(lake) == [1]
    assert sorted((tmp_path / "lake" / "m" / "rows").glob("*.parquet")) == files


@pytest.mark.parametrize("exists", [True, False])
def test_twins_of_one_transaction_append_once(lake: Lake, exists: bool):
    if exists:
        lake.append_rows("m", "rows", [frame(0)], transaction="first")
    ready = threading.Barrier(4)
    versions: list[int] = []

    def twin():
        with lake.appending("m", "rows", transaction="same") as pending:
            pending.write(frame(7))
            ready.wait()
            versions.append(pending.commit())

    threads = [threading.Thread(target=twin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(versions) == 4
    assert len(set(versions)) == 1
    assert values_of(lake).count(7) == 1


def test_recording_the_transaction_alone_would_append_twice(lake: Lake, tmp_path: Path):
    """The guard broken on purpose: what Delta does by itself with one id, twice."""
    from deltalake import CommitProperties, Transaction, write_deltalake

    lake.append_rows("m", "rows", [frame(1)], transaction="a")
    properties = CommitProperties(app_transactions=[Transaction("a", 1)])
    stamped = frame(1).with_columns(pl.lit(9, pl.Int64).alias("_batch"))
    write_deltalake(
        tmp_path / "lake" / "m" / "rows", stamped, mode="append", commit_properties=properties
    )
    assert values_of(lake) == [1, 1]


def test_others_that_commit_meanwhile_lose_nothing_and_batches_stay_true(lake: Lake):
    lake.append_rows("m", "rows", [frame(0)], transaction="a")
    with lake.appending("m", "rows", transaction="slow") as slow:
        slow.write(frame(1))
        slow._write_part()
        lake.append_rows("m", "rows", [frame(2)], transaction="fast")
        slow.write(frame(3))
        assert slow.commit() == 3
    rows = lake.scan("m", "rows").sort("x").collect()
    assert rows["x"].to_list() == [0, 1, 2, 3]
    assert rows["_batch"].to_list() == [1, 3, 2, 3]


def test_a_commit_whose_answer_was_lost_keeps_its_files(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
):
    commit = append.DeltaTable.create_write_transaction

    def commit_and_lose_the_answer(*arguments, **named):
        commit(*arguments, **named)
        raise append.CommitFailedError("the connection closed")

    monkeypatch.setattr(append.DeltaTable, "create_write_transaction", commit_and_lose_the_answer)
    assert lake.append_rows("m", "rows", [frame(1)], transaction="a") == 1
    assert values_of(lake) == [1]


def test_an_append_larger_than_one_part_is_written_in_parts(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(append, "PART_BYTES", 64)
    lake.append_rows("m", "rows", [frame(*range(10)) for _ in range(4)], transaction="a")
    assert len(list((tmp_path / "lake" / "m" / "rows").glob("*.parquet"))) == 4
    assert len(values_of(lake)) == 40


def test_earlier_versions_stay_readable(lake: Lake):
    lake.append_rows("m", "rows", [frame(1)], transaction="a")
    lake.append_rows("m", "rows", [frame(2)], transaction="b")
    assert values_of(lake, 1) == [1]
    assert values_of(lake, 2) == [1, 2]


def test_a_new_column_is_null_in_older_rows(lake: Lake):
    lake.append_rows("m", "rows", [frame(1)], transaction="a")
    lake.append_rows("m", "rows", [frame(2).with_columns(y=pl.lit("b"))], transaction="b")
    lake.append_rows("m", "rows", [frame(3)], transaction="c")
    rows = lake.scan("m", "rows").sort("x").collect()
    assert rows["y"].to_list() == [None, "b", None]
    assert lake.committed("m", "rows", "b") == rows["_batch"][1]


def test_integers_become_floats_when_the_contract_says_so_and_the_past_stays(lake: Lake):
    integers = pl.DataFrame({"x": [1, 2]})
    before = lake.append_rows("m", "rows", [integers], transaction="a")
    lake.append_rows("m", "rows", [frame(2.5)], transaction="b")
    lake.append_rows("m", "rows", [pl.DataFrame({"x": [4]})], transaction="c")
    assert values_of(lake) == [1.0, 2.0, 2.5, 4.0]
    assert lake.scan("m", "rows").collect()["_batch"].to_list().count(before) == 2
    assert values_of(lake, before) == [1, 2]
    assert lake.append_rows("m", "rows", [integers], transaction="a") == before


def test_a_column_of_another_type_is_refused_with_what_to_do(lake: Lake):
    lake.append_rows("m", "rows", [frame(1)], transaction="a")
    with pytest.raises(SpecError, match=r"'x' is string by the contract.*double.*new name"):
        lake.append_rows("m", "rows", [pl.DataFrame({"x": ["a"]})], transaction="b")
    assert values_of(lake) == [1]


def test_nothing_to_append_commits_nothing(lake: Lake):
    assert lake.append_rows("m", "rows", [], transaction="a") == 0
    assert lake.version("m", "rows") is None
    lake.append_rows("m", "rows", [frame(1)], transaction="b")
    assert lake.append_rows("m", "rows", [frame()], transaction="c") == 1


def test_a_table_or_version_that_is_not_there_is_named(lake: Lake):
    with pytest.raises(NotInLake, match="'rows' of m cannot be read: there is none yet"):
        lake.scan("m", "rows")
    lake.append_rows("m", "rows", [frame(1)], transaction="a")
    with pytest.raises(NotInLake, match="at version 9 cannot be read: its newest version is 1"):
        lake.scan("m", "rows", 9)


def test_the_label_that_arrived_last_wins(lake: Lake):
    def labels(*pairs: tuple[str, int]) -> pl.DataFrame:
        keys, targets = zip(*pairs, strict=True)
        return pl.DataFrame(
            {"key": keys, "target": targets, "_row_number": list(range(1, len(pairs) + 1))}
        )

    lake.append_rows("m", "labels", [labels(("a", 1), ("b", 1), ("b", 2))], transaction="1")
    lake.append_rows("m", "labels", [labels(("a", 5))], transaction="2")
    found = lake.latest_labels("m", "key").collect()
    assert dict(found.select("key", "target").iter_rows()) == {"a": 5, "b": 2}
    assert lake.latest_labels("m", "key", version=1).collect().height == 2


def test_a_snapshot_part_comes_back_as_it_was_frozen(lake: Lake, tmp_path: Path):
    lake.put_part("m", "k", "train", frame(1, 2))
    lake.put_part("m", "k", "train", frame(1, 2))
    assert lake.get_part("m", "k", "train").equals(frame(1, 2))
    assert [p.name for p in (tmp_path / "lake/m/snapshots/k").iterdir()] == ["train.parquet"]
    with pytest.raises(NotInLake, match="'holdout' of snapshot k of m"):
        lake.get_part("m", "k", "holdout")
