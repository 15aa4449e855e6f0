"""Talks to a service as a client would, marked so that what it sends is not taken for traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import requests

from include.evergreen.adapters.runtime import PROBE_HEADER

PROBE_HEADERS = {PROBE_HEADER: "1"}
TIMEOUT_S = 10.0


class ServiceProbe:
    """One connection to a service. Every answer is a status and a body; status 0: none came."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of this machine has no business on 127.0.0.1
        self._session.headers.update(PROBE_HEADERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, path: str, timeout_s: float = TIMEOUT_S) -> tuple[int, Any]:
        """Status, and the JSON body (None where there is none)."""
        return self._ask("GET", path, timeout_s=timeout_s)

    def text(self, path: str, timeout_s: float = TIMEOUT_S) -> str:
        """The body as text; '' if none came with status 200."""
        try:
            answer = self._session.get(f"{self._endpoint}{path}", timeout=timeout_s)
        except requests.RequestException:
            return ""
        return answer.text if answer.ok else ""

    def post(
        self, path: str, body: bytes, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        return self._ask("POST", path, body=body, headers={"Content-Type": content_type})

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> tuple[int, Any]:
        try:
            answer = self._session.request(
                method, f"{self._endpoint}{path}", data=body, headers=headers, timeout=timeout_s
            )
        except requests.RequestException:
            return 0, None  # the caller's check says what was asked and that nothing answered
        try:
            return answer.status_code, answer.json()
        except requests.JSONDecodeError:
            return answer.status_code, None
