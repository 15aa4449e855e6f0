"""The ASGI app: predictions by the shortest way there is, everything else by the pages.

Bad input is a 4xx that names what is wrong. Every answer carries `X-Model-Version` and
`X-Request-Id` (the client's own, if it is a plain one). A request marked `X-Evergreen-Probe` is
answered as any other, counted apart and kept out of the spool. Where there is a gateway no client
can mark one: it takes the header away. A request of one row that names no key is logged under its
`X-Request-Key`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Mapping

from answering import Answered, Answering, NotFinite
from body import ClientGone, read_body
from dialect import Dialect, Headers
from inference_dialect import InferenceDialect
from metrics import CLIENT_GONE, NOT_FINITE, Metrics, Probes, code_of, kind_of
from pages import build_pages, refused
from refusals import Refusal
from request_key import key_column, keyed
from scoring import Scoring
from service import Service
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("evergreen.serving")

#: Smaller bodies are answered on the event loop: handing them to a thread costs more than it saves.
INLINE_BYTES = 16 * 1024
#: What is left of an unread body must not be taken for the next request.
_UNREAD = (408, 413, 415)
#: Nobody was there to be answered.
GONE = 0
_REFUSED = 400
_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._:/+=-]{1,128}$")
_JSON = (b"content-type", b"application/json")
#: The header of those who prove a service, and are no clients.
_PROBE = b"x-evergreen-probe"


def build(service: Service) -> ASGIApp:
    """The ASGI app of a service."""
    scoring = Scoring(service.predictor.contract, service.max_rows)
    inference = InferenceDialect(
        service.predictor, service.model, service.version, service.max_rows
    )
    dialects: dict[str, Dialect] = {"/invocations": scoring}
    dialects |= dict.fromkeys(inference.paths(), inference)
    return Application(service, dialects, build_pages(service))


class Application:
    """Answers predictions itself, hands on the rest, and gives every answer its headers."""

    def __init__(self, service: Service, dialects: Mapping[str, Dialect], pages: ASGIApp) -> None:
        self._service = service
        self._dialects = dialects
        self._pages = pages
        self._answering = Answering(service.predictor)
        self._metrics = service.metrics
        self._version = (b"x-model-version", service.version.encode())
        self._key = key_column(service.predictor.contract)
        # Unlike any other service's, and quick to make.
        self._ids = secrets.token_hex(8).encode()
        self._number = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        began = time.perf_counter()
        headers: Headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        dialect = self._dialects.get(scope["path"])
        kind = kind_of(scope["path"]) if dialect is None else dialect.kind
        counts = self._metrics.probes if _PROBE in headers else self._metrics
        self._metrics.began(kind)
        status = GONE
        try:
            if dialect is None:
                status = await self._page(scope, receive, send, request_id, counts)
            elif scope["method"] != "POST":
                counts.refused(kind, code_of(405), ())
                status = await self._refuse_method(dialect, scope, send, request_id)
            else:
                status = await self._predict(dialect, headers, receive, send, request_id, counts)
        finally:
            self._metrics.ended(kind)
            if status != GONE:
                counts.answered(kind, status, time.perf_counter() - began)

    async def _predict(
        self,
        dialect: Dialect,
        headers: Headers,
        receive: Receive,
        send: Send,
        request_id: bytes,
        counts: Metrics | Probes,
    ) -> int:
        service = self._service
        more: tuple[tuple[bytes, bytes], ...] = ()
        try:
            media = dialect.media(headers)
            body = await read_body(
                receive, headers, max_bytes=service.max_body_bytes, timeout_s=service.body_timeout_s
            )
            self._metrics.body_bytes += len(body)
            answered = await self._answer(dialect, body, media, request_id)
            if _PROBE not in headers:
                self._keep(answered, headers)
            status, content = 200, answered.content
        except Refusal as refusal:
            status = refusal.status
            content = dialect.refuse(status, str(refusal), refusal.fields)
            more = ((b"connection", b"close"),) if status in _UNREAD else ()
            names = [field["field"] for field in refusal.fields]
            counts.refused(dialect.kind, code_of(status), names)
        except NotFinite as failure:
            log.error("Request %s: %s", request_id.decode(), failure)  # noqa: TRY400 - it says it all
            status, content = 500, dialect.refuse(500, str(failure))
            counts.refused(dialect.kind, NOT_FINITE, ())
        except ClientGone:
            counts.refused(dialect.kind, CLIENT_GONE, ())
            return GONE
        except Exception:
            log.exception("Request %s ended in an error that nobody foresaw.", request_id)
            status, content = 500, dialect.refuse(500, _unforeseen(request_id))
            counts.refused(dialect.kind, code_of(500), ())
        return await self._send(send, status, content, request_id, *more)

    async def _answer(
        self, dialect: Dialect, body: bytes, media: str, request_id: bytes
    ) -> Answered:
        if len(body) <= INLINE_BYTES:
            return self._answering.answer(dialect, body, media, request_id)
        self._metrics.in_thread += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._service.pool, self._answering.answer, dialect, body, media, request_id
            )
        finally:
            self._metrics.in_thread -= 1

    def _keep(self, answered: Answered, headers: Headers) -> None:
        """Count what was asked and predicted, and log it."""
        metrics, entry = self._metrics, answered.entry
        metrics.rows(entry.n_rows)
        if entry.alone:
            metrics.alone(entry.columns, answered.raw)
            metrics.predicted_alone(entry.predictions)
        else:
            metrics.inputs(entry.columns, answered.raw, entry.n_rows)
            metrics.predicted(entry.predictions)
        if self._service.prediction_log is not None:
            if b"x-request-key" in headers:
                entry = keyed(entry, self._key, headers[b"x-request-key"])
            self._service.prediction_log.offer(entry)

    async def _refuse_method(
        self, dialect: Dialect, scope: Scope, send: Send, request_id: bytes
    ) -> int:
        message = f"{scope['path']} takes POST; GET /contract says what it predicts from."
        content = dialect.refuse(405, message)
        return await self._send(send, 405, content, request_id, (b"allow", b"POST"))

    async def _send(
        self, send: Send, status: int, content: bytes, request_id: bytes, *more: tuple[bytes, bytes]
    ) -> int:
        length = (b"content-length", b"%d" % len(content))
        headers = [_JSON, length, self._version, (b"x-request-id", request_id), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        return status

    async def _page(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: bytes,
        counts: Metrics | Probes,
    ) -> int:
        status = 0

        async def send_identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ours = (self._version, (b"x-request-id", request_id))
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        kind = kind_of(scope["path"])
        try:
            await self._pages(scope, receive, send_identified)
        except Exception:
            log.exception("Request %s ended in an error that nobody foresaw.", request_id)
            if not status:
                content = refused(scope["path"], 500, _unforeseen(request_id))
                status = await self._send(send, 500, content, request_id)
        if status >= _REFUSED:
            counts.refused(kind, code_of(status), ())
        return status or GONE

    def _request_id(self, headers: Headers) -> bytes:
        theirs = headers.get(b"x-request-id")
        if theirs is not None and _REQUEST_ID.match(theirs):
            return theirs
        self._number += 1
        return b"%s%016x" % (self._ids, self._number)


def _unforeseen(request_id: bytes) -> str:
    return f"The service could not answer. Its log says why, under {request_id.decode()}."
