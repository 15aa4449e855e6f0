"""Shows `Metrics` to Prometheus: the text of `GET /metrics`.

`prometheus_client` is imported when the first scrape comes, in the thread that answers it: that
takes 40 ms, for the HTTP server and client that it brings along, and a service is to answer as soon
as it is started. A page takes 2 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from metrics import KINDS, OTHER_STATUS, Distribution, Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Counts = Iterable[tuple[tuple[str, ...], float]]


class Exposition:
    """A collector of one service's numbers; all of them carry its model and version."""

    def __init__(
        self,
        metrics: Metrics,
        model: str,
        version: str,
        info: Mapping[str, Any],
        log_stats: Callable[[], Mapping[str, Any]] | None,
    ) -> None:
        """`info`: the manifest and its digest. `log_stats`: of the prediction log, if there is."""
        self._metrics = metrics
        self._service = (model, version)
        kind = "onnx" if str(info["estimator"]).endswith(".onnx") else "sklearn"
        self._about = (str(info["manifest_digest"]), kind)
        self._log_stats = log_stats
        self._registry: Any = None

    def page(self) -> bytes:
        """All numbers as of now. For any thread: what it reads is of fixed size and only grows."""
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

        if self._registry is None:
            registry = CollectorRegistry()
            registry.register(self)  # type: ignore[arg-type]
            ProcessCollector(registry=registry)
            self._registry = registry
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Any]:
        """Every family of metrics, as `prometheus_client` asks for them."""
        yield self._family(
            "gauge", "model_info", "Which model is served, from which bundle.",
            ("manifest", "kind"), [(self._about, 1)],
        )  # fmt: skip
        yield from self._requests()
        yield from self._inputs()
        yield from self._predictions()
        if self._log_stats is not None:
            yield from self._log(self._log_stats())

    def _requests(self) -> Iterator[Any]:
        m = self._metrics
        yield self._family(
            "counter", "requests", "Requests answered, by path and status, without probes.",
            ("path", "status"), _by_status(m.statuses),
        )  # fmt: skip
        yield self._family(
            "counter", "probe_requests", "Probes answered, by path and status.",
            ("path", "status"), _by_status(m.probes.statuses),
        )  # fmt: skip
        yield self._family(
            "counter", "errors", "Requests refused or failed, by path and error code.",
            ("path", "code"),
            [((kind, code), n) for kind, codes in m.errors.items() for code, n in codes.items()],
        )  # fmt: skip
        yield self._histogram(
            "request_duration_seconds", "From a request's headers to the end of its answer.",
            {(kind,): m.latency[kind] for kind in KINDS}, ("path",),
        )  # fmt: skip
        yield self._family(
            "gauge", "requests_in_flight", "Requests that are not answered yet; a scrape is one.",
            ("path",), [((kind,), n) for kind, n in m.in_flight.items()],
        )  # fmt: skip
        yield self._single(
            "gauge", "requests_queued", "Large requests that wait for the one before them.",
            max(0, m.in_thread - 1),
        )  # fmt: skip
        yield self._single("counter", "request_body_bytes", "Bytes of bodies read.", m.body_bytes)

    def _inputs(self) -> Iterator[Any]:
        m = self._metrics
        yield self._single("counter", "rows", "Rows predicted, without probes.",
                           m.request_rows.total)  # fmt: skip
        yield self._histogram(
            "request_rows", "Rows of a predicted request, without probes.", {(): m.request_rows}
        )
        columns = {
            "input_nulls": ("Nulls in predicted rows, by column.", m.nulls),
            "input_unseen_categories": (
                "Values that no category of the contract is and that are taken as missing.",
                m.unseen,
            ),
            "input_refusals": (
                "Requests refused for this column; (other) is no column of the contract.",
                m.out_of_contract,
            ),
        }
        for name, (text, counts) in columns.items():
            samples = [((column,), n) for column, n in counts.items()]
            yield self._family("counter", name, text, ("column",), samples)

    def _predictions(self) -> Iterator[Any]:
        m = self._metrics
        if m.classes is None:
            yield self._histogram(
                "prediction",
                "Predictions of a regression; the bounds are of the golden rows' predictions.",
                {(): m.predictions},
                with_sum=False,
            )
            return
        yield self._family(
            "counter", "predicted_class", "Rows by the class predicted.", ("class",),
            [((str(label),), n) for label, n in m.classes.items()],
        )  # fmt: skip
        yield self._histogram(
            "predicted_probability", "The probability of the class predicted.", {(): m.predictions}
        )

    def _log(self, stats: Mapping[str, Any]) -> Iterator[Any]:
        yield self._family(
            "counter", "prediction_log_rows", "Rows of the prediction log, by what became of them.",
            ("outcome",), [((end,), stats[f"rows_{end}"]) for end in ("written", "dropped")],
        )  # fmt: skip
        yield self._single("gauge", "prediction_log_rows_waiting",
                           "Rows not written yet.", stats["rows_waiting"])  # fmt: skip
        yield self._single("counter", "prediction_log_segments",
                           "Segments written.", stats["segments"])  # fmt: skip
        yield self._single("counter", "prediction_log_failures",
                           "Segments that could not be written.", stats["failures"])  # fmt: skip

    def _single(self, kind: str, name: str, text: str, value: float) -> Any:
        return self._family(kind, name, text, (), [((), value)])

    def _family(
        self, kind: str, name: str, text: str, labels: tuple[str, ...], samples: _Counts
    ) -> Any:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        family = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}[kind](
            f"evergreen_{name}", text, labels=("model", "version", *labels)
        )
        for values, number in samples:
            family.add_metric((*self._service, *values), number)
        return family

    def _histogram(
        self,
        name: str,
        text: str,
        distributions: Mapping[tuple[str, ...], Distribution],
        labels: tuple[str, ...] = (),
        *,
        with_sum: bool = True,
    ) -> Any:
        """Without a sum where numbers may be negative: a counter must not fall."""
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(
            f"evergreen_{name}", text, labels=("model", "version", *labels)
        )
        for values, seen in distributions.items():
            buckets, below = [], 0
            total = seen.total
            for bound, count in zip((*seen.bounds, None), seen.counts, strict=True):
                below += count
                buckets.append(("+Inf" if bound is None else f"{bound:.12g}", below))
            family.add_metric((*self._service, *values), buckets, total if with_sum else None)
        return family


def _by_status(counted: Mapping[str, Mapping[int, int]]) -> _Counts:
    return [
        ((kind, "other" if status == OTHER_STATUS else str(status)), n)
        for kind, statuses in counted.items()
        for status, n in statuses.items()
    ]
