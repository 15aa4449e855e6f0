"""A run that is asked for by hand is made once, whatever a busy Airflow answers meanwhile."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from include.evergreen.cli import airflow_api
from include.evergreen.cli.airflow_api import AirflowApi, AirflowRefused

LOCKED = (500, False)
LOCKED_BUT_MADE = (500, True)
MADE = (200, True)


class Airflow:
    """Answers each order for a run with the next of `script`: a status, and whether it is made."""

    def __init__(self) -> None:
        self.script: list[tuple[int, bool]] = []
        self.made: list[str] = []
        self.asked: list[str] = []

    def order(self, run_id: str) -> int:
        self.asked.append(run_id)
        if run_id in self.made:
            return 409
        status, makes = self.script.pop(0)
        if makes:
            self.made.append(run_id)
        return status


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def api(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowApi]:
    monkeypatch.setattr(airflow_api, "_TRIGGER_PAUSE_S", 0.01)

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/auth/token":
                self._say(200, {"access_token": "token"})
            else:
                self._say(airflow.order(body["dag_run_id"]), run(body["dag_run_id"]))

        def do_GET(self) -> None:
            self._say(200, run(self.path.rsplit("/", 1)[1]))

        def _say(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = AirflowApi(f"http://127.0.0.1:{server.server_port}", "admin", "admin")
    yield found
    found.close()
    server.shutdown()
    server.server_close()


def run(run_id: str) -> dict[str, Any]:
    named = {"dag_id": "m.train", "dag_run_id": run_id.replace("%3A", ":").replace("%2B", "+")}
    return {**named, "state": "queued", "run_type": "manual"}


@pytest.mark.parametrize(
    "script",
    [
        [MADE],
        [LOCKED, LOCKED, MADE],
        [LOCKED_BUT_MADE],
        [LOCKED, LOCKED_BUT_MADE],
    ],
)
def test_one_run_is_made_and_told(
    api: AirflowApi, airflow: Airflow, script: list[tuple[int, bool]]
) -> None:
    airflow.script = script
    told = api.trigger("m.train", {}, "by hand")
    assert airflow.made == [told.run_id]
    assert set(airflow.asked) == {told.run_id}


def test_two_runs_are_two(api: AirflowApi, airflow: Airflow) -> None:
    airflow.script = [MADE, MADE]
    assert api.trigger("m.train", {}, "").run_id != api.trigger("m.train", {}, "").run_id


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_a_no_is_not_asked_again(api: AirflowApi, airflow: Airflow, status: int) -> None:
    airflow.script = [(status, False)]
    with pytest.raises(AirflowRefused) as refused:
        api.trigger("m.train", {}, "")
    assert refused.value.status == status
    assert len(airflow.asked) == 1


def test_an_airflow_that_stays_locked_is_an_error(api: AirflowApi, airflow: Airflow) -> None:
    airflow.script = [LOCKED] * 9
    with pytest.raises(AirflowRefused, match="500"):
        api.trigger("m.train", {}, "")
    assert len(airflow.asked) == 5
    assert airflow.made == []
