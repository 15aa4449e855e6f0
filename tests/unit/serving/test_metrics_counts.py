"""How the service's metrics count, without a service around them."""

import asyncio
import json
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from application import Application
from exposition import Exposition
from metrics import KINDS, NO_COLUMN, Distribution, Metrics, bounds_around, kind_of
from prediction_log import plain
from scoring import Scoring
from segments import Entry, SegmentWriter
from spool import Spool

from include.evergreen.model_code.predictor import Predictor, columns_of_rows
from tests.unit.serving.conftest import SERVING


@pytest.fixture
def predictor(rides) -> Predictor:
    return Predictor.load(rides.directory, rides.digest)


@pytest.fixture
def metrics(predictor) -> Metrics:
    return Metrics(predictor)


class Broken(Scoring):
    def read(self, *_) -> None:
        raise RuntimeError


async def broken(*_) -> None:
    raise RuntimeError


def application(metrics, predictor, dialect) -> Application:
    service = types.SimpleNamespace(
        metrics=metrics, version="7", predictor=predictor, max_body_bytes=99, body_timeout_s=9
    )
    return Application(service, {"/invocations": dialect}, broken)


def asked(app: Application, path: str, body: bytes = b"", **headers: str) -> list[dict]:
    """What it sends to a request: a POST of a body, or a GET."""
    sent: list[dict] = []

    async def send(message) -> None:
        sent.append(message)

    async def receive() -> dict:
        return {"type": "http.request", "body": body}

    named = {"content-type": "application/json", **headers}
    scope = {
        "type": "http", "path": path, "method": "POST" if body else "GET",
        "headers": [(name.replace("_", "-").encode(), v.encode()) for name, v in named.items()],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent


def test_an_error_that_nobody_foresaw_is_counted_and_ends_what_was_in_flight(
    metrics, predictor
) -> None:
    app = application(metrics, predictor, Broken({"columns": {}, "optional": {}}, 9))
    for path, kind, body in (("/v2/none", "v2", b""), ("/invocations", "invocations", b"{}")):
        sent = asked(app, path, body)
        assert sent[0]["status"] == 500, sent
        assert metrics.statuses[kind][500] == metrics.errors[kind]["INTERNAL_ERROR"] == 1
        assert sum(metrics.latency[kind].counts) == 1
        assert metrics.in_flight[kind] == 0


def test_a_prediction_that_is_no_number_is_a_500_of_its_own_kind_unless_a_prober_asks(
    metrics, caplog
) -> None:
    contract = {"columns": {"x": {"type": "float"}}, "optional": {}}
    predictor = types.SimpleNamespace(
        contract=contract, predict_one=lambda row: (row, {"prediction": float("nan")})
    )
    app = application(metrics, predictor, Scoring(contract, 9))
    head, answer = asked(app, "/invocations", b'{"inputs": {"x": 1.0}}')
    assert head["status"] == 500
    said = json.loads(answer["body"])
    assert said["error_code"] == "INTERNAL_ERROR"
    assert said["message"].startswith("The model gives no finite prediction for 1 of 1 rows, ")
    assert "Traceback" not in caplog.text + said["message"]
    assert said["message"] in caplog.text
    counted = {code: n for code, n in metrics.errors["invocations"].items() if n}
    assert (metrics.statuses["invocations"][500], counted) == (1, {"NOT_FINITE": 1})
    asked(app, "/invocations", b'{"inputs": {"x": 1.0}}', x_evergreen_probe="1")
    assert (
        sum(metrics.statuses["invocations"].values()),
        sum(metrics.errors["invocations"].values()),
    ) == (1, 1)
    assert metrics.probes.statuses["invocations"][500] == 1
    assert sum(metrics.latency["invocations"].counts) == 1


def test_a_log_without_room_shows_what_it_dropped_and_what_waits(
    rides, predictor, metrics, tmp_path
) -> None:
    writer = SegmentWriter(predictor.contract, 7, None)
    spool = Spool(tmp_path / "absent", writer, max_waiting_rows=4, segment_s=0)
    page = Exposition(metrics, "rides", "7", predictor.info, spool.stats).page
    columns = predictor.parse(columns_of_rows(rides.rows[:3]))
    for _ in range(3):
        entry = Entry(b"r", 0, columns, predictor.predict(columns), 3)
        spool.offer(Entry(*plain(entry)))
    spool._write_due(time.monotonic() + 1, closing=False)
    text = page().decode()
    ours = 'model="rides"', 'version="7"'
    for name, labels, value in (
        ("rows_total", ('outcome="dropped"',), 6),
        ("rows_total", ('outcome="written"',), 0),
        ("rows_waiting", (), 3),
        ("failures_total", (), 1),
    ):
        labelled = ",".join(sorted((*ours, *labels)))
        assert f"evergreen_prediction_log_{name}{{{labelled}}} {value}.0" in text


def test_without_a_log_there_is_nothing_about_one(metrics, predictor) -> None:
    page = Exposition(metrics, "rides", "7", predictor.info, None).page().decode()
    assert "prediction_log" not in page


def test_an_unknown_status_code_or_column_goes_where_others_go(metrics) -> None:
    sizes = [len(metrics.statuses["v2"]), len(metrics.errors["v2"]), len(metrics.out_of_contract)]
    metrics.answered("v2", 418, 0.1)
    metrics.refused("v2", "TEAPOT", ["a", "b", "season"])
    assert (metrics.statuses["v2"][0], metrics.errors["v2"]["OTHER"]) == (1, 1)
    assert metrics.out_of_contract[NO_COLUMN] == metrics.out_of_contract["season"] == 1
    assert sizes == [
        len(metrics.statuses["v2"]), len(metrics.errors["v2"]), len(metrics.out_of_contract),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/invocations", "invocations"),
        ("/invocations/", "other"),
        ("/v2", "v2"),
        ("/v2/models/rides/infer", "v2"),
        ("/v2x", "other"),
        ("/metrics", "other"),
        ("", "other"),
    ],
)
def test_a_path_is_of_one_of_three_kinds(path, kind) -> None:
    assert kind_of(path) == kind
    assert kind in KINDS


