"""Bytes that no client of the service would send: never a 5xx, and everybody else is answered."""

import copy
import http.client
import json
import random
import socket
from typing import Any

import pytest
import requests
from examples import inference

INFER = "/v2/models/rides/infer"
PATHS = [
    "/invocations", INFER, "/v2/models/rides/versions/7/infer", "/v2", "/v2/models/rides",
    "/v2/health/ready", "/ping", "/health", "/version", "/contract", "/stats", "/openapi.json",
    "/docs", "/v2/models/%2e%2e/infer", "//v2", "/v2/", "/v2/models//ready", "/%00", "/?a=%ff",
]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
TOKENS = [
    b"null", b"NaN", b"1e999", b"-0", b"{}", b"[]", b'""', b"true", b"9" * 400, b'"\\ud83d"',
    b"\\u0000", b"1e-400", b"[[[[", b'"INT64"', b'"BYTES"', b'"FP64"', b"[2, 1]", b"[-1]",
    b'"shape"', b'"data"', b'{"binary_data_size": 8}', b",", b":", b"18446744073709551616",
]  # fmt: skip


@pytest.fixture(scope="module")
def infer_body(service) -> bytes:
    contract = json.loads((service.made.directory / "contract.json").read_text())
    return json.dumps({"id": "f", **inference(service.made.rows[:2], contract)}).encode()


def mutated(rng: random.Random, text: bytes) -> bytes:
    """A body with one to four things cut, put in, doubled or replaced."""
    body = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(body) + 1)
        until = min(at + rng.randint(1, 12), len(body))
        change = rng.choice([b"", rng.randbytes(3), rng.choice(TOKENS), bytes(body[at:until]) * 2])
        body[at:until] = change
    return bytes(body)


VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 2**64, 10**400, "", "INT64", "BYTES", "FP64", "prediction", [], [2],
    [2, 1], [[1], [2]], [None, None], ["clear", "rain"], {}, {"binary_data": False},
    {"name": "prediction"}, float("nan"), float("inf"), "\x00", "é" * 2_000,
]  # fmt: skip


def rearranged(rng: random.Random, text: bytes) -> bytes:
    """JSON still, with one to three of its parts replaced, removed, doubled or added."""
    document = json.loads(text)
    for _ in range(rng.randint(1, 3)):
        part: Any = document
        while rng.random() < 0.75 and isinstance(part, list | dict) and part:
            keys = list(part) if isinstance(part, dict) else range(len(part))
            inner = part[rng.choice(keys)]
            if not isinstance(inner, list | dict):
                break
            part = inner
        value = copy.deepcopy(rng.choice(VALUES))
        if isinstance(part, dict):
            names = ["name", "shape", "datatype", "data", "parameters", "outputs", "id", "odd"]
            part[rng.choice([*part, rng.choice(names)])] = value
        elif part and rng.random() < 0.7:
            part[rng.randrange(len(part))] = value
        else:
            part.append(copy.deepcopy(rng.choice([value, *part])))
    return json.dumps(document).encode()


def broken(rng: random.Random, text: bytes) -> bytes:
    """Mostly JSON that is no request, some that is no JSON, and some noise."""
    chance = rng.random()
    if chance < 0.7:
        return rearranged(rng, text)
    return mutated(rng, text) if chance < 0.95 else rng.randbytes(60)


def test_broken_inferences_get_4xx_or_an_answer_never_5xx(service, infer_body) -> None:
    rng = random.Random(13)
    seen: dict[int, int] = {}
    with requests.Session() as session:
        for _ in range(1_500):
            body = broken(rng, infer_body)
            answer = session.post(f"{service.url}{INFER}", data=body, timeout=30)
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            assert answer.status_code in (200, 400, 413, 422), (body, answer.text)
            assert ("outputs" if answer.ok else "error") in answer.json(), body
    assert {200, 400, 422} <= seen.keys(), seen
    assert seen[422] > 300, seen
    assert "nobody foresaw" not in service.log.read_text()


