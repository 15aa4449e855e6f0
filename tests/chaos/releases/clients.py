"""Clients that ask production all the time, and what came of each of their requests."""

from __future__ import annotations

import http.client
import itertools
import json
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

CLIENTS, PAUSE_S = 6, 0.04
#: Nobody waits longer for a prediction.
LONGEST_S = 30.0
_OK, _SERVER_ERROR = 200, 500
#: What a service says whose model answers NaN.
_NO_NUMBER = "no finite prediction"
_SAME = 1e-9


@dataclass(frozen=True)
class Answer:
    """One request. `status` 0: no answer came; `who` answered: a version, or '' for the gateway.

    `right`: its prediction is, bit for bit but for the last ones, what that version predicts.
    """

    sent: float
    done: float
    who: str
    status: int
    right: bool
    key: int
    prediction: float
    why: str = ""

    @property
    def seconds(self) -> float:
        return self.done - self.sent

    @property
    def kind(self) -> str:
        """`answered`, `refused`, `wrong`, `5xx` or `lost`."""
        if self.status == _OK:
            return "answered" if self.right else "wrong"
        if self.status == 0:
            return "lost"
        if self.status >= _SERVER_ERROR:
            return "refused" if self.who and _NO_NUMBER in self.why else "5xx"
        return "wrong"


class Clients:
    """So many keep-alive connections, each with a pause after an answer; nothing is asked again.

    `expected` has what each version predicts for each of the rows.
    """

    def __init__(
        self,
        endpoint: str,
        rows: Sequence[Mapping[str, Any]],
        expected: Mapping[str, Sequence[float]],
    ) -> None:
        self._address, self._rows, self._expected = urlsplit(endpoint), rows, expected
        self._keys = itertools.count(1)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(CLIENTS)]
        self._answers: list[Answer] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def take(self) -> list[Answer]:
        """The answers since this was asked last, in their order."""
        taken, self._answers = self._answers, []
        return taken

    def seen(self, since: float = 0.0) -> list[Answer]:
        """Those of the requests sent since then that were not taken yet."""
        return [answer for answer in self._answers if answer.sent >= since]

    def _run(self, seed: int) -> None:
        draw, connection = random.Random(seed), self._connect()
        while not self._over.wait(PAUSE_S):
            answer = self._ask(connection, draw.randrange(len(self._rows)), next(self._keys))
            if not answer.status:
                connection.close()
                connection = self._connect()
            self._answers.append(answer)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        return http.client.HTTPConnection(host, port, timeout=LONGEST_S)

    def _ask(self, connection: http.client.HTTPConnection, number: int, key: int) -> Answer:
        row = {**self._rows[number], "ride": str(key)}
        body = json.dumps({"dataframe_records": [row]})
        headers = {"Content-Type": "application/json", "X-Request-Key": str(key)}
        sent = time.monotonic()
        try:
            connection.request("POST", "/invocations", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return Answer(sent, time.monotonic(), "", 0, False, key, math.nan, repr(error))
        done, who = time.monotonic(), answer.headers.get("X-Model-Version", "")
        if answer.status != _OK:
            why = content.decode(errors="replace")[:200]
            return Answer(sent, done, who, answer.status, False, key, math.nan, why)
        seen = json.loads(content)["predictions"]
        right = who in self._expected and len(seen) == 1
        right = right and math.isclose(seen[0], self._expected[who][number], rel_tol=_SAME)
        return Answer(sent, done, who, _OK, right, key, seen[0], "" if right else f"{row}: {seen}")


def p99_s(answers: Sequence[Answer], who: str) -> float:
    """Of one version's answers; 0 of none."""
    waited = sorted(answer.seconds for answer in answers if answer.who == who)
    return waited[math.ceil(0.99 * len(waited)) - 1] if waited else 0.0


def tally(answers: Sequence[Answer]) -> Counter[str]:
    """How many of each kind."""
    return Counter(answer.kind for answer in answers)


def back_after_s(answers: Sequence[Answer], old: str, struck: float, slow_s: float) -> float:
    """Seconds from the fault until the old version had begun to answer everything, in time.

    The last answer that was another's, was none, or took longer than `slow_s`, says when.
    """
    other = [
        answer.done
        for answer in answers
        if answer.done >= struck
        and not (answer.kind == "answered" and answer.who == old and answer.seconds <= slow_s)
    ]
    return max(other, default=struck) - struck
