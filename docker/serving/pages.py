"""Everything that is no prediction: health, version, contract and counters. None of it hurries."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Mapping

import numpy as np
import orjson
from description_routes import description_routes
from exposition import CONTENT_TYPE
from inference_routes import InferenceRoutes
from open_inference import error_body, is_ours
from refusals import Refusal, refusal_body
from service import GOLDEN_TOLERANCE, Service
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Pages:
    """The answers to GET requests."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ping(self, _: Request) -> Response:
        return json_response(b'{"status":"ok"}')

    async def health(self, _: Request) -> Response:
        service = self._service
        difference = service.golden_difference()
        healthy = difference <= GOLDEN_TOLERANCE
        content = {
            "status": "ok" if healthy else "wrong predictions",
            "model": service.model,
            "version": service.version,
            "golden_difference": difference if np.isfinite(difference) else None,
            "spool": service.prediction_log.stats() if service.prediction_log else None,
        }
        return json_response(orjson.dumps(content), 200 if healthy else 503)

    async def version(self, _: Request) -> Response:
        service, info = self._service, self._service.predictor.info
        content = {
            "model": service.model,
            "version": service.version,
            "manifest_digest": info["manifest_digest"],
            "training_key": info["training_key"],
            "libraries": dict(service.libraries),
            "fitted_with": info["libraries"],
            "started_at": service.started_at.isoformat(),
        }
        return json_response(orjson.dumps(content))

    async def contract(self, _: Request) -> Response:
        return json_response(orjson.dumps(self._service.predictor.contract))

    async def stats(self, _: Request) -> Response:
        service = self._service
        content = {
            "counts": service.metrics.totals(),
            "spool": service.prediction_log.stats() if service.prediction_log else None,
            "seconds": (dt.datetime.now(dt.UTC) - service.started_at).total_seconds(),
        }
        return json_response(orjson.dumps(content))

    async def metrics(self, _: Request) -> Response:
        # In a thread: a page takes as long as several answers.
        page = await asyncio.to_thread(self._service.exposition.page)
        return Response(page, headers={"content-type": CONTENT_TYPE})


def build_pages(service: Service) -> Starlette:
    """The pages, and what is started and ended with the service."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if service.prediction_log is not None:
            service.prediction_log.start()
        yield
        service.pool.shutdown()
        if service.prediction_log is not None:
            await asyncio.to_thread(service.prediction_log.close)

    pages = Pages(service)
    routes = [
        *InferenceRoutes(service).routes(),
        Route("/ping", pages.ping, methods=["GET"]),
        Route("/health", pages.health, methods=["GET"]),
        Route("/version", pages.version, methods=["GET"]),
        Route("/contract", pages.contract, methods=["GET"]),
        Route("/stats", pages.stats, methods=["GET"]),
        Route("/metrics", pages.metrics, methods=["GET"]),
    ]
    described = ["/invocations", *(route.path for route in routes)]
    app = Starlette(
        routes=[*routes, *description_routes(service, described)],
        exception_handlers={Refusal: _refuse, HTTPException: _refuse_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def json_response(
    content: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(content, status, headers, media_type="application/json")


def refused(path: str, status: int, message: str) -> bytes:
    """The body of a refusal, in the form of the protocol that the path belongs to."""
    if is_ours(path):
        return orjson.dumps(error_body(message))
    return orjson.dumps(refusal_body(status, message))


def _refuse(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Refusal) else 500
    return json_response(refused(request.scope["path"], status, str(error)), status)


def _refuse_route(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    where = f"{request.method[:20]} {request.scope['path'][:100]}"
    message = f"{where} is not served; POST /invocations predicts, GET /contract says from what."
    content = refused(request.scope["path"], status, message)
    return json_response(content, status, getattr(error, "headers", None))
