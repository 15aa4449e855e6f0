"""Reads a request's body up to a limit of bytes and time, whatever its headers claim."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dialect import Headers
from refusals import Refusal

Receive = Callable[[], Awaitable[Any]]
#: How long an oversized body is read on, so that a well-meaning client gets to read the answer.
DRAIN_S = 1.0


class ClientGone(Exception):
    """The client left before its body was whole: nobody is there to be answered."""


async def read_body(
    receive: Receive, headers: Headers, *, max_bytes: int, timeout_s: float
) -> bytes:
    """The whole body.

    Raises:
        Refusal: 413 for more than `max_bytes`, 408 if it is not there after `timeout_s`.
        ClientGone: the connection broke first.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > max_bytes:
        if b"expect" not in headers and int(declared[:20]) <= 4 * max_bytes:
            await _drain(receive, 4 * max_bytes)
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(timeout_s):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                if size > max_bytes:
                    break
                chunks.append(chunk)
    except TimeoutError:
        message = f"The body was not complete after {timeout_s:g} s. Send it faster or in parts."
        raise Refusal(408, message) from None
    if size > max_bytes:
        if more:
            await _drain(receive, 3 * max_bytes)
        raise _too_large(max_bytes)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(
        413, f"The body is larger than {max_bytes:,} bytes. Send the rows in several requests."
    )


async def _drain(receive: Receive, most: int) -> None:
    try:
        async with asyncio.timeout(DRAIN_S):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
