"""Airflow's REST API as the commands need it: log in, look, trigger, and load the settings file.

An Airflow that does not answer raises `Unavailable`; one that says no raises `AirflowRefused` with
its words. A token that has expired is replaced without a word.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from include.evergreen.errors import EvergreenError, Unavailable

log = logging.getLogger(__name__)

TIMEOUT_S = 20.0
_UNAUTHORISED, _CONFLICT, _SERVER_ERROR, _GATEWAY_ERRORS = 401, 409, 500, (502, 503, 504)
_TRIGGER_TRIES, _TRIGGER_PAUSE_S = 5, 1.0


class AirflowRefused(EvergreenError):
    """Airflow understood the request and said no."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class PartHealth:
    """`healthy` stays said for a while after a death; `heartbeat` tells (None: it has none)."""

    status: str
    heartbeat: dt.datetime | None


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG. `started_at` is '' while it is queued; times are ISO 8601."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    queued_at: str
    started_at: str
    ended_at: str

    @property
    def is_over(self) -> bool:
        return self.state in ("success", "failed")


@dataclass(frozen=True)
class TaskRun:
    """One task instance. `map_index` is -1 for a task that is not mapped."""

    task_id: str
    map_index: int
    state: str
    try_number: int


class AirflowApi:
    """One Airflow, as one user. Proxies of the environment are not for this machine's own."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url.rstrip("/")
        self._login = {"username": user, "password": password}
        self._http = requests.Session()
        self._http.trust_env = False

    def close(self) -> None:
        self._http.close()

    def health(self) -> dict[str, PartHealth]:
        """Part -> how Airflow sees it; needs no login."""
        document = self._send("GET", "/api/v2/monitor/health").json()
        return {
            part: PartHealth((what or {}).get("status") or "", _heartbeat(part, what or {}))
            for part, what in document.items()
        }

    def warm_up(self) -> None:
        """The first call of the API that tasks use costs seconds: make it before a task does."""
        self._send("GET", "/execution/health")

    def dags(self, model: str) -> dict[str, dict[str, Any]]:
        """DAG id -> what Airflow knows, of a model's DAGs that are parsed and not stale."""
        found = self._get(
            "/dags", {"tags": [f"model:{model}"], "limit": 50, "exclude_stale": "true"}
        )
        return {dag["dag_id"]: dag for dag in found["dags"]}

    def any_dags(self) -> list[dict[str, Any]]:
        """Up to 100 DAGs that are not stale."""
        return list(self._get("/dags", {"limit": 100, "exclude_stale": "true"})["dags"])

    def reparse(self, file_token: str) -> None:
        """Ask for a DAG file to be read again soon."""
        self._call("PUT", f"/parseDagFile/{quote(file_token, safe='')}")

    def import_errors(self) -> dict[str, str]:
        """DAG file -> why it could not be read."""
        found = self._get("/importErrors", {"limit": 50})["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in found}

    def runs(self, dag_id: str, since: str, limit: int = 20) -> list[DagRun]:
        """Runs queued at `since` (ISO 8601) or later, newest first."""
        asked = {"limit": limit, "order_by": "-run_after", "run_after_gte": since}
        found = self._get(f"/dags/{quote(dag_id)}/dagRuns", asked)["dag_runs"]
        return [_run(run) for run in found]

    def run(self, dag_id: str, run_id: str) -> DagRun:
        return _run(self._get(f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}"))

    def tasks(self, run: DagRun) -> list[TaskRun]:
        """The task instances of a run."""
        path = f"/dags/{quote(run.dag_id)}/dagRuns/{quote(run.run_id)}/taskInstances"
        found = self._get(path, {"limit": 200})["task_instances"]
        return [
            TaskRun(task["task_id"], task["map_index"], task["state"] or "", task["try_number"])
            for task in found
        ]

    def log_lines(self, run: DagRun, task: TaskRun) -> list[str]:
        """What the newest try of a task logged, one event a line."""
        path = (
            f"/dags/{quote(run.dag_id)}/dagRuns/{quote(run.run_id)}/taskInstances/"
            f"{quote(task.task_id)}/logs/{max(task.try_number, 1)}"
        )
        content = self._get(path, {"map_index": task.map_index, "full_content": "true"})["content"]
        return [line for event in content for line in _log_lines(event)]

    def trigger(self, dag_id: str, conf: Mapping[str, Any], note: str) -> DagRun:
        """Start one run by hand, as a person would.

        A busy Airflow on SQLite answers with a 500 that says nothing about whether the run was
        made. It is asked again under the same run id, so that there is never a second one.
        """
        run_id = f"manual__{dt.datetime.now(dt.UTC).isoformat()}_{secrets.token_hex(4)}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf), "note": note}
        for attempt in range(1, _TRIGGER_TRIES + 1):
            try:
                return _run(self._call("POST", f"/dags/{quote(dag_id)}/dagRuns", body))
            except AirflowRefused as error:
                if error.status == _CONFLICT and attempt > 1:
                    return self.run(dag_id, run_id)
                if error.status != _SERVER_ERROR or attempt == _TRIGGER_TRIES:
                    raise
                log.warning("%s It is asked again.", error)
                time.sleep(_TRIGGER_PAUSE_S)
        raise AssertionError("unreachable: the last try returns or raises")

    def load(self, collection: str, entities: Sequence[Mapping[str, Any]]) -> None:
        """Create connections, pools or variables in one call; what is there is overwritten."""
        if not entities:
            return
        action = {
            "action": "create",
            "entities": list(entities),
            "action_on_existence": "overwrite",
        }
        done = self._call("PATCH", f"/{collection}", {"actions": [action]})
        if errors := (done.get("create") or {}).get("errors"):
            raise AirflowRefused(f"Airflow did not take these {collection}: {errors}", status=400)

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self._call("GET", path, query=query)

    def _call(
        self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        """One authenticated call of the public API; its JSON."""
        if "Authorization" not in self._http.headers:
            self._log_in()
        answer = self._send(method, f"/api/v2{path}", body, query, may_fail=True)
        if answer.status_code == _UNAUTHORISED:
            self._log_in()
            answer = self._send(method, f"/api/v2{path}", body, query, may_fail=True)
        _check(answer, f"{method} {path}")
        return answer.json() if answer.content else {}

    def _log_in(self) -> None:
        self._http.headers.pop("Authorization", None)
        token = self._send("POST", "/auth/token", self._login).json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        *,
        may_fail: bool = False,
    ) -> requests.Response:
        try:
            answer = self._http.request(
                method, self._url + path, json=body, params=query, timeout=TIMEOUT_S
            )
        except requests.RequestException as error:
            raise Unavailable(f"Airflow does not answer at {self._url}: {error}") from error
        if answer.status_code in _GATEWAY_ERRORS:
            raise Unavailable(f"Airflow at {self._url} is not ready: {answer.status_code}.")
        if not may_fail:
            _check(answer, f"{method} {path}")
        return answer


def _check(answer: requests.Response, what: str) -> None:
    if not answer.ok:
        said = answer.text[:500]
        raise AirflowRefused(
            f"Airflow answered {what} with {answer.status_code}: {said}", answer.status_code
        )


def _heartbeat(part: str, document: Mapping[str, Any]) -> dt.datetime | None:
    said = document.get(f"latest_{part}_heartbeat")
    return dt.datetime.fromisoformat(said) if said else None


def _run(document: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=document["dag_id"],
        run_id=document["dag_run_id"],
        state=document["state"],
        run_type=document["run_type"],
        queued_at=document.get("queued_at") or "",
        started_at=document.get("start_date") or "",
        ended_at=document.get("end_date") or "",
    )


def _log_lines(event: Any) -> list[str]:
    """One structured log event as lines; the error's own text is in `error_detail`."""
    if isinstance(event, str):
        return event.splitlines()
    lines = [str(event.get("event", ""))]
    lines += [
        f"{detail.get('exc_type')}: {detail.get('exc_value')}"
        for detail in event.get("error_detail") or []
    ]
    return lines