def odd_headers(rng: random.Random) -> dict[str, Any]:
    """Headers with values that look like others, are long, or are no text."""
    names = ["Content-Type", "Content-Encoding", "X-Request-Id", "X-Evergreen-Probe", "Accept",
             "Inference-Header-Content-Length", "Expect", "Upgrade", "Connection", "Origin",
             "X-" + "n" * 200]  # fmt: skip
    values = ["", "application/json", "application/json; charset=utf-16", "text/csv", "gzip", "*/*",
              "identity", "a, b", ";;;", "\xff\xfe", "x" * 5_000, "0", "-1", "h2c", "close",
              "multipart/form-data; boundary=a"]  # fmt: skip
    chosen = rng.sample(names, rng.randint(0, 4))
    return {name: rng.choice(values) for name in chosen}


def test_odd_methods_headers_and_paths_are_answered_below_500(service, infer_body) -> None:
    rng = random.Random(17)
    for _ in range(600):
        path, method = rng.choice(PATHS), rng.choice(METHODS)
        body = rng.choice([None, b"", b"{}", infer_body, rng.randbytes(30)])
        headers = odd_headers(rng)
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        case = (method, path, headers, answer.status, content[:200])
        assert answer.status < 500, case
        if answer.headers.get("X-Request-Id") is None:
            assert answer.status == 400, case
            continue
        assert answer.headers["X-Model-Version"] == "7", case
        if answer.status == 405:
            assert answer.headers["Allow"], case
        if method == "HEAD":
            assert content == b"", case
        elif answer.status >= 400:
            key = "error" if path.startswith("/v2") else "message"
            assert json.loads(content)[key], case
    assert "nobody foresaw" not in service.log.read_text()


def answers(port: int, pieces: list[bytes], count: int) -> list[tuple[int, str]]:
    """Statuses and request ids of what comes back on one connection."""
    found = []
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(10)
        for piece in pieces:
            connection.sendall(piece)
        stream = connection.makefile("rb")
        for _ in range(count):
            status = int(stream.readline().split()[1])
            headers = http.client.parse_headers(stream)
            stream.read(int(headers["Content-Length"]))
            found.append((status, headers["X-Request-Id"]))
    return found


def test_pipelined_requests_are_answered_in_order_however_they_are_cut(service, infer_body) -> None:
    rng = random.Random(19)
    for round_ in range(20):
        sent = b""
        expected = []
        for index in range(rng.randint(2, 8)):
            name = f"r{round_}-{index}"
            method, path, body, status = rng.choice(
                [
                    ("POST", INFER, infer_body, 200),
                    ("POST", INFER, b'{"inputs": 5}', 422),
                    ("POST", INFER, b"{", 400),
                    ("POST", "/v2/models/x/infer", infer_body, 404),
                    ("POST", "/ping", b"{}", 405),
                    ("GET", "/v2", b"", 200),
                    ("GET", "/nowhere", b"body", 404),
                ]
            )
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {name}\r\n"
            sent += f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            expected.append((status, name))
        cuts = sorted(rng.sample(range(len(sent)), min(rng.randint(0, 6), len(sent))))
        pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
        assert answers(service.port, pieces, len(expected)) == expected


def test_mutated_requests_on_the_socket_harm_nobody(service, infer_body) -> None:
    rng = random.Random(23)
    head = (
        f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(infer_body)}\r\n\r\n"
    ).encode()
    for _ in range(300):
        raw = mutated(rng, head) + infer_body if rng.random() < 0.8 else rng.randbytes(300)
        with socket.create_connection(("127.0.0.1", service.port), 5) as connection:
            connection.settimeout(5)
            try:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(4_000)
            except ConnectionError:
                continue
            assert not answer[9:].startswith(b"5"), (raw, answer)
    assert requests.post(f"{service.url}{INFER}", data=infer_body, timeout=10).status_code == 200
    assert "nobody foresaw" not in service.log.read_text()
