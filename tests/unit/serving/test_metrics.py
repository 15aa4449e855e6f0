"""The service's metrics: each moves when it should, by how much, and no request makes them more."""

import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import requests
from metrics import NO_COLUMN
from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, frozenset[tuple[str, str]]]


def scrape(running) -> dict[Series, float]:
    answer = requests.get(f"{running.url}/metrics", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return parsed(answer.text)


def parsed(text: str) -> dict[Series, float]:
    series = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in series, f"twice on one page: {key}"
            series[key] = sample.value
    return series


@contextlib.contextmanager
def moved(running) -> Iterator[dict[str, float]]:
    """Filled at the end: by how much each series of evergreen_ changed, the scrapes left out.

    Keys read `requests_total path=other status=200`: the name without its beginning, then the
    labels but model and version.
    """
    changes: dict[str, float] = {}
    before = scrape(running)
    yield changes
    for (name, labels), value in scrape(running).items():
        difference = value - before[name, labels]
        if difference == 0 or not name.startswith("evergreen_") or ("path", "other") in labels:
            continue
        own = dict(labels)
        assert (own.pop("model"), own.pop("version")) == (running.made.spec.model, "7")
        words = [f"{label}={text}" for label, text in sorted(own.items())]
        changes[" ".join([name.removeprefix("evergreen_"), *words])] = difference


def only(changes: dict[str, float], *beginnings: str) -> dict[str, float]:
    return {name: n for name, n in changes.items() if name.startswith(beginnings)}


def test_the_model_served_stands_on_the_page(service, weather_service) -> None:
    for running, kind in ((service, "onnx"), (weather_service, "sklearn")):
        about = {
            "model": running.made.spec.model,
            "version": "7",
            "manifest": running.made.digest,
            "kind": kind,
        }
        assert scrape(running)["evergreen_model_info", frozenset(about.items())] == 1


def test_requests_rows_and_bytes_are_counted(service) -> None:
    rows = service.made.rows[1:9]
    body = json.dumps({"dataframe_records": rows}).encode()
    with moved(service) as changes:
        for _ in range(3):
            assert service.send(body).status_code == 200
    assert only(changes, "requests_total", "rows", "request_body", "errors") == {
        "requests_total path=invocations status=200": 3,
        "rows_total": 24,
        "request_body_bytes_total": 3 * len(body),
    }
    assert changes["request_rows_sum"] == 24
    assert changes["request_rows_count"] == 3
    assert changes["request_rows_bucket le=10"] == 3
    assert "request_rows_bucket le=5" not in changes


def test_the_time_of_an_answer_is_in_the_histogram_of_its_path(service) -> None:
    with moved(service) as changes:
        began = time.perf_counter()
        service.post({"inputs": service.made.rows[1]})
        took = time.perf_counter() - began
    name = "request_duration_seconds"
    assert changes[f"{name}_count path=invocations"] == 1
    assert changes[f"{name}_bucket le=10 path=invocations"] == 1
    assert 0 < changes[f"{name}_sum path=invocations"] < took
    assert not only(changes, "requests_in_flight")


@pytest.mark.parametrize("n_rows", [1, 3])
def test_nulls_and_unseen_categories_are_counted_by_column(service, n_rows) -> None:
    plain = {**service.made.rows[1], "season": 2, "temperature": 3.0}
    rows = [{**plain, "season": 9, "temperature": None}, {**plain, "season": None}, plain]
    rows[0]["ride"] = rows[1]["ride"] = rows[2]["ride"] = None
    with moved(service) as changes:
        assert service.post({"dataframe_records": rows[:n_rows]}).status_code == 200
    expected = {
        "input_nulls_total column=ride": n_rows,
        "input_nulls_total column=temperature": 1,
        "input_unseen_categories_total column=season": 1,
    }
    if n_rows > 1:
        expected["input_nulls_total column=season"] = 1
    assert only(changes, "input") == expected


def test_a_refusal_is_counted_by_code_and_by_each_column_once(service) -> None:
    bad = {**service.made.rows[1], "humidity": 300, "weather": "snow", "unknown": 1, "other": 2}
    with moved(service) as changes:
        assert service.post({"dataframe_records": [bad, bad, bad]}).status_code == 422
        assert service.send(b"{").status_code == 400
        assert service.send(b"{}", "text/plain").status_code == 415
        assert service.send(b" " * 70_000).status_code == 413
    assert only(changes, "requests_total", "errors", "input", "rows", "prediction_b") == {
        "requests_total path=invocations status=422": 1,
        "requests_total path=invocations status=400": 1,
        "requests_total path=invocations status=415": 1,
        "requests_total path=invocations status=413": 1,
        "errors_total code=INVALID_PARAMETER_VALUE path=invocations": 1,
        "errors_total code=BAD_REQUEST path=invocations": 1,
        "errors_total code=UNSUPPORTED_MEDIA_TYPE path=invocations": 1,
        "errors_total code=TOO_LARGE path=invocations": 1,
        "input_refusals_total column=humidity": 1,
        "input_refusals_total column=weather": 1,
        f"input_refusals_total column={NO_COLUMN}": 1,
    }


def test_predictions_fall_into_buckets_around_those_of_the_golden_rows(service) -> None:
    golden = json.loads((service.made.directory / "golden.json").read_text())
    predictions = np.array(golden["predictions"]["prediction"])
    with moved(service) as changes:
        assert service.post({"dataframe_records": golden["rows"]}).status_code == 200
        assert service.post({"dataframe_records": golden["rows"][:1]}).status_code == 200
    seen = np.append(predictions, predictions[0])
    buckets = only(changes, "prediction_bucket")
    assert buckets.pop("prediction_bucket le=+Inf") == len(seen)
    assert len(buckets) > 10
    for name, count in buckets.items():
        assert count == np.count_nonzero(seen <= float(name.partition("=")[2])), name
    assert not only(changes, "predicted_", "prediction_sum")


@pytest.mark.parametrize("n_rows", [1, 40])
def test_classes_are_counted_and_the_winner_s_probability(weather_service, n_rows) -> None:
    rows = weather_service.made.rows[:n_rows]
    with moved(weather_service) as changes:
        answer = weather_service.post({"dataframe_records": rows}).json()["predictions"]
    labels = [record["prediction"] for record in answer]
    assert only(changes, "predicted_class") == {
        f"predicted_class_total class={label}": labels.count(label) for label in set(labels)
    }
    winners = [record[f"probability_{record['prediction']}"] for record in answer]
    assert changes["predicted_probability_sum"] == pytest.approx(sum(winners))
    assert changes["predicted_probability_bucket le=0.6"] == sum(p <= 0.6 for p in winners)


def test_what_a_prober_asks_is_counted_apart_and_as_nothing_else(service) -> None:
    row = {**service.made.rows[1], "season": 9, "temperature": None}
    probe = {"X-Evergreen-Probe": "1"}
    with moved(service) as changes:
        assert service.post({"inputs": row}, **probe).status_code == 200
        assert service.post({"inputs": {}}, **probe).status_code == 422
        assert (
            requests.get(f"{service.url}/invocations", headers=probe, timeout=10).status_code == 405
        )
        assert requests.get(f"{service.url}/v2/none", headers=probe, timeout=10).status_code == 404
    body = {name: n for name, n in changes.items() if name.startswith("request_body")}
    assert changes == body | {
        f"probe_requests_total path={path} status={status}": 1
        for path, status in (
            ("invocations", 200), ("invocations", 422), ("invocations", 405), ("v2", 404),
        )
    }  # fmt: skip


def test_a_scrape_is_a_request_for_another_path(service) -> None:
    def of(page: dict[Series, float]) -> dict[str, float]:
        wanted = {"path": "other", "status": "200", "model": "rides", "version": "7"}
        running = {key: wanted[key] for key in ("path", "model", "version")}
        return {
            "answered": page["evergreen_requests_total", frozenset(wanted.items())],
            "in flight": page["evergreen_requests_in_flight", frozenset(running.items())],
        }

    first, second = of(scrape(service)), of(scrape(service))
    assert second["answered"] - first["answered"] == 1
    assert first["in flight"] == second["in flight"] == 1


def test_a_request_whose_body_comes_slowly_is_in_flight_until_it_is_cut_off(service) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", service.port), 10) as slow:
        slow.sendall(head + b"Content-Length: 9\r\n\r\n{")
        time.sleep(0.3)
        with moved(service) as changes:
            assert b" 408 " in slow.recv(1000)
    assert only(changes, "requests", "errors") == {
        "requests_in_flight path=invocations": -1,
        "requests_total path=invocations status=408": 1,
        "errors_total code=REQUEST_TIMEOUT path=invocations": 1,
    }
    ours = {"path": "invocations", "model": "rides", "version": "7"}
    assert scrape(service)["evergreen_requests_in_flight", frozenset(ours.items())] == 0


def test_a_client_that_leaves_is_counted_as_such(service) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with moved(service) as changes:
        with socket.create_connection(("127.0.0.1", service.port), 10) as gone:
            gone.sendall(head + b"Content-Length: 9\r\n\r\n{")
            time.sleep(0.1)
        time.sleep(0.3)
    assert only(changes, "errors") == {"errors_total code=CLIENT_GONE path=invocations": 1}
    assert not only(changes, "requests_in_flight")


def test_large_requests_wait_for_one_another_and_that_is_seen(weather_service) -> None:
    body = {"dataframe_records": (weather_service.made.rows * 250)[:9_000]}
    threads = [threading.Thread(target=weather_service.post, args=(body,)) for _ in range(6)]
    queued = "evergreen_requests_queued", frozenset({("model", "weather"), ("version", "7")})
    for thread in threads:
        thread.start()
    most = 0.0
    while any(thread.is_alive() for thread in threads):
        most = max(most, scrape(weather_service)[queued])
    assert 1 <= most <= 5
    assert scrape(weather_service)[queued] == 0


def test_what_the_prediction_log_wrote_is_seen(service) -> None:
    with moved(service) as changes:
        service.post({"dataframe_records": service.made.rows[1:6]})
        time.sleep(2)
    written = changes["prediction_log_rows_total outcome=written"]
    assert written >= 5
    assert changes["prediction_log_segments_total"] >= 1
    assert "prediction_log_rows_total outcome=dropped" not in changes


def test_memory_and_cpu_of_the_process_are_there(service) -> None:
    page = scrape(service)
    assert page["process_resident_memory_bytes", frozenset()] > 20 * 2**20
    assert page["process_cpu_seconds_total", frozenset()] > 0


def test_no_request_makes_a_new_series(service) -> None:
    """Odd paths, methods, statuses, columns and values: the page has the lines it had."""
    before = scrape(service).keys()
    rng = random.Random(3)
    session = requests.Session()
    for index in range(150):
        word = f"{rng.randrange(10**9):x}"
        path = rng.choice(
            [f"/{word}", f"/v2/models/{word}/infer", "/v2", f"/invocations/{word}", "/metrics/"]
        )
        method = rng.choice(["GET", "POST", "DELETE", "PATCH", word.upper() or "X", "OPTIONS"])
        session.request(method, f"{service.url}{path}", data=word, timeout=10)
        row = {**service.made.rows[1], word: index, "weather": word, "season": index}
        service.post({"dataframe_records": [row]}, **{"X-Request-Id": word})
        row = {**service.made.rows[1], "season": index + 100}
        assert service.post({"inputs": row}).status_code == 200
    assert scrape(service).keys() == before
    assert len(before) < 400
