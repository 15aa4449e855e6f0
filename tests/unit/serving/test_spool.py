"""The request log: complete, typed, bounded, and never a reason for a worse answer."""

import datetime as dt
import os
import signal
import threading
import time

import numpy as np
import polars as pl
import pytest
from prediction_log import plain
from segments import Entry, SegmentWriter
from spool import Spool

from include.evergreen.model_code.predictor import Predictor, columns_of_rows
from include.evergreen.stages.bundle import contract_of
from tests.unit.serving.conftest import started


@pytest.fixture
def writer(rides) -> SegmentWriter:
    return SegmentWriter(contract_of(rides.spec), 7, None)


def entry(rides, n_rows: int = 3, name: str = "r") -> Entry:
    predictor = Predictor.load(rides.directory, rides.digest)
    columns = predictor.parse(columns_of_rows((rides.rows * n_rows)[:n_rows]))
    now = int(dt.datetime(2026, 1, 2, tzinfo=dt.UTC).timestamp() * 1e6)
    return Entry(*plain(Entry(name.encode(), now, columns, predictor.predict(columns), n_rows)))


def segments(folder) -> list:
    return sorted(folder.glob("*.parquet"))


def wait_for(condition, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_a_segment_has_the_contracts_types_and_null_for_missing(rides, writer, tmp_path) -> None:
    path = tmp_path / "s.parquet"
    path.write_bytes(writer.content([entry(rides, 2, "a"), entry(rides, 1, "b")]))
    frame = pl.read_parquet(path)
    times = pl.Datetime("us", "UTC")
    assert dict(frame.schema) == {
        "request_id": pl.String, "time": times, "version": pl.Int64, "temperature": pl.Float64,
        "humidity": pl.Int64, "weather": pl.String, "season": pl.Int64, "holiday": pl.Boolean,
        "at": times, "ride": pl.String, "prediction": pl.Float64,
    }  # fmt: skip
    assert frame["request_id"].to_list() == ["a", "a", "b"]
    assert frame["temperature"].to_list()[0] is None
    assert frame["time"][0] == dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    assert frame["humidity"].to_list()[:2] == [row["humidity"] for row in rides.rows[:2]]
    assert frame["at"][1].isoformat() == rides.rows[1]["at"]


def test_labels_and_probabilities_are_kept_in_their_types(weather, tmp_path) -> None:
    predictor = Predictor.load(weather.directory, weather.digest)
    columns = predictor.parse(columns_of_rows(weather.rows))
    writer = SegmentWriter(predictor.contract, 1, predictor.classes)
    answer = predictor.predict(columns)
    served = Entry(*plain(Entry(b"r", 0, columns, answer, len(weather.rows))))
    (tmp_path / "s.parquet").write_bytes(writer.content([served]))
    frame = pl.read_parquet(tmp_path / "s.parquet")
    assert frame.schema["prediction"] == pl.String
    assert frame.schema["probability_rain"] == pl.Float64
    assert frame["prediction"].to_list() == served.predictions["prediction"]


def test_a_raw_column_named_as_one_of_the_logs_own_gives_way(tmp_path) -> None:
    contract = {
        "columns": {"version": {"type": "float"}},
        "optional": {"time": {"type": "timestamp"}},
    }
    columns = {"version": np.array([1.5]), "time": np.array([0], "datetime64[us]")}
    served = Entry(b"r", 1_000_000, columns, {"prediction": [1.0]}, 1)
    (tmp_path / "s.parquet").write_bytes(SegmentWriter(contract, 3, None).content([served]))
    frame = pl.read_parquet(tmp_path / "s.parquet")
    assert frame.columns == ["request_id", "time", "version", "prediction"]
    assert frame["version"].to_list() == [3]


def test_closing_writes_what_waits(rides, writer, tmp_path) -> None:
    spool = Spool(tmp_path, writer, segment_s=3600)
    spool.start()
    spool.offer(entry(rides, 3))
    spool.close()
    assert pl.read_parquet(segments(tmp_path)).height == 3
    assert spool.stats()["rows_written"] == 3
    assert not list(tmp_path.glob(".*"))


def test_segments_are_closed_by_rows_and_by_age(rides, writer, tmp_path) -> None:
    spool = Spool(tmp_path, writer, segment_rows=4, segment_s=3600)
    spool.start()
    for _ in range(4):
        spool.offer(entry(rides, 2))
    wait_for(lambda: spool.stats()["segments"] >= 1)
    spool.close()
    assert pl.read_parquet(segments(tmp_path)).height == 8
    young = Spool(tmp_path / "", writer, segment_s=0.3)
    young.start()
    young.offer(entry(rides, 1))
    wait_for(lambda: young.stats()["rows_written"] == 1)
    young.close()


def test_names_of_segments_stay_unique_over_restarts(rides, writer, tmp_path) -> None:
    for _ in range(5):
        spool = Spool(tmp_path, writer)
        spool.start()
        spool.offer(entry(rides, 1))
        spool.close()
    assert len(segments(tmp_path)) == 5


def test_a_full_queue_drops_and_counts_and_never_waits(rides, writer, tmp_path) -> None:
    spool = Spool(tmp_path, writer, max_waiting_rows=10, segment_s=3600)
    served = entry(rides, 3)
    began = time.monotonic()
    for _ in range(1000):
        spool.offer(served)
    assert time.monotonic() - began < 1
    assert spool.stats()["rows_waiting"] == 9
    assert spool.stats()["rows_dropped"] == 3 * 997
    spool.start()
    spool.close()
    assert spool.stats()["rows_written"] == 9


def test_a_full_disk_is_counted_and_the_rows_wait_for_room(rides, writer, tmp_path) -> None:
    spool = Spool(tmp_path, writer, segment_s=0.1, max_disk_bytes=10)
    spool.start()
    spool.offer(entry(rides, 3))
    wait_for(lambda: spool.stats()["failures"] >= 1)
    assert spool.stats()["rows_waiting"] == 3
    assert "at most 10 may" in str(spool.stats()["last_error"])
    spool._max_disk_bytes = 2**20
    spool._not_before = 0
    wait_for(lambda: spool.stats()["rows_written"] == 3)
    spool.close()
    assert spool.stats()["rows_dropped"] == 0


def test_a_spool_that_is_not_there_drops_at_the_end_and_says_so(rides, writer, tmp_path) -> None:
    spool = Spool(tmp_path / "absent", writer, segment_s=0.1)
    spool.start()
    spool.offer(entry(rides, 3))
    spool.close()
    assert spool.stats()["rows_dropped"] == 3
    assert spool.stats()["rows_waiting"] == 0
    assert "FileNotFoundError" in str(spool.stats()["last_error"])


def test_an_entry_that_cannot_be_written_does_not_end_the_log(rides, writer, tmp_path) -> None:
    good = entry(rides, 2)
    broken = Entry(b"x", 0, {**good.columns, "weather": [1, object()]}, good.predictions, 2)
    spool = Spool(tmp_path, writer, segment_rows=2, segment_s=0.1)
    spool.start()
    spool.offer(broken)
    spool.offer(good)
    wait_for(lambda: spool.stats()["rows_written"] == 2)
    spool.close()
    assert spool.stats()["rows_dropped"] == 2


def test_served_requests_reach_the_spool_and_probes_do_not(service) -> None:
    row = service.made.rows[1] | {"ride": "r-spooled"}
    service.post({"dataframe_records": [row]}, **{"X-Request-Id": "seen-1"})
    service.post(
        {"dataframe_records": [row]}, **{"X-Request-Id": "probe-1", "X-Evergreen-Probe": "1"}
    )

    def logged() -> set[str]:
        files = segments(service.spool)
        return set(pl.read_parquet(files)["request_id"]) if files else set()

    wait_for(lambda: "seen-1" in logged())
    assert "probe-1" not in logged()
    frame = pl.read_parquet(segments(service.spool)).filter(pl.col("request_id") == "seen-1")
    assert frame["ride"].to_list() == ["r-spooled"]
    assert frame["version"].to_list() == [7]


def test_sigterm_answers_what_was_begun_flushes_the_spool_and_ends(
    rides, tmp_path, free_port
) -> None:
    limits = {"EVERGREEN_SPOOL_SECONDS": "3600"}
    with started(rides, tmp_path, free_port(), **limits) as running:
        answers: list[int] = []
        body = {"dataframe_records": (rides.rows * 250)[:9_000]}
        thread = threading.Thread(target=lambda: answers.append(running.post(body).status_code))
        thread.start()
        time.sleep(0.3)
        os.kill(running.process.pid, signal.SIGTERM)
        thread.join()
        assert running.process.wait(20) in (0, -signal.SIGTERM)
        assert answers == [200]
        assert pl.read_parquet(segments(running.spool)).height == 9_000


def test_a_service_without_a_writable_spool_answers_all_the_same(
    rides, tmp_path, free_port
) -> None:
    limits = {"EVERGREEN_SPOOL": "/dev/null/nowhere", "EVERGREEN_SPOOL_SECONDS": "0.1"}
    with started(rides, tmp_path, free_port(), **limits) as running:
        for _ in range(5):
            assert running.post({"inputs": rides.rows[1]}).status_code == 200
