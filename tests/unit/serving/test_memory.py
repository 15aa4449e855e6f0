"""A hundred thousand requests, good and bad, leave the service as large as it was."""

from __future__ import annotations

import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

import psutil
import pytest
import requests

from tests.unit.serving.conftest import Running, started

#: A hundred thousand is so many slices; what an allocator takes it has taken within `MOST_SLICES`.
WINDOW, MOST_SLICES, SLICE, WARM_UP = 4, 14, 25_000, 40_000
#: Sent at once on one connection, answered in their order.
BATCH = 200
#: 30 bytes a request would be seen.
MOST_GROWTH = 3_000_000


@pytest.fixture(scope="module")
def asked(rides, tmp_path_factory, free_port) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("memory")
    with started(rides, folder, free_port(), EVERGREEN_SPOOL_SECONDS="1") as running:
        yield running


def requests_of(running: Running) -> list[bytes]:
    """A batch: alone and among others, in both protocols, refused in four ways, and pages."""
    rows = running.made.rows
    good = [{"dataframe_records": [row]} for row in rows[:20]] + [{"instances": rows[:7]}]
    wrong = [{"dataframe_records": [{**rows[0], "humidity": 10**9}]}, {"unknown": [1]}]
    column = {"name": "nobody", "shape": [1], "datatype": "FP64", "data": [1.0]}
    made = [post("/invocations", json.dumps(document)) for document in good * 7 + wrong * 3]
    made += [post("/v2/models/rides/infer", json.dumps({"inputs": [column]}))] * 2
    made += [post("/invocations", "{"), b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"] * 2
    made += [b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"]
    return [made[index % len(made)] for index in range(BATCH)]


def post(path: str, body: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def ask(running: Running, number: int) -> Counter[int]:
    """So many requests over one connection; the answers by their status."""
    batch = b"".join(requests_of(running))
    seen: Counter[int] = Counter()
    address = ("127.0.0.1", running.port)
    with (
        socket.create_connection(address, timeout=60) as connection,
        connection.makefile("rb") as said,
    ):
        for _ in range(number // BATCH):
            connection.sendall(batch)
            seen.update(answer_status(said) for _ in range(BATCH))
    return seen


def answer_status(said: BinaryIO) -> int:
    """The status of the next answer, which is read to its end."""
    status = int(said.readline().split(b" ")[1])
    while (line := said.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line[15:])
    said.read(length)
    return status


def resting_bytes(running: Running) -> int:
    """What the service and its log's writer have for themselves, once nothing waits."""
    deadline = time.monotonic() + 60
    while waiting_rows(running):
        assert time.monotonic() < deadline, "the log is not written"
        time.sleep(0.2)
    service = psutil.Process(running.process.pid)
    return sum(each.memory_full_info().uss for each in (service, *service.children()))


def waiting_rows(running: Running) -> float:
    page = requests.get(f"{running.url}/metrics", timeout=10).text
    found = re.search(r"^evergreen_prediction_log_rows_waiting\{.*\} (\S+)$", page, re.MULTILINE)
    assert found is not None, page
    return float(found[1])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_thousand_requests_leave_no_memory_behind(asked) -> None:
    """Once it has what it needs: a leak grows for ever, an allocator does for a while."""
    assert set(ask(asked, WARM_UP)) == {200, 400, 404, 422}
    rested = [resting_bytes(asked)]
    for _ in range(MOST_SLICES):
        seen = ask(asked, SLICE)
        assert sum(seen.values()) == SLICE
        assert seen[200] > SLICE // 2
        rested.append(resting_bytes(asked))
        if len(rested) > WINDOW and rested[-1] - rested[-1 - WINDOW] < MOST_GROWTH:
            return
    grown = [after - before for before, after in pairwise(rested)]
    pytest.fail(f"it grows without an end, by bytes after {SLICE:,} requests each: {grown}")
