"""A failed run tells a webhook, where one is configured, and never fails because of it."""

import http.server
import json
import logging
import threading
from types import SimpleNamespace

import pytest
from airflow.sdk.log import mask_secret

from include.evergreen import notify

RUN = SimpleNamespace(dag_id="bike_demand.train", run_id="asset__1")
CONTEXT = {
    "dag_run": RUN,
    "ti": SimpleNamespace(task_id="fit_challenger"),
    "exception": ValueError("no trial completed"),
}


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("EVERGREEN_ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
    for name in ("LEDGER_URL", "MLFLOW_URI", "S3_ACCESS_KEY", "DOCKER_URL"):
        monkeypatch.setenv(f"EVERGREEN_{name}", "http://127.0.0.1:1")
    yield said
    server.shutdown()
    server.server_close()


def test_a_failed_task_says_what_failed_why_and_whether_to_get_up(webhook) -> None:
    notify.report_failure(CONTEXT)
    [text] = webhook
    assert text.startswith("bike_demand.train.fit_challenger failed in run asset__1")
    assert "no trial completed" in text
    assert "can wait until morning" in text


@pytest.mark.parametrize("reason", ["task_failure", "timed_out"])
def test_a_run_that_failed_is_told_even_when_its_task_was_killed(webhook, reason: str) -> None:
    notify.report_failed_run({"dag_run": RUN, "reason": reason, "ti": CONTEXT["ti"]})
    [text] = webhook
    assert text.startswith(f"bike_demand.train failed in run asset__1: {reason}")


def test_it_says_where_to_look(webhook) -> None:
    task = SimpleNamespace(task_id="fit_challenger", log_url="http://air/dags/x/runs/y/tasks/z")
    notify.report_failure({**CONTEXT, "ti": task})
    notify.report_failed_run({**CONTEXT, "ti": task, "reason": "task_failure"})
    of_task, of_run = webhook
    assert of_task.endswith("Look at http://air/dags/x/runs/y/tasks/z")
    assert of_run.endswith("/dags/bike_demand.train/runs/asset__1")


def test_a_run_is_named_where_the_context_has_its_id_alone(webhook) -> None:
    dag = SimpleNamespace(dag_id="bike_demand.train")
    notify.report_failed_run({"dag": dag, "run_id": "manual__7", "reason": "timed_out"})
    assert webhook[0].startswith("bike_demand.train failed in run manual__7: timed_out")


def test_no_secret_leaves_the_house(webhook) -> None:
    mask_secret("of-a-connection-which-airflow-masks")
    seen = "postgresql://evergreen:pass-word@db:5432/x and of-a-connection-which-airflow-masks"
    notify.report_failure({**CONTEXT, "exception": ConnectionError(seen)})
    [text] = webhook
    assert "postgresql://***@db:5432/x and ***" in text


def test_a_reason_of_many_pages_is_cut(webhook) -> None:
    notify.report_failure({**CONTEXT, "exception": ValueError("line\n" * 5000)})
    [text] = webhook
    assert len(text) < notify.MAX_REASON + 300
    assert "can wait until morning" in text


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/secret", "http://127.0.0.1:99999/secret", "ftp://x/secret"]
)
def test_an_alert_that_cannot_be_delivered_is_logged_without_its_address(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        notify.post(address, "the text")
    assert "Alert not" in caplog.text
    assert "secret" not in caplog.text
