"""When predictions move more than their inputs did."""

from __future__ import annotations

import math
from collections.abc import Mapping

from include.evergreen.policy.gates.finding import Finding

ROUNDING = 1e-12


def check_stability(
    untouched: float, naive: float, touched: Mapping[str, float], max_loss: float
) -> Finding:
    """Failed where an error grows by more than `max_loss`; passed up to and including it.

    It grows relative to itself, or to what was gained on the naive baseline, whichever is more: a
    model that is nearly perfect may do what a model of some use may, and one that is of little use
    is not measured by that little.

    Args:
        untouched: the error on the rows as they are.
        naive: the naive baseline's error on them.
        touched: what was done to the rows -> the error then; empty where nothing can be done.
        max_loss: see `gates.stability`.
    """
    required = (
        f"an error that grows by at most {max_loss:.0%}, of itself or of what was gained on the "
        "naive baseline (gates.stability.max_loss)"
    )
    if not touched:
        return Finding(None, "no numeric and no nullable column to touch", required)
    gained = naive - untouched if math.isfinite(naive) else 0.0
    scale = max(untouched, gained)
    losses = {
        name: (error - untouched) / scale if scale > 0 else math.inf if error > 0 else 0.0
        for name, error in touched.items()
    }
    return Finding(
        passed=all(loss <= max_loss + ROUNDING for loss in losses.values()),
        seen="; ".join(_told(name, untouched, touched[name], losses[name]) for name in touched),
        required=required,
        evidence={
            "untouched_error": untouched,
            "touched": [
                {"what": name, "error": touched[name], "loss": loss}
                for name, loss in losses.items()
            ],
            "max_loss": max_loss,
        },
    )


def _told(name: str, untouched: float, error: float, loss: float) -> str:
    if not math.isfinite(error):
        return f"with {name} the error is no number ({error:g})"
    grown = f"grows by {loss:.1%}" if math.isfinite(loss) else "grows out of all proportion"
    return f"with {name} the error {grown} (from {untouched:.4g} to {error:.4g})"
