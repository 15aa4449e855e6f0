"""The section `gates` of a spec: what a challenger must show before it is registered."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from include.evergreen.contracts import GateMode, GateName
from include.evergreen.spec.base import ColumnName, Section, Share

CellValue = StrictStr | StrictInt | StrictBool


class Slice(Section):
    """Rows that must be served well by themselves: some values of a column, or a range of it."""

    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=60,
        description="What it is called; left out: its column and values.",
    )
    column: ColumnName
    values: tuple[CellValue, ...] | None = Field(default=None, min_length=1, max_length=1000)
    min: float | None = Field(default=None, description="The least value of the range, included.")
    max: float | None = Field(default=None, description="The end of the range, not included.")
    min_rows: int = Field(
        default=30, ge=5, description="A slice with fewer rows of the holdout is not judged."
    )
    max_loss: float = Field(
        default=0.1,
        ge=0,
        le=100,
        description="How much worse than the champion it may be here, relative to the champion's "
        "metric on the same rows. Without a champion: than the naive baseline.",
    )


class Fairness(Section):
    """What may differ between the groups of a column, as fairlearn measures it."""

    columns: tuple[ColumnName, ...] = Field(
        default=(), max_length=20, description="Columns that tell groups apart. Empty: no check."
    )
    min_rows: int = Field(
        default=50, ge=5, description="A group with fewer rows of the holdout is not judged."
    )
    max_demographic_parity_difference: Share = Field(
        default=0.3,
        description="Largest difference in the share of positive predictions (binary).",
    )
    max_equalized_odds_difference: Share = Field(
        default=0.3,
        description="Largest difference in true or false positive rate (binary).",
    )
    max_mean_prediction_gap: float = Field(
        default=0.5,
        ge=0,
        le=100,
        description="Largest difference in the mean prediction (regression), in standard "
        "deviations of the target in the rows learned from.",
    )
    max_worst_group_loss: float = Field(
        default=0.5,
        ge=0,
        le=100,
        description="How much worse than overall the metric may be in the worst group, relative.",
    )


class Calibration(Section):
    """Whether a prediction means what it says."""

    max_error: Share = Field(
        default=0.2,
        gt=0,
        description="Classification: the expected calibration error, a probability.",
    )
    max_bias: float = Field(
        default=0.5,
        gt=0,
        le=100,
        description="Regression: |mean prediction - mean target|, in standard deviations of the "
        "target in the rows learned from.",
    )


class Stability(Section):
    """How much predictions may move when the inputs hardly do, or when some are missing."""

    noise: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="Noise on each numeric column, in standard deviations of its training rows.",
    )
    missing_share: Share = Field(
        default=0.02, description="Share of the cells of nullable columns that is taken away."
    )
    max_loss: float = Field(
        default=0.2,
        ge=0,
        le=100,
        description="How much the error may grow, relative to the untouched holdout's, or to what "
        "is gained there on the naive baseline, whichever is more. For a metric that ends at 1, "
        "the error is its distance from 1.",
    )


class Behaviour(Section):
    """One expectation of the domain: a change of a column that may not matter, or only one way."""

    name: str = Field(min_length=1, max_length=100)
    column: ColumnName
    set_to: tuple[CellValue | float, ...] = Field(
        default=(),
        max_length=100,
        description="Values the column is set to, one after the other. A direction over several "
        "is one from each value to the next.",
    )
    add: float | None = Field(
        default=None,
        description="What is added to a numeric column, up to the contract's least or largest.",
    )
    expect: Literal["same", "not_lower", "not_higher"] = Field(
        description="'same': the answer may not change; 'not_lower': it may only rise (the "
        "prediction of a regression, the probability of the second class of a binary model)."
    )
    tolerance: float = Field(
        default=0.0,
        ge=0,
        description="What counts as no change: a probability, or (regression) a share of the "
        "target's standard deviation.",
    )
    max_violations: Share = Field(
        default=0.0, description="Share of the rows that may break the expectation."
    )


class Leakage(Section):
    """Signs that the target is known beforehand."""

    max_feature_share: Share = Field(
        default=0.8,
        gt=0,
        description="Largest share of what the challenger gains on the naive baseline that one "
        "column alone may explain, while the metric is nearly perfect (max_skill).",
    )
    max_skill: Share = Field(
        default=0.95,
        gt=0,
        description="1 is a perfect model, 0 the naive baseline: above this one column alone "
        "(max_feature_share) looks like the target in disguise.",
    )
    max_holdout_gain: Share = Field(
        default=0.6,
        gt=0,
        description="How much smaller the error may be on the holdout than on the rows learned "
        "from, relative, as it is and beside the naive baseline's; more says that it is known.",
    )


class Overfitting(Section):
    """How much better it may be on what it learned from. It fails if both are exceeded.

    Sound ensembles fit what they learned from almost perfectly: a gap alone says little.
    """

    max_gap: float = Field(
        default=10.0,
        gt=0,
        le=1000,
        description="How many times worse the error on the holdout may be than on the rows learned "
        "from. For a metric that ends at 1, the error is its distance from 1.",
    )
    min_kept_skill: Share = Field(
        default=0.25,
        description="What is gained on the naive baseline on the holdout, as a share of what is "
        "gained on the rows learned from: with as much, the gap is forgiven.",
    )


class Size(Section):
    max_mib: float = Field(default=256.0, gt=0, le=100_000, description="Of the model's bundle.")


class Latency(Section):
    max_ms: float = Field(
        default=50.0,
        gt=0,
        le=60_000,
        description="Median time of one answer to one row, in this process, without a network.",
    )


class Gates(Section):
    """What a challenger must show before it is registered.

    Every gate blocks unless `modes` says otherwise; one that is off stands on the model card.
    """

    modes: dict[GateName, GateMode] = Field(
        default={},
        description="block (the default): a challenger that fails it loses. warn: it is told and "
        "shown. off: it is not computed, and the model card says so.",
    )
    min_improvement: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="Relative to the champion's metric: 0.01 asks for 1% better.",
    )
    confidence: float = Field(
        default=0.9,
        gt=0.5,
        lt=1,
        description="Share of the paired bootstrap's resamples in which the challenger must be "
        "better than the champion.",
    )
    min_baseline_improvement: float = Field(default=0.01, gt=0, le=1)
    naive_baseline: Literal["mean", "majority", "last_value"] | None = None
    floors: dict[str, float] = Field(
        default={},
        description="Metric -> the least it may be (the most, for errors and losses), whatever "
        "the champion's.",
    )
    slices: tuple[Slice, ...] = Field(default=(), max_length=100)
    fairness: Fairness = Fairness()
    calibration: Calibration = Calibration()
    stability: Stability = Stability()
    behaviour: tuple[Behaviour, ...] = Field(default=(), max_length=100)
    leakage: Leakage = Leakage()
    overfitting: Overfitting = Overfitting()
    size: Size = Size()
    latency: Latency = Latency()

    def mode(self, gate: GateName) -> GateMode:
        """What becomes of a challenger that fails this gate."""
        return self.modes.get(gate, "block")
