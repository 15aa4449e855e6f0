"""Counts what a service does, cheaply enough for every request; `exposition` shows it.

Everything is a plain number that only the event loop's thread changes: no locks. What may be a
label is fixed at the start (the contract's columns, the model's classes, known statuses and
codes), so that no request, however odd, makes the counts grow.

The parts of an ordinary answer of one row (`answered`, `rows`, `predicted_one`, bytes, in flight)
take 1 µs together. `inputs` and `predicted` take 8 µs for a row of six columns, and for 1,000 rows
50 µs, or 100 µs with three classes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from refusals import CODES

INVOCATIONS, V2, OTHER_PATH = KINDS = ("invocations", "v2", "other")
#: Stands for every status that the service has no reason to give.
OTHER_STATUS = 0
#: Answered with a 400 that nobody reads any more.
CLIENT_GONE = "CLIENT_GONE"
#: Answered with a 500: the model gave no finite number.
NOT_FINITE = "NOT_FINITE"
OTHER_CODE = "OTHER"
#: Fields that the contract does not have, and problems of no single field.
NO_COLUMN = "(other)"
LATENCY_S = (
    0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05,
    0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip
ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
PROBABILITIES = (
    0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0,
)  # fmt: skip
#: Where a number lies among the recorded predictions, and how far beyond them in their spreads.
_QUANTILES = np.linspace(0, 1, 13)
_BEYOND = (0.1, 0.3, 1.0, 3.0)


def kind_of(path: str) -> str:
    """Which of `KINDS` a request's path belongs to."""
    if path == "/invocations":
        return INVOCATIONS
    return V2 if path.startswith("/v2/") or path == "/v2" else OTHER_PATH


def code_of(status: int) -> str:
    """The `error_code` of a refusal with this status."""
    return CODES.get(status, "BAD_REQUEST")