def test_one_row_is_counted_as_among_others(rides, weather) -> None:
    """The ways of one row (vectors of one, and by hand) and of many end in the same counts."""
    for made in (rides, weather):
        loaded = Predictor.load(made.directory, made.digest)
        rows = [dict(row) for row in made.rows]
        rows[3] |= {"season": 77, "temperature": None}
        rows[4] |= {"season": None}
        together, apart = Metrics(loaded), Metrics(loaded)
        for metrics, parts in ((together, [rows]), (apart, [[row] for row in rows])):
            for part in parts:
                raw = columns_of_rows(part)
                columns = loaded.parse(raw)
                metrics.inputs(columns, raw, len(part))
                metrics.predicted(loaded.predict(columns))
        assert together.nulls == apart.nulls
        assert together.nulls["temperature"] >= 2
        assert together.unseen == apart.unseen == {"season": 1}
        assert together.classes == apart.classes
        assert together.predictions.counts == apart.predictions.counts
        assert together.predictions.total == pytest.approx(apart.predictions.total)


def test_a_bound_belongs_to_the_bucket_below_it() -> None:
    values = [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 9.0]
    one, all_at_once = Distribution((0, 1, 2)), Distribution((0, 1, 2))
    for value in values:
        one.add(value)
    all_at_once.add_all(np.array(values))
    assert one.counts == all_at_once.counts == [2, 2, 2, 1]
    assert one.total == all_at_once.total == 13


@pytest.mark.parametrize(
    "recorded",
    [
        [5.0],
        [0.0, 0.0],
        [-3.5, -3.5, -3.5],
        [1e-9, 2e-9, 5e-9],
        [0.1, 0.2, 0.30000001] * 20,
        list(np.exp(np.linspace(0, 12, 40))),
        list(range(200)),
    ],
)
def test_bounds_of_predictions_cover_what_was_recorded_and_more(recorded) -> None:
    bounds = bounds_around(recorded)
    assert bounds == sorted(set(bounds))
    assert 8 <= len(bounds) <= 21
    spread = (max(recorded) - min(recorded)) or max(abs(max(recorded)), 1)
    assert bounds[0] <= min(recorded) - 2.5 * spread
    assert bounds[-1] >= max(recorded) + 2.5 * spread


def test_the_library_of_the_page_is_imported_when_it_is_first_asked_for() -> None:
    code = "import sys, app, application; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SERVING, check=False).returncode == 0
