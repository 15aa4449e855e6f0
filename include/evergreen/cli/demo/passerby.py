"""Who asks production while a version takes over, and counts what was not answered."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

import requests

from include.evergreen.cli.demo.patience import DemoFailed
from include.evergreen.errors import EvergreenError

TIMEOUT_S = 30.0
#: Each request has other rows, from all over the period: a canary compares what two versions say to
#: a few dozen requests, and an afternoon's rows are too much alike to tell a spread by.
_ROWS_A_REQUEST = 8
_PAUSE_S = 0.02
_SEED = 7


class Passerby:
    """Asks without patience, for as long as the block, and counts what it got.

    Behind a gateway the address stays. Where it changes with the version, a request that failed is
    asked again at the address of now. While nobody can say the address, the last one holds.
    """

    def __init__(self, records: list[dict[str, Any]], address: Callable[[], str]) -> None:
        self._known = address()
        self.answered: Counter[str] = Counter()
        self.lost: list[str] = []
        self._bodies = itertools.cycle(_bodies(records))
        self._address = address
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="passerby", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def told(self) -> str:
        """`812 requests answered meanwhile (v1 700, v2 112), 0 lost`"""
        by = ", ".join(f"v{version} {count:,}" for version, count in sorted(self.answered.items()))
        who = f" ({by})" if by else ""
        return f"{self.answered.total():,} requests answered meanwhile{who}, {len(self.lost)} lost"

    def require_none_lost(self) -> None:
        """
        Raises:
            DemoFailed: a request was not answered.
        """
        if self.lost:
            raise DemoFailed(f"{self.told()}. The first: {self.lost[0]}")

    def _run(self) -> None:
        with requests.Session() as http:
            http.trust_env = False
            while not self._done.wait(_PAUSE_S):
                asked, body = self._where(), next(self._bodies)
                why = self._ask(http, asked, body)
                if why and (now := self._where()) != asked:
                    why = self._ask(http, now, body)
                if why:
                    self.lost.append(why)

    def _where(self) -> str:
        with contextlib.suppress(EvergreenError):
            self._known = self._address()
        return self._known

    def _ask(self, http: requests.Session, address: str, body: dict[str, Any]) -> str:
        """What went wrong; empty where it was answered."""
        try:
            answer = http.post(f"{address}/invocations", json=body, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            return f"{address}: {error}"
        if not answer.ok:
            return f"{address}: {answer.status_code} {answer.text[:200]}"
        self.answered[answer.headers.get("X-Model-Version", "?")] += 1
        return ""


def _bodies(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Requests that ask for all records, a few in each, in an order that is always the same."""
    mixed = random.Random(_SEED).sample(records, len(records))  # noqa: S311 - no secret
    starts = range(0, len(mixed), _ROWS_A_REQUEST)
    return [{"dataframe_records": mixed[start : start + _ROWS_A_REQUEST]} for start in starts]
