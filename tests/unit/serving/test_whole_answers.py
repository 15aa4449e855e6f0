"""A process that is killed leaves a whole answer or none: head and body are one write."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import uvicorn
from uvicorn.server import ServerState
from whole_answers import WholeAnswers

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY = {"type": "http.response.body", "body": b"ok"}


def written(requests: bytes, *, waits: bool = False) -> list[bytes]:
    """What is written to the socket, write by write."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        if waits:
            await asyncio.sleep(0.01)
        await send(BODY)

    async def serve() -> list[bytes]:
        config = uvicorn.Config(app, http=WholeAnswers, log_level="critical")
        config.load()
        protocol = WholeAnswers(config, ServerState(), {}, asyncio.get_running_loop())
        transport = mock.Mock(asyncio.Transport)
        transport.get_extra_info.return_value = None
        transport.is_closing.return_value = False
        protocol.connection_made(transport)
        protocol.data_received(requests)
        await asyncio.sleep(0.1)
        protocol.connection_lost(None)
        return [call.args[0] for call in transport.write.call_args_list]

    return asyncio.run(serve())


def test_head_and_body_are_one_write_each_time():
    answers = written(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 2)
    assert len(answers) == 2
    assert all(a.startswith(b"HTTP/1.1 200") and a.endswith(b"\r\n\r\nok") for a in answers)


def test_an_answer_without_a_body_does_not_wait_for_one():
    (answer,) = written(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_a_connection_that_is_closed_after_an_answer_has_all_of_it():
    (answer,) = written(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_body_that_comes_later_follows_its_head():
    head, body = written(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", waits=True)
    assert head.endswith(b"\r\n\r\n")
    assert body == b"ok"
