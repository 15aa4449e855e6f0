"""What one running service is: its model, its limits, its metrics."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from exposition import Exposition
from metrics import Metrics
from prediction_log import PredictionLog

#: The largest relative difference of a golden row; the stages verify with the spec's own.
GOLDEN_TOLERANCE = 1e-4


@dataclass
class Service:
    """One model being served, with its limits and metrics."""

    predictor: Any
    model: str
    version: str
    libraries: Mapping[str, str]
    max_rows: int
    max_body_bytes: int
    body_timeout_s: float
    prediction_log: PredictionLog | None
    started_at: dt.datetime
    #: Columns whose values are shown to nobody.
    private: Collection[str] = ()
    # Large requests run one after the other: a second one would only slow both.
    pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="predict")
    )
    metrics: Metrics = field(init=False)
    exposition: Exposition = field(init=False)

    def golden_difference(self) -> float:
        """How far the first golden row comes out from what it was at training."""
        return float(self.predictor.golden_difference(1))

    def is_healthy(self) -> bool:
        """Whether it comes out as at training."""
        return self.golden_difference() <= GOLDEN_TOLERANCE

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.predictor)
        self.exposition = Exposition(
            self.metrics,
            self.model,
            self.version,
            self.predictor.info,
            self.prediction_log.stats if self.prediction_log else None,
        )
