"""Decides whether a converted model is the model: on rows that neither was fitted on."""

from __future__ import annotations

from dataclasses import dataclass

#: The most a number may be off, as a share of itself or of the predictions' spread, if larger.
MOST = 1e-5


@dataclass(frozen=True)
class Parity:
    """How a converted model's answers differ from the original's.

    Attributes:
        rows: how many were compared.
        largest: the largest difference of a number (a prediction, or a share of a class), divided
            by the number or by the spread of all numbers, whichever is larger. NaN where either
            answered none.
        labels_differ: rows with another label, though the original had no tie there.
    """

    rows: int
    largest: float
    labels_differ: int = 0


def why_not_the_same(parity: Parity) -> str:
    """Why it may not stand for the original; empty if it may. No rows prove nothing."""
    if parity.rows == 0:
        return "no row to compare them on"
    if not parity.largest <= MOST:
        return (
            f"it differs by {parity.largest:.2g} of the value on {parity.rows:,} rows, and at most "
            f"{MOST:g} is allowed"
        )
    if parity.labels_differ:
        return f"{parity.labels_differ} of {parity.rows:,} rows get another label"
    return ""
