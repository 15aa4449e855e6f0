"""Bad requests are refused with the field, what was seen and what is allowed; never with a 5xx."""

import http.client
import json
import random
import socket
import threading
import time

import pytest
import requests


def good(service) -> dict:
    return dict(service.made.rows[1])


def refusal(answer: requests.Response, status: int) -> dict:
    assert answer.status_code == status, (answer.status_code, answer.text)
    return answer.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"dataframe_records": [}', 400),
        (b"\xff\xfe", 400),
        (b"[" * 50_000, 400),
        (b'{"instances":' * 3_000, 400),
        (b'{"dataframe_records": "\\ud800"}', 400),
        (b"NaN", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'"text"', 422),
        (b"{}", 422),
        (b'{"dataframe_records": []}', 422),
        (b'{"dataframe_records": [], "instances": []}', 422),
        (b'{"dataframe_records": [1]}', 422),
        (b'{"dataframe_records": {"a": 1}}', 422),
        (b'{"dataframe_split": {"columns": ["a"]}}', 422),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', 422),
        (b'{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}', 422),
        (b'{"dataframe_split": {"columns": [1], "data": [[1]]}}', 422),
        (b'{"inputs": {"a": [1], "b": 2}}', 422),
        (b'{"inputs": {"temperature": [1], "humidity": [1, 2]}}', 422),
        (b'{"instances": [[1]]}', 422),
        (b'{"dataframe_records": [{"a": 1}], "params": {"x": 1}}', 422),
        (b'{"unknown": 1}', 422),
    ],
)
def test_what_is_no_request_is_refused_with_a_message(service, body, status) -> None:
    said = refusal(service.send(body), status)
    assert said["message"]


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/json; charset=latin-1", "application/x-parquet"]
)
def test_another_content_type_is_415(service, content_type) -> None:
    body = json.dumps({"dataframe_records": [good(service)]}).encode()
    assert "Content-Type is" in refusal(service.send(body, content_type), 415)["message"]


def test_a_compressed_body_is_415(service) -> None:
    answer = requests.post(
        f"{service.url}/invocations",
        data=b"\x1f\x8b",
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
        timeout=10,
    )
    assert "Content-Encoding" in refusal(answer, 415)["message"]


CASES = [
    ("temperature", 50.5, "50.5", "a finite number from -30 to 50, or null"),
    ("temperature", "7", "'7'", "a finite number from -30 to 50, or null"),
    ("temperature", True, "true", "a finite number from -30 to 50, or null"),
    ("humidity", None, "null", "a whole number from 0 to 100"),
    ("humidity", 3.5, "3.5", "a whole number from 0 to 100"),
    ("humidity", "3", "'3'", "a whole number from 0 to 100"),
    ("weather", "snow", "'snow'", "one of clear, mist, rain"),
    ("weather", None, "null", "one of clear, mist, rain"),
    ("weather", ["clear"], "an array", "one of clear, mist, rain"),
    ("weather", {}, "an object", "one of clear, mist, rain"),
    ("season", True, "true", "one of 1, 2, 3, 4, anything else is taken as missing"),
    ("holiday", "yes", "'yes'", "true or false"),
    ("holiday", 2, "2", "true or false"),
    ("at", "yesterday", "'yesterday'", "an ISO 8601 time"),
    ("at", 1710000000, "1710000000", "an ISO 8601 time"),
    ("at", "9999-01-01T00:00:00Z", "'9999-01-01T00:00:00Z'", "an ISO 8601 time, 1900 to 2199"),
    ("ride", 1.5, "1.5", "a text or a whole number"),
]


