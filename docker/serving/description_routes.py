"""`/openapi.json` and `/docs`: what is served, for machines and for people."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import orjson
from docs_page import CONTENT_SECURITY_POLICY, page
from examples import shown
from openapi import About, document
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

OPENAPI_PATH, DOCS_PATH = "/openapi.json", "/docs"
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


def description_routes(service: Any, paths: Sequence[str]) -> list[Route]:
    """The two routes; they describe `paths` and themselves. Made once, when first asked for."""
    served = {*paths, OPENAPI_PATH, DOCS_PATH}

    @functools.cache
    def about() -> About:
        return _about(service)

    @functools.cache
    def described() -> dict[str, Any]:
        return document(about(), served)

    @functools.cache
    def content() -> bytes:
        return orjson.dumps(described())

    async def openapi(_: Request) -> Response:
        return Response(content(), media_type="application/json")

    async def docs(request: Request) -> Response:
        host = request.headers.get("host", "")
        base = f"http://{host}" if _HOST.fullmatch(host) else "http://127.0.0.1:8080"
        html = page(about(), described(), base)
        headers = {
            "content-security-policy": CONTENT_SECURITY_POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
        }
        return Response(html, headers=headers, media_type="text/html")

    return [
        Route(OPENAPI_PATH, openapi, methods=["GET"]),
        Route(DOCS_PATH, docs, methods=["GET"]),
    ]


def _about(service: Any) -> About:
    predictor = service.predictor
    return About(
        model=service.model,
        version=service.version,
        contract=predictor.contract,
        golden=shown(predictor, service.private),
        classes=predictor.classes,
        max_rows=service.max_rows,
        max_body_bytes=service.max_body_bytes,
        body_timeout_s=service.body_timeout_s,
    )
