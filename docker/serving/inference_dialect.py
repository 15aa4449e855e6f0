"""The Open Inference Protocol as the application speaks it: `open_inference` for one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from dialect import Asked, Columns, Headers
from open_inference import check_headers, error_body, read_inference, write_inference
from reading import JSON


class InferenceDialect:
    """The dialect of `/v2/models/<name>/infer`."""

    kind = "v2"

    def __init__(self, predictor: Any, name: str, version: str, max_rows: int) -> None:
        self._predictor = predictor
        self._name = name
        self._version = version
        self._max_rows = max_rows

    def paths(self) -> list[str]:
        """Where this model is asked, as ASGI spells a path."""
        model = f"/v2/models/{self._name}"
        return [f"{model}/infer", f"{model}/versions/{self._version}/infer"]

    def media(self, headers: Headers) -> str:
        check_headers(headers)
        return JSON

    def read(self, body: bytes, _: str) -> Asked:
        """Tensors become columns at once; `Refusal` for all that the protocol does not allow."""
        predictor = self._predictor
        asked = read_inference(body, predictor.contract, predictor.classes, self._max_rows)
        columns = asked.columns
        row = None
        if all(len(values) == 1 for values in columns.values()):
            row = {name: values[0] for name, values in columns.items()}
        return Asked(row, asked)

    def columns(self, asked: Asked) -> Columns:
        columns: Columns = asked.document.columns
        return columns

    def write(self, asked: Asked, predictions: Mapping[str, Any]) -> bytes:
        return self._written(asked, {name: v.tolist() for name, v in predictions.items()})

    def write_one(self, asked: Asked, prediction: Mapping[str, Any]) -> bytes:
        return self._written(asked, {name: [value] for name, value in prediction.items()})

    def _written(self, asked: Asked, predictions: Mapping[str, list[Any]]) -> bytes:
        return write_inference(
            asked.document,
            predictions,
            name=self._name,
            version=self._version,
            classes=self._predictor.classes,
        )

    def refuse(self, _: int, message: str, fields: Sequence[dict[str, Any]] = ()) -> bytes:
        return orjson.dumps(error_body(message, fields))