class Distribution:
    """How many numbers fell up to each bound, ascending, and beyond the last; and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_all(self, values: Any) -> None:
        """Every number of a float array."""
        counts = np.bincount(np.searchsorted(self.bounds, values), minlength=len(self.counts))
        self.counts = [old + new for old, new in zip(self.counts, counts.tolist(), strict=True)]
        self.total += float(values.sum())


def _none_answered() -> dict[str, dict[int, int]]:
    return {kind: dict.fromkeys((200, *CODES, OTHER_STATUS), 0) for kind in KINDS}


def _count(statuses: dict[int, int], status: int) -> None:
    statuses[status if status in statuses else OTHER_STATUS] += 1


class Probes:
    """Answers to probers, counted apart: nothing of them is in what is said of clients."""

    def __init__(self) -> None:
        self.statuses = _none_answered()

    def answered(self, kind: str, status: int, _: float) -> None:
        """As `Metrics.answered`."""
        _count(self.statuses[kind], status)

    def refused(self, kind: str, code: str, fields: Sequence[str]) -> None:
        """Whoever probes knows what was refused, and tells it itself."""


class Metrics:
    """The numbers of one running service. Public dicts have all their keys from the start.

    `nulls` counts those of every column that a request may have, `unseen` the values taken as
    missing of every category that allows it.
    `probes` is what probers asked; in flight, in the thread and among the bytes they are as others.
    `in_thread` counts the requests handed to the one thread that answers large bodies.
    """

    def __init__(self, predictor: Any) -> None:
        columns = {**predictor.contract["columns"], **predictor.contract["optional"]}
        self.probes = Probes()
        self.statuses = _none_answered()
        codes = (*dict.fromkeys(CODES.values()), NOT_FINITE, CLIENT_GONE, OTHER_CODE)
        self.errors = {kind: dict.fromkeys(codes, 0) for kind in KINDS}
        self.latency = {kind: Distribution(LATENCY_S) for kind in KINDS}
        self.in_flight = dict.fromkeys(KINDS, 0)
        self.in_thread = 0
        self.body_bytes = 0
        self.request_rows = Distribution(ROWS)
        self.nulls: dict[str, int] = dict.fromkeys(columns, 0)
        self.unseen: dict[str, int] = {
            name: 0
            for name, column in columns.items()
            if column["type"] == "category"
            and column["values"]
            and column["unseen"] == "as_missing"
        }
        self.out_of_contract: dict[str, int] = dict.fromkeys((*columns, NO_COLUMN), 0)
        self._lists = frozenset(
            name for name, column in columns.items() if column["type"] in ("category", "key")
        )
        self.classes: dict[Any, int] | None = None
        self._probabilities: list[str] = []
        if predictor.classes is None:
            recorded = predictor.golden["predictions"]["prediction"]
            self.predictions = Distribution(bounds_around(recorded))
        else:
            self.classes = dict.fromkeys(predictor.classes, 0)
            self.predictions = Distribution(PROBABILITIES)
            self._probabilities = [f"probability_{label}" for label in predictor.classes]

    def began(self, kind: str) -> None:
        """A request has come; `ended` must follow, whatever becomes of it."""
        self.in_flight[kind] += 1

    def ended(self, kind: str) -> None:
        self.in_flight[kind] -= 1

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """A request was answered, so many seconds after its headers were there."""
        _count(self.statuses[kind], status)
        latency = self.latency[kind]
        latency.counts[bisect_left(LATENCY_S, seconds)] += 1
        latency.total += seconds

    def refused(self, kind: str, code: str, fields: Sequence[str]) -> None:
        """A request was refused; each of these columns is counted once, however many rows."""
        errors = self.errors[kind]
        errors[code if code in errors else OTHER_CODE] += 1
        if fields:
            named = set(fields)
            known = named & self.out_of_contract.keys()
            for column in known:
                self.out_of_contract[column] += 1
            if len(known) < len(named):
                self.out_of_contract[NO_COLUMN] += 1

    def rows(self, n_rows: int) -> None:
        """A request with so many rows was predicted. Not for probes: shares are of these rows."""
        self.request_rows.counts[bisect_left(ROWS, n_rows)] += 1
        self.request_rows.total += n_rows

    def inputs(
        self, columns: Mapping[str, Any], raw: Mapping[str, Sequence[Any]], n_rows: int
    ) -> None:
        """Nulls and unseen categories of a request.

        Args:
            columns: typed, as `Predictor.parse` returns them: what is missing is NaN, NaT or None.
            raw: the same columns as they came. Only what is missing in a column that could not
                tell an unseen category from a null is looked up here.
            n_rows: the length of each column.
        """
        if n_rows == 1:
            self._one_input(columns, raw)
            return
        for name, values in columns.items():
            if name in self._lists:
                missing = values.count(None)
                if missing and name in self.unseen:
                    sent = raw[name].count(None)
                    self.unseen[name] += missing - sent
                    missing = sent
            elif values.dtype.kind == "M":
                missing = int(np.count_nonzero(np.isnat(values)))
            else:
                missing = n_rows - int(np.count_nonzero(values == values))  # noqa: PLR0124 - NaN
            if missing:
                self.nulls[name] += missing

    def _one_input(self, columns: Mapping[str, Any], raw: Mapping[str, Sequence[Any]]) -> None:
        """A fifth of the time that a few NumPy calls a column take."""
        for name, (value,) in columns.items():
            # NaN and NaT differ from themselves.
            if value is None or value != value:  # noqa: PLR0124
                counts = self.nulls
                if name in self.unseen and raw[name][0] is not None:
                    counts = self.unseen
                counts[name] += 1

    def predicted(self, predictions: Mapping[str, Any]) -> None:
        """The predictions of a request, as `Predictor.predict` returns them."""
        values = predictions["prediction"]
        if len(values) == 1:
            shares = [predictions[name][0] for name in self._probabilities]
            self.predicted_one(values.item(), float(max(shares, default=1.0)))
            return
        if self.classes is None:
            self.predictions.add_all(values)
            return
        for label, times in Counter(values.tolist()).items():
            self.classes[label] += times
        shares = [predictions[name] for name in self._probabilities]
        self.predictions.add_all(np.maximum.reduce(shares))

    def alone(self, row: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
        """`inputs` of one row's values: typed, None for what is missing, and as they came."""
        if None not in row.values():
            return
        for name, value in row.items():
            if value is None:
                counts = (
                    self.unseen if name in self.unseen and raw[name] is not None else self.nulls
                )
                counts[name] += 1

    def predicted_alone(self, prediction: Mapping[str, Any]) -> None:
        """`predicted` of one row's values."""
        if self.classes is None:
            self.predictions.add(prediction["prediction"])
        else:
            shares = [prediction[name] for name in self._probabilities]
            self.predicted_one(prediction["prediction"], max(shares))

    def predicted_one(self, value: Any, probability: float = 1.0) -> None:
        """One prediction: a number, or a label and how probable it is."""
        if self.classes is None:
            self.predictions.add(value)
        else:
            self.classes[value] += 1
            self.predictions.add(probability)

    def totals(self) -> dict[str, int]:
        """Rows, and answers by status, since the start."""
        found = {"rows": int(self.request_rows.total)}
        for statuses in self.statuses.values():
            for status, times in statuses.items():
                if times:
                    name = f"status_{status}" if status else "status_other"
                    found[name] = found.get(name, 0) + times
        return found


def bounds_around(recorded: Sequence[float]) -> list[float]:
    """About 20 ascending bounds for predictions: dense where the recorded ones lie, and beyond.

    Between their least and greatest they follow their quantiles; on either side come four more,
    up to three times their spread away, so that a drift shows how far it went.
    """
    numbers = np.asarray(recorded, dtype=np.float64)
    least, most = float(numbers.min()), float(numbers.max())
    spread = (most - least) or max(abs(most), 1.0)
    bounds = [*np.quantile(numbers, _QUANTILES).tolist()]
    bounds += [least - spread * times for times in _BEYOND]
    bounds += [most + spread * times for times in _BEYOND]
    digits = 2 - int(np.floor(np.log10(spread)))
    return sorted({round(bound, digits) + 0.0 for bound in bounds})
