"""The paths of the Open Inference Protocol that predict nothing: health and metadata."""

from __future__ import annotations

from typing import Any, Protocol

import orjson
from open_inference import SERVER, check_address, model_metadata
from refusals import Refusal
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Served(Protocol):
    """What these paths need of the service."""

    predictor: Any
    model: str
    version: str

    def is_healthy(self) -> bool:
        """Whether the first golden row comes out as at training."""


class InferenceRoutes:
    """The protocol's paths for one service."""

    def __init__(self, service: Served) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """All of them, those of a model once with and once without its version."""
        paths = [
            Route("/v2", self.server, methods=["GET"]),
            Route("/v2/health/live", self.live, methods=["GET"]),
            Route("/v2/health/ready", self.ready, methods=["GET"]),
        ]
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            paths += [
                Route(model, self.metadata, methods=["GET"]),
                Route(f"{model}/ready", self.model_ready, methods=["GET"]),
                Route(f"{model}/infer", self.elsewhere, methods=["POST"]),
            ]
        return paths

    async def server(self, _: Request) -> Response:
        return _json(SERVER)

    async def live(self, _: Request) -> Response:
        return _json({"live": True})

    async def ready(self, _: Request) -> Response:
        is_ready = self._service.is_healthy()
        return _json({"ready": is_ready}, 200 if is_ready else 503)

    async def model_ready(self, request: Request) -> Response:
        self._check_address(request)
        is_ready = self._service.is_healthy()
        content = {"name": self._service.model, "ready": is_ready}
        return _json(content, 200 if is_ready else 503)

    async def metadata(self, request: Request) -> Response:
        self._check_address(request)
        predictor = self._service.predictor
        content = model_metadata(
            name=self._service.model,
            version=self._service.version,
            contract=predictor.contract,
            classes=predictor.classes,
            estimator=predictor.info["estimator"],
        )
        return _json(content)

    async def elsewhere(self, request: Request) -> Response:
        """Where the application has not answered another model or version is asked for."""
        self._check_address(request)
        raise Refusal(404, "This model answers at its own path.")

    def _check_address(self, request: Request) -> None:
        check_address(
            request.path_params["name"],
            request.path_params.get("version"),
            served_name=self._service.model,
            served_version=self._service.version,
        )


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
