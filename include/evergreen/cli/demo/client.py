"""A client of the served model: asks for predictions over HTTP, as anybody would."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import requests

from include.evergreen.errors import Unavailable
from include.evergreen.stages.bundle import raw_rows

TIMEOUT_S = 30.0
CONNECTIONS = 4
PATIENCE_S = 180.0  # `make down` and `make up` in the middle of it
_SPOOL_WAIT_S = 30.0
_SWITCH_WAIT_S = 60.0
_POLL_S = 0.2


class Client:
    """One endpoint. Proxies of the environment are not for this machine's own services."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._http = requests.Session()
        self._http.trust_env = False

    def contract(self) -> dict[str, Any]:
        """The columns a request has, as the service says it."""
        return dict(self._call("GET", "/contract"))

    def predict(self, records: list[dict[str, Any]]) -> npt.NDArray[np.float64]:
        """[n_rows] float64 predictions of these rows, in their order."""
        answer = self._call("POST", "/invocations", {"dataframe_records": records})
        return np.asarray([_number(item) for item in answer["predictions"]], dtype=np.float64)

    def score_rows(self, rows: pl.DataFrame) -> npt.NDArray[np.float64]:
        return self.predict(raw_rows(rows, self.contract()))

    def serve(self, rows: pl.DataFrame, size: int, tell: Callable[[int], None]) -> int:
        """Ask for all rows, `size` to a request, over a few connections; how many requests."""
        records = raw_rows(rows, self.contract())
        parts = [records[start : start + size] for start in range(0, len(records), size)]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for done, _ in enumerate(pool.map(self.predict, parts), start=1):
                tell(done)
        return len(parts)

    def wait_for_version(self, version: int) -> None:
        """Until this version answers: the ledger names it a moment before clients are sent to it.

        Raises:
            Unavailable: another one still does.
        """
        deadline = time.monotonic() + _SWITCH_WAIT_S
        while (answering := str(self._call("GET", "/version")["version"])) != str(version):
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"v{answering} answers at {self.endpoint} {_SWITCH_WAIT_S:g} s after the "
                    f"ledger said that v{version} does. See the log of deploy."
                )
            time.sleep(_POLL_S)

    def curl(self, rows: pl.DataFrame) -> str:
        """A command to paste, that asks for the first of these rows."""
        body = json.dumps({"dataframe_records": raw_rows(rows.head(1), self.contract())})
        return (
            f"curl -s -H 'Content-Type: application/json' {self.endpoint}/invocations -d '{body}'"
        )

    def wait_for_spool(self) -> None:
        """Until the service has written down all that it answered; it does so every few seconds."""
        deadline = time.monotonic() + _SPOOL_WAIT_S
        while time.monotonic() < deadline:
            spool = self._call("GET", "/health").get("spool") or {}
            if not spool.get("rows_waiting"):
                return
            time.sleep(0.5)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of one call; a model that is being started again is waited for."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self._http.request(
                    method, self.endpoint + path, json=body, timeout=TIMEOUT_S
                )
                break
            except requests.RequestException as error:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"The model does not answer at {self.endpoint}: {error}"
                    ) from error
                time.sleep(0.5)
        if not answer.ok:
            raise Unavailable(
                f"{method} {self.endpoint}{path}: {answer.status_code} {answer.text[:300]}"
            )
        return answer.json()


def _number(item: Any) -> float:
    return float(item["prediction"] if isinstance(item, dict) else item)
