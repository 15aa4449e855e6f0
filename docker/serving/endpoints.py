"""The service's answers: predictions, health, version and contract, each with its own headers.

Bad input is a 4xx that names what is wrong. Every answer carries `X-Model-Version` and
`X-Request-Id` (the client's own, if it is a plain one). A request marked `X-Evergreen-Probe` is
answered as any other and kept out of the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from body import ClientGone, read_body
from protocol import media_type, read_columns, write_answer
from refusals import Refusal, refusal_body
from segments import Entry
from spool import Spool
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("evergreen.serving")

#: Smaller bodies are answered on the event loop: handing them to a thread costs more than it saves.
INLINE_BYTES = 16 * 1024
#: The largest relative difference of a golden row; the stages verify with the spec's own.
GOLDEN_TOLERANCE = 1e-4
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:/+=-]{1,128}$")


@dataclass
class Service:
    """One model being served, with its limits and counters."""

    predictor: Any
    model: str
    version: str
    libraries: Mapping[str, str]
    max_rows: int
    max_body_bytes: int
    body_timeout_s: float
    spool: Spool | None
    started_at: dt.datetime
    counts: Counter[str] = field(default_factory=Counter)
    # Large requests run one after the other: a second one would only slow both.
    pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="predict")
    )

    async def invocations(self, request: Request) -> Response:
        headers = request.headers
        kind = media_type(headers.get("content-type"), headers.get("content-encoding"))
        body = await read_body(
            request.receive,
            headers,
            max_bytes=self.max_body_bytes,
            timeout_s=self.body_timeout_s,
        )
        if len(body) <= INLINE_BYTES:
            content, entry = self._answer(body, kind, request.scope["request_id"])
        else:
            loop = asyncio.get_running_loop()
            content, entry = await loop.run_in_executor(
                self.pool, self._answer, body, kind, request.scope["request_id"]
            )
        self.counts["rows"] += entry.n_rows
        if self.spool is not None and "x-evergreen-probe" not in headers:
            self.spool.offer(entry)
        return _json(content)

    def _answer(self, body: bytes, kind: str, request_id: str) -> tuple[bytes, Entry]:
        raw = read_columns(body, kind, self.predictor.contract, self.max_rows)
        try:
            columns = self.predictor.parse(raw)
        except self.predictor.InvalidRows as error:
            fields = [problem.as_json() for problem in error.problems]
            raise Refusal(422, str(error), fields) from None
        predictions = self.predictor.predict(columns)
        n_rows = len(predictions["prediction"])
        for name, values in predictions.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                bad = np.flatnonzero(~np.isfinite(values))
                raise Refusal(
                    422,
                    f"The model gives no finite {name} for {len(bad)} of {n_rows} rows, the first "
                    f"is row {bad[0]}: its values are too far from what the model was fitted on.",
                )
        now_us = int(dt.datetime.now(dt.UTC).timestamp() * 1e6)
        return write_answer(predictions), Entry(request_id, now_us, columns, predictions, n_rows)

    async def ping(self, _: Request) -> Response:
        return _json(b'{"status":"ok"}')

    async def health(self, _: Request) -> Response:
        difference = self.predictor.golden_difference(1)
        healthy = difference <= GOLDEN_TOLERANCE
        content = {
            "status": "ok" if healthy else "wrong predictions",
            "model": self.model,
            "version": self.version,
            "golden_difference": difference if np.isfinite(difference) else None,
            "spool": self.spool.stats() if self.spool else None,
        }
        return _json(orjson.dumps(content), 200 if healthy else 503)

    async def version_page(self, _: Request) -> Response:
        info = self.predictor.info
        content = {
            "model": self.model,
            "version": self.version,
            "manifest_digest": info["manifest_digest"],
            "training_key": info["training_key"],
            "libraries": dict(self.libraries),
            "fitted_with": info["libraries"],
            "started_at": self.started_at.isoformat(),
        }
        return _json(orjson.dumps(content))

    async def contract(self, _: Request) -> Response:
        return _json(orjson.dumps(self.predictor.contract))

    async def stats(self, _: Request) -> Response:
        content = {
            "counts": dict(self.counts),
            "spool": self.spool.stats() if self.spool else None,
            "seconds": (dt.datetime.now(dt.UTC) - self.started_at).total_seconds(),
        }
        return _json(orjson.dumps(content))


def build(service: Service) -> ASGIApp:
    """The ASGI app of a service."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if service.spool is not None:
            service.spool.start()
        yield
        service.pool.shutdown()
        if service.spool is not None:
            await asyncio.to_thread(service.spool.close)

    app = Starlette(
        routes=[
            Route("/invocations", service.invocations, methods=["POST"]),
            Route("/ping", service.ping, methods=["GET"]),
            Route("/health", service.health, methods=["GET"]),
            Route("/version", service.version_page, methods=["GET"]),
            Route("/contract", service.contract, methods=["GET"]),
            Route("/stats", service.stats, methods=["GET"]),
        ],
        exception_handlers={
            Refusal: _refuse,
            HTTPException: _refuse_route,
            ClientGone: _nobody_there,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return Identified(app, service)


class Identified:
    """Gives every answer its headers, counts it, and turns an unforeseen error into JSON."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._counts = service.counts
        self._version = service.version.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        started = False

        async def send_identified(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._counts[f"status_{message['status']}"] += 1
                message["headers"] = [
                    *message["headers"],
                    (b"x-model-version", self._version),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_identified)
        except Exception:
            log.exception("Request %s ended in an error that nobody foresaw.", request_id)
            if not started:
                message = f"The service could not answer. Its log says why, under {request_id}."
                answer = _json(orjson.dumps(refusal_body(500, message)), 500)
                await answer(scope, receive, send_identified)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = str(value.decode("latin-1"))
            if _REQUEST_ID.match(text):
                return text
    return uuid.uuid4().hex


def _json(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(content, status, headers, media_type="application/json")


def _refuse(_: Request, error: Exception) -> Response:
    refusal = error if isinstance(error, Refusal) else Refusal(500, str(error))
    content = orjson.dumps(refusal_body(refusal.status, str(refusal), refusal.fields))
    # What is left of an unread body must not be taken for the next request.
    headers = {"connection": "close"} if refusal.status in (408, 413, 415) else None
    return _json(content, refusal.status, headers)


def _refuse_route(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    where = f"{request.method[:20]} {request.scope['path'][:100]}"
    message = f"{where} is not served; POST /invocations predicts, GET /contract says from what."
    return _json(
        orjson.dumps(refusal_body(status, message)), status, getattr(error, "headers", None)
    )


def _nobody_there(_: Request, __: Exception) -> Response:
    return _json(b"{}", 400)
