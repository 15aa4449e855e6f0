"""Whatever becomes of the process that writes the log: answers go on, and every row is counted."""

import io
import os
import signal
import time

import numpy as np
import polars as pl
import pytest
from prediction_log import LogOrder, PredictionLog, plain
from segments import Entry, SegmentWriter

from include.evergreen.model_code.predictor import Predictor, columns_of_rows
from include.evergreen.stages.bundle import contract_of


@pytest.fixture
def order(rides, tmp_path) -> LogOrder:
    folder = tmp_path / "log"
    folder.mkdir()
    return LogOrder(str(folder), contract_of(rides.spec), 7, None, segment_s=0.2)


@pytest.fixture
def predictor(rides) -> Predictor:
    return Predictor.load(rides.directory, rides.digest)


def alone(predictor: Predictor, row: dict, name: str = "r") -> Entry:
    found = predictor.predict_one(row)
    assert found is not None
    return Entry(name.encode(), 1_700_000_000_000_000, *found, 1, alone=True)


def among_others(predictor: Predictor, rows: list[dict]) -> Entry:
    columns = predictor.parse(columns_of_rows(rows))
    return Entry(b"many", 1_700_000_000_000_000, columns, predictor.predict(columns), len(rows))


def wait_for(condition, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def written(order: LogOrder) -> pl.DataFrame:
    return pl.read_parquet(f"{order.directory}/*.parquet")


def test_a_row_alone_is_kept_as_it_is_among_others(order, predictor, rides) -> None:
    log = PredictionLog(order)
    log.start()
    for row in rides.rows:
        log.offer(alone(predictor, row))
    log.offer(among_others(predictor, rides.rows))
    log.close()
    frame = written(order)
    assert log.stats()["rows_written"] == frame.height == 2 * len(rides.rows)
    by_itself = frame.filter(pl.col("request_id") == "r").drop("request_id")
    together = frame.filter(pl.col("request_id") == "many").drop("request_id")
    assert by_itself.equals(together)
    assert by_itself["temperature"].null_count() > 0


def test_an_open_log_writes_by_age_and_says_how_much(order, predictor, rides) -> None:
    log = PredictionLog(order)
    log.start()
    log.offer(among_others(predictor, rides.rows))
    wait_for(lambda: log.stats()["rows_written"] == len(rides.rows))
    assert log.stats()["rows_waiting"] == 0
    log.close()
    assert log.stats() == {
        "rows_written": len(rides.rows),
        "rows_dropped": 0,
        "segments": 1,
        "failures": 0,
        "rows_waiting": 0,
        "last_error": "",
    }


def test_a_writer_that_is_killed_is_followed_by_another_and_its_rows_are_counted(
    order, predictor, rides, monkeypatch
) -> None:
    monkeypatch.setattr("prediction_log._RETRY_S", 0.3)
    slow = LogOrder(**{**order.__dict__, "segment_s": 3600})
    log = PredictionLog(slow)
    log.start()
    log.offer(among_others(predictor, rides.rows))
    wait_for(lambda: log._sent == len(rides.rows))
    os.kill(log._writer.pid, signal.SIGKILL)
    log._writer.wait()
    log.offer(alone(predictor, rides.rows[0]))
    wait_for(lambda: log._sent == 1)
    log.close()
    stats = log.stats()
    assert (stats["rows_dropped"], stats["rows_written"]) == (len(rides.rows), 1)
    assert stats["failures"] == 1
    assert "The writer ended with status -9" in stats["last_error"]


def test_a_writer_that_cannot_start_leaves_the_rows_waiting_then_drops_them(
    order, predictor, rides, monkeypatch
) -> None:
    monkeypatch.setattr("prediction_log.sys.executable", "/nowhere/python")
    log = PredictionLog(order, max_waiting_rows=5)
    log.start()
    for row in rides.rows[:8]:
        log.offer(alone(predictor, row))
    wait_for(lambda: "does not start" in str(log.stats()["last_error"]))
    assert (log.stats()["rows_waiting"], log.stats()["rows_dropped"]) == (5, 3)
    log.close()
    assert (log.stats()["rows_waiting"], log.stats()["rows_dropped"]) == (0, 8)


def test_what_cannot_be_handed_on_is_dropped_and_the_log_goes_on(
    order, predictor, rides, monkeypatch
) -> None:
    monkeypatch.setattr("prediction_log._RETRY_S", 0.1)
    log = PredictionLog(order)
    log.start()
    good = alone(predictor, rides.rows[0])
    log.offer(good._replace(columns={**good.columns, "weather": object()}))
    wait_for(lambda: log.stats()["rows_dropped"] == 1)
    assert "1 rows cannot be handed on: unmarshallable object" in str(log.stats()["last_error"])
    log.offer(good)
    wait_for(lambda: log.stats()["rows_written"] == 1)
    log.close()


def test_a_writer_that_is_stopped_costs_rows_and_no_time(order, predictor, rides) -> None:
    log = PredictionLog(order, max_waiting_rows=2_000)
    log.start()
    log.offer(alone(predictor, rides.rows[0]))
    wait_for(lambda: log._sent == 1)
    os.kill(log._writer.pid, signal.SIGSTOP)
    entry = among_others(predictor, rides.rows * 10)
    slowest = 0.0
    for _ in range(200):
        began = time.monotonic()
        log.offer(entry)
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.002)
    assert slowest < 0.2
    assert log.stats()["rows_dropped"] > 0
    log.close(timeout_s=0.5)


