"""Whether a prediction means what it says: a 70% that comes true in 70% of the cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from include.evergreen.policy.gates.finding import Finding


@dataclass(frozen=True)
class Bin:
    """Neighbouring predictions: their mean, the mean of what came true, and how many they are."""

    predicted: float
    observed: float
    rows: int


def expected_calibration_error(curve: Sequence[Bin]) -> float:
    """Mean distance of a bin's prediction from what came true, by rows (Naeini et al., 2015)."""
    total = sum(part.rows for part in curve)
    if total == 0:
        return math.nan
    return sum(part.rows * abs(part.predicted - part.observed) for part in curve) / total


def probabilities_calibrated(curve: Sequence[Bin], max_error: float, of: str) -> Finding:
    """Passed if the expected calibration error is within the limit. `of`: whose probability."""
    error = expected_calibration_error(curve)
    return Finding(
        passed=error <= max_error,
        seen=f"an expected calibration error of {error:.3f}",
        required=f"at most {max_error:g}",
        evidence=_evidence("expected_calibration_error", error, max_error, curve) | {"of": of},
    )


def mean_unbiased(curve: Sequence[Bin], spread: float, max_bias: float) -> Finding:
    """Passed if predictions are not too high or too low on the whole.

    Args:
        curve: by prediction.
        spread: standard deviation of the target in the rows learned from.
        max_bias: in such standard deviations.
    """
    rows = sum(part.rows for part in curve)
    mean = sum(part.rows * part.predicted for part in curve) / rows if rows else math.nan
    target = sum(part.rows * part.observed for part in curve) / rows if rows else math.nan
    if not spread > 0:
        return Finding(
            None, "the target has one value in the rows learned from", f"at most {max_bias:g}"
        )
    bias = abs(mean - target) / spread
    return Finding(
        passed=bias <= max_bias,
        seen=f"a mean prediction of {mean:.6g} for a mean target of {target:.6g}, "
        f"{bias:.2f} standard deviations of the target apart",
        required=f"at most {max_bias:g}",
        evidence=_evidence("bias", bias, max_bias, curve)
        | {"mean_prediction": mean, "mean_target": target},
    )


def _evidence(name: str, error: float, limit: float, curve: Sequence[Bin]) -> dict[str, object]:
    points = [
        {"predicted": part.predicted, "observed": part.observed, "rows": part.rows}
        for part in curve
    ]
    return {"measure": name, "error": error, "limit": limit, "curve": points}
