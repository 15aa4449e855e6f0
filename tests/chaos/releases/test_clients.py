"""The clients see a request that is lost, refused, answered wrongly or by nobody, and late ones."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.releases.clients import Answer, Clients, back_after_s, p99_s, tally


@contextmanager
def answering(status: int, version: str, prediction: float) -> Iterator[str]:
    """A service that answers so; with status 0 it breaks off instead."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if not status:
                self.close_connection = True
                return
            said = {"message": "The model gives no finite prediction"} if prediction < 0 else {}
            body = json.dumps({"predictions": [prediction], **said}).encode()
            self.send_response(status)
            if version:
                self.send_header("X-Model-Version", version)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "version", "prediction", "kind"),
    [
        (200, "2", 5.0, "answered"),
        (200, "2", 5.001, "wrong"),
        (200, "3", 5.0, "wrong"),
        (500, "2", -1.0, "refused"),
        (500, "2", 0.0, "5xx"),
        (500, "", -1.0, "5xx"),
        (422, "2", 0.0, "wrong"),
        (404, "2", 0.0, "wrong"),
        (503, "", 0.0, "5xx"),
        (0, "", 0.0, "lost"),
    ],
)
def test_what_came_of_a_request(status: int, version: str, prediction: float, kind: str) -> None:
    with answering(status, version, prediction) as endpoint:
        clients = Clients(endpoint, [{}], {"2": [5.0]})
        with clients:
            time.sleep(0.2)
    found = clients.take()
    assert len(found) >= 6, "every client goes on after whatever came"
    assert set(tally(found)) == {kind}, found[0]
    assert clients.take() == []


def answer(done: float, who: str = "1", status: int = 200, sent: float | None = None) -> Answer:
    began = done - 0.01 if sent is None else sent
    return Answer(began, done, who, status, status == 200, 1, 0.0)


@pytest.mark.parametrize(
    ("last", "back_s"),
    [
        (answer(14.0), 2.0),
        (answer(14.0, "2"), 4.0),
        (answer(14.0, "1", 422), 4.0),
        (answer(14.0, "", 0), 4.0),
        (answer(14.0, sent=11.0), 4.0),
        (answer(14.0, sent=12.5), 2.0),
    ],
    ids=["the old version's", "the other's", "refused", "none", "waited for", "a little late"],
)
def test_the_old_version_is_back_when_it_answers_everything_in_time(
    last: Answer, back_s: float
) -> None:
    answers = [answer(9.0, "2"), answer(11.0), answer(12.0, "2"), last]
    assert back_after_s(answers, "1", struck=10.0, slow_s=2.0) == back_s
    assert back_after_s(answers[1:2], "1", struck=10.0, slow_s=2.0) == 0.0


def test_the_p99_is_of_one_version_s_answers() -> None:
    slow = [answer(2.0, "1", sent=1.0), answer(9.0, "2", sent=1.0)]
    answers = [answer(n) for n in range(99)]
    assert p99_s([*answers, *slow], "1") == pytest.approx(0.01)
    assert p99_s([*answers[:50], *slow], "1") == 1.0
    assert p99_s(slow, "3") == 0.0