def test_a_share_of_the_requests_is_kept(order, predictor, rides) -> None:
    log = PredictionLog(order, share=0.25)
    drawn = iter(np.linspace(0, 1, 40, endpoint=False))
    log._draw = lambda: float(next(drawn))
    for row in rides.rows[:40]:
        log.offer(alone(predictor, row))
    assert log.stats()["rows_waiting"] == 10


def test_columns_without_a_gap_are_handed_on_as_bytes_and_the_others_as_lists(
    predictor, rides
) -> None:
    entry = among_others(predictor, [{**rides.rows[1], "at": "2024-05-01T00:00:00Z"}])
    at = Entry(*plain(entry)).columns["at"]
    assert at == ("q", np.array([1_714_521_600_000_000]).tobytes())
    gone = {"at": np.array(["NaT"], "datetime64[us]"), "temperature": np.array([np.nan])}
    handed_on = Entry(*plain(entry._replace(columns=gone))).columns
    assert handed_on["at"] == [None]
    assert np.isnan(handed_on["temperature"]).all()


@pytest.mark.parametrize("gaps", [(), (0,), (1,), (0, 1, 2)])
def test_segments_are_the_same_however_their_columns_were_handed_on(
    order, predictor, rides, gaps
) -> None:
    """Of three entries, those in `gaps` have a column with one, and so come as lists."""
    entries = [among_others(predictor, rides.rows[1:6]) for _ in range(3)]
    for index in gaps:
        columns = dict(entries[index].columns)
        columns["temperature"] = np.array([1.5, np.nan, 2.5, 3.5, 4.5])
        columns["at"] = np.array([0, "NaT", 2, 3, 4], dtype="datetime64[us]")
        columns["holiday"] = np.array([1.0, 0.0, np.nan, 1.0, 1.0])
        columns["humidity"] = np.array([np.nan, 1, 2, 3, 4])
        entries[index] = entries[index]._replace(columns=columns)
    writer = SegmentWriter(order.contract, 7, None)
    handed_on = [Entry(*plain(entry)) for entry in entries]
    kinds = {type(entry.columns["temperature"]) for entry in handed_on}
    assert (tuple in kinds) == (len(gaps) < 3)
    frame = pl.read_parquet(io.BytesIO(writer.content(handed_on)))
    lists = [
        entry._replace(
            columns={name: as_list(values) for name, values in entry.columns.items()},
            predictions={name: as_list(values) for name, values in entry.predictions.items()},
        )
        for entry in entries
    ]
    assert frame.equals(pl.read_parquet(io.BytesIO(writer.content(lists))))
    expected = {"at": 1, "temperature": 1, "holiday": 1, "humidity": 1}
    assert {name: frame[name].null_count() for name in expected} == {
        name: times * len(gaps) for name, times in expected.items()
    }


def as_list(column) -> list:
    if isinstance(column, list):
        return column
    if column.dtype.kind == "M":
        return [None if np.isnat(v) else int(v.astype(np.int64)) for v in column]
    return column.tolist()


def test_a_private_column_is_hashed_or_left_out(order, predictor, rides) -> None:
    private = {"weather": "hash", "temperature": "leave_out"}
    log = PredictionLog(LogOrder(**{**order.__dict__, "private": private, "salt": "ours"}))
    log.start()
    log.offer(among_others(predictor, rides.rows))
    log.offer(alone(predictor, rides.rows[1]))
    log.close()
    frame = written(order)
    assert "temperature" not in frame.columns
    sent = [row["weather"] for row in (*rides.rows, rides.rows[1])]
    pairs = set(zip(sent, frame.sort("request_id")["weather"], strict=True))
    assert len(pairs) == len(set(sent)) == 3
    assert all(len(hashed) == 32 and word not in hashed for word, hashed in pairs)
    other = LogOrder(**{**order.__dict__, "private": private, "salt": "theirs"})
    writers = [
        SegmentWriter(o.contract, 7, None, private=private, salt=o.salt) for o in (order, other)
    ]
    assert writers[0]._hashed("clear") != writers[1]._hashed("clear")
