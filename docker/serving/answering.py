"""From the bytes of a request to the bytes of its answer, and to what of it is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from dialect import Asked, Dialect
from refusals import Refusal
from segments import Entry


class Answered(NamedTuple):
    """The body of an answer, what is kept of it, and the raw values: a row's, or columns."""

    content: bytes
    entry: Entry
    raw: Mapping[str, Any]


class NotFinite(Exception):
    """The model gives no finite number for what its contract allows: the model's fault."""


class Answering:
    """Predicts with one bundle. Safe to share by threads."""

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor
        # A bundle of an earlier release knows only the way for many rows.
        self._predict_one = getattr(predictor, "predict_one", lambda _: None)

    def answer(self, dialect: Dialect, body: bytes, media: str, request_id: bytes) -> Answered:
        """The answer to a body.

        Raises:
            Refusal: it cannot be read, or breaks the contract.
            NotFinite: there is no answer to it.
        """
        asked = dialect.read(body, media)
        if asked.row is not None:
            alone = self._predict_one(asked.row)
            if alone is not None:
                typed, prediction = alone
                _require_finite(prediction)
                entry = Entry(request_id, time.time_ns() // 1000, typed, prediction, 1, alone=True)
                return Answered(dialect.write_one(asked, prediction), entry, asked.row)
        return self._together(dialect, asked, request_id)

    def _together(self, dialect: Dialect, asked: Asked, request_id: bytes) -> Answered:
        raw = dialect.columns(asked)
        try:
            columns = self._predictor.parse(raw)
        except self._predictor.InvalidRows as error:
            fields = [problem.as_json() for problem in error.problems]
            raise Refusal(422, str(error), fields) from None
        predictions = self._predictor.predict(columns)
        n_rows = len(predictions["prediction"])
        _require_all_finite(predictions, n_rows)
        entry = Entry(request_id, time.time_ns() // 1000, columns, predictions, n_rows)
        return Answered(dialect.write(asked, predictions), entry, raw)


def _require_finite(prediction: dict[str, Any]) -> None:
    for name, value in prediction.items():
        if type(value) is float and value - value != 0:
            raise _not_finite(name, 1, 1, 0)


def _require_all_finite(predictions: dict[str, Any], n_rows: int) -> None:
    for name, values in predictions.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values))
            raise _not_finite(name, len(bad), n_rows, int(bad[0]))


def _not_finite(name: str, n_bad: int, n_rows: int, first: int) -> NotFinite:
    return NotFinite(
        f"The model gives no finite {name} for {n_bad} of {n_rows} rows, the first is row {first}. "
        "The rows are as the contract wants them: it is the model that fails."
    )