@pytest.mark.parametrize(("field", "value", "seen", "allowed"), CASES)
def test_a_bad_value_is_422_with_field_seen_and_allowed(
    service, field, value, seen, allowed
) -> None:
    rows = [good(service), {**good(service), field: value}]
    if field == "ride":
        rows[0]["ride"] = "r1"
    (named,) = refusal(service.post({"dataframe_records": rows}), 422)["fields"]
    assert named["field"] == field
    assert named["seen"] == seen
    assert named["allowed"].startswith(allowed)
    assert (named["row"], named["rows"]) == (1, 1)


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e400", "-1e999"])
@pytest.mark.parametrize("field", ["temperature", "humidity", "season"])
def test_a_number_that_is_not_finite_is_422_and_its_field_named(service, token, field) -> None:
    text = json.dumps({"dataframe_records": [{**good(service), field: "@"}]})
    answer = service.send(text.replace('"@"', token).encode())
    assert refusal(answer, 422)["fields"][0]["field"] == field


@pytest.mark.parametrize("count", [1e39, 10**39])
def test_a_number_beyond_float32_is_refused_where_the_contract_has_no_bound(
    weather_service, count
) -> None:
    row = {**weather_service.made.rows[1], "count": count}
    (field,) = refusal(weather_service.post({"dataframe_records": [row]}), 422)["fields"]
    assert (field["field"], field["seen"]) == ("count", "1e+39")


def test_missing_and_extra_fields_are_all_named(service) -> None:
    row = good(service)
    del row["weather"]
    row |= {"wheather": "clear", "count": 3}
    fields = refusal(service.post({"dataframe_records": [row]}), 422)["fields"]
    assert {field["field"]: field["seen"] for field in fields} == {
        "weather": "nothing: it is missing",
        "wheather": "a field the contract does not have",
        "count": "a field the contract does not have",
    }


def test_a_row_alone_with_one_field_too_many_is_refused(service) -> None:
    row = good(service) | {"count": 3}
    (field,) = refusal(service.post({"dataframe_records": [row]}), 422)["fields"]
    assert (field["field"], field["seen"]) == ("count", "a field the contract does not have")


def test_a_field_missing_in_some_rows_is_named_with_the_first_of_them(service) -> None:
    rows = [good(service) for _ in range(3)]
    del rows[2]["temperature"]
    (field,) = refusal(service.post({"dataframe_records": rows}), 422)["fields"]
    assert (field["field"], field["row"], field["rows"]) == ("temperature", 2, 1)


def test_of_many_bad_fields_ten_are_shown_and_all_are_counted(service) -> None:
    row = good(service) | {f"extra_{i}": i for i in range(25)}
    said = refusal(service.post({"dataframe_records": [row]}), 422)
    assert (len(said["fields"]), said["field_count"]) == (10, 25)


def test_what_the_contract_allows_is_taken(service) -> None:
    row = good(service) | {
        "temperature": None,
        "humidity": 3.0,
        "season": 9,
        "holiday": 1,
        "ride": 17,
        "at": "2024-07-01 10:00",
    }
    assert service.post({"dataframe_records": [row]}).status_code == 200


def test_too_many_rows_are_413(service) -> None:
    said = refusal(service.post({"inputs": {"humidity": [1] * 101}}), 413)
    assert said["message"] == "The request holds 101 rows; at most 100 are taken."


def test_a_large_body_is_413_whatever_its_length_claims(service) -> None:
    assert refusal(service.send(b" " * 70_000), 413)["error_code"] == "TOO_LARGE"

    def chunks():
        for _ in range(20):
            yield b" " * 8_000

    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{service.url}/invocations", data=chunks(), headers=headers, timeout=10)
    assert refusal(answer, 413)["error_code"] == "TOO_LARGE"


def test_a_gigabyte_is_cut_off_and_others_are_served_meanwhile(service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), 10) as giant:
        head = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        giant.sendall(f"{head}Content-Length: {2**30}\r\n\r\n".encode())
        assert b" 413 " in giant.recv(1000)
        assert service.post({"inputs": good(service)}).status_code == 200
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            giant.sendall(b" " * 100_000_000)


