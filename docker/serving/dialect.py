"""What the protocols have in common: how a request is read, answered and refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

#: Raw columns by name, all of one length.
Columns = dict[str, Sequence[Any]]
#: Names in lower case, as ASGI gives them.
Headers = Mapping[bytes, bytes]


class Asked(NamedTuple):
    """A request that was read: its one raw row (None: many, or one must look), and all of it."""

    row: Mapping[str, Any] | None
    document: Any


class Dialect(Protocol):
    """A protocol, made ready for one model. `kind` is its name in the metrics."""

    kind: str

    def media(self, headers: Headers) -> str:
        """How the body is to be read; `Refusal` before it is, where it would not be understood."""

    def read(self, body: bytes, media: str) -> Asked:
        """What is asked; `Refusal` for what cannot be read."""

    def columns(self, asked: Asked) -> Columns:
        """All its raw columns; `Refusal` for too many rows or the wrong shape."""

    def write(self, asked: Asked, predictions: Mapping[str, Any]) -> bytes:
        """The answer: arrays by name, as `Predictor.predict` gives them."""

    def write_one(self, asked: Asked, prediction: Mapping[str, Any]) -> bytes:
        """The answer to one row: values by name, as `Predictor.predict_one` gives them."""

    def refuse(self, status: int, message: str, fields: Sequence[dict[str, Any]] = ()) -> bytes:
        """The body of a refusal."""