def test_a_slow_body_is_cut_off_with_408_and_others_are_served_meanwhile(service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.putrequest("POST", "/invocations")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "1000")
    connection.endheaders()
    connection.send(b"{")
    began = time.monotonic()
    assert service.post({"inputs": good(service)}).status_code == 200
    assert connection.getresponse().status == 408
    assert time.monotonic() - began < 8
    connection.close()


def mutated(rng: random.Random, text: bytes) -> bytes:
    """A valid body with a few things wrong in it, or something that never was one."""
    body = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(body)) if body else 0
        action = rng.randrange(5)
        if action == 0:
            body[at : at + rng.randint(1, 8)] = b""
        elif action == 1:
            body[at:at] = rng.randbytes(rng.randint(1, 4))
        elif action == 2:
            token = rng.choice(
                [b"null", b"NaN", b"1e999", b"-0", b"{}", b"[]", b'""', b"true", b"9" * 400,
                 b'"\\ud83d"', b"\\u0000", b"1e-400", b"[[[[", b'"__proto__"', b",", b":"]
            )  # fmt: skip
            body[at:at] = token
        elif action == 3:
            body = body[: rng.randrange(len(body) + 1)]
        else:
            values = [b"null", b"-1", b"1e38", b'"clear"', b"[1]", b"18446744073709551616", b"0.1"]
            start = body.find(b": ", at)
            end = body.find(b",", start)
            if 0 <= start < end:
                body[start + 2 : end] = rng.choice(values)
    return bytes(body)


def test_thousands_of_broken_bodies_get_4xx_or_an_answer_never_5xx(service) -> None:
    rng = random.Random(7)
    rows = service.made.rows[:2]
    names = list(rows[0])
    texts = [
        json.dumps(document).encode()
        for document in (
            {"dataframe_records": rows},
            {"dataframe_split": {"columns": names, "data": [list(row.values()) for row in rows]}},
            {"inputs": {name: [row[name] for row in rows] for name in names}},
            {"instances": [list(row.values()) for row in rows]},
        )
    ]
    texts.append(b"temperature,humidity,weather,season,holiday,at\n1,2,rain,3,true,2024-01-01\n")
    session = requests.Session()
    seen: dict[int, int] = {}
    for _ in range(3000):
        text = rng.choice(texts)
        kind = "text/csv" if text.startswith(b"temp") else "application/json"
        body = mutated(rng, text)
        answer = session.post(
            f"{service.url}/invocations", data=body, headers={"Content-Type": kind}, timeout=30
        )
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, body
        if answer.status_code != 200:
            assert answer.json()["message"], body
    assert {200, 400, 422} <= seen.keys(), seen


def test_raw_garbage_on_the_socket_harms_nobody(service) -> None:
    rng = random.Random(11)

    def throw(content: bytes) -> None:
        with socket.create_connection(("127.0.0.1", service.port), 5) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(5)
            answer = connection.recv(1000)
            assert b" 50" not in answer[:13], (content, answer)

    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    throws = [rng.randbytes(200) for _ in range(50)]
    throws += [
        head + b"Content-Length: -5\r\n\r\n{}",
        head + b"Content-Length: 99999999999999999999999999\r\n\r\n{}",
        head + b"Content-Length: 5\r\n\r\n{}",
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        head + b"X-Request-Id: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /invocations%00 HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET /%ff%fe?\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    threads = [threading.Thread(target=throw, args=(content,)) for content in throws]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert service.post({"inputs": good(service)}).status_code == 200
    assert "nobody foresaw" not in service.log.read_text()


def test_a_megabyte_of_column_names_is_refused_without_counting_each_against_each(service):
    began = time.monotonic()
    names = [f"c{n}" for n in range(60_000)]
    for document in (
        {"dataframe_split": {"columns": [*names, "c0"], "data": []}},
        {"dataframe_records": [{name: 1} for name in names[:9_000]]},
    ):
        answer = requests.post(f"{service.url}/invocations", json=document, timeout=30)
        assert answer.status_code in (413, 422)
    assert time.monotonic() - began < 20, "it once grew with the square"
