"""Decides drift: a column drifted if it differs by enough to matter, and by more than chance does.

Every method is a distance that is 0 for equal samples and grows, so one rule serves all: the
value is held against the spec's threshold, or against what chance alone reaches with so many rows
where that is higher (a small window is a noisy one). Chance is taken at `FALSE_ALARM_RATE` for
one look at all columns together, divided by the number of comparisons (Bonferroni). It is exact
for rows that are drawn independently; neighbouring hours are not, and a spec leaves out by
`monitoring.ignore` what moves by nature.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from include.evergreen.contracts import ColumnDrift, DriftVerdict

Method = Literal["psi", "jensen_shannon", "wasserstein", "ks", "chi2", "null_share", "unseen_share"]

#: Share of looks at rows that did not drift on which any column may alarm.
FALSE_ALARM_RATE = 0.01
_SHOWN = 10
#: Mean and standard deviation of |z| for a standard normal z.
_MEAN_ABS, _STD_ABS = math.sqrt(2 / math.pi), math.sqrt(1 - 2 / math.pi)
#: The methods that count in cells: (chi-square / divisor) ** power.
_CELLS: dict[Method, tuple[float, float]] = {
    "psi": (1, 1),
    "jensen_shannon": (8, 0.5),
    "chi2": (4, 0.5),
}


@dataclass(frozen=True)
class Measurement:
    """How far the current values of one column lie from the reference's, by one method.

    Attributes:
        value: the distance, at least 0.
        threshold: the distance that matters, by the spec.
        n_reference, n_current: values (for the two shares: rows) that were compared.
        cells: bins or categories compared, for the methods that count in cells.
        spread: the integral of sqrt(F (1 - F)) over the reference's scale, for Wasserstein.
        share: the pooled share of rows, for the two shares.
        population: which current rows these are, where there are several kinds.
        note: what a reader should know about the value.
    """

    column: str
    method: Method
    value: float
    threshold: float
    n_reference: int
    n_current: int
    cells: int = 0
    spread: float = 0.0
    share: float = 0.0
    population: str = ""
    note: str = ""


def chance_limit(measured: Measurement, alpha: float) -> float:
    """The distance that samples of one distribution exceed with probability `alpha`, about.

    PSI, Jensen-Shannon and Cramer's V are, near equality, 1, 1/8 (of its square) and 1/4 (of its
    square) times the same chi-square statistic, which has `cells - 1` degrees of freedom.
    """
    if not measured.n_reference or not measured.n_current:
        return 0.0
    per_row = 1 / measured.n_reference + 1 / measured.n_current
    z = NormalDist().inv_cdf(1 - alpha)
    if measured.method in _CELLS:
        divisor, power = _CELLS[measured.method]
        return float((per_row * _chi_square(measured.cells - 1, z) / divisor) ** power)
    if measured.method == "ks":
        return math.sqrt(per_row * math.log(2 / alpha) / 2)
    if measured.method == "wasserstein":
        return measured.spread * math.sqrt(per_row) * (_MEAN_ABS + _STD_ABS * z)
    return z * math.sqrt(measured.share * (1 - measured.share) * per_row)


def _chi_square(freedom: int, z: float) -> float:
    """The chi-square quantile at the normal quantile `z` (Wilson and Hilferty, 1931)."""
    if freedom < 1:
        return 0.0
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + z * math.sqrt(part)) ** 3)


def decide_column(measured: Measurement, alpha: float) -> ColumnDrift:
    """One comparison's verdict; its `threshold` is the limit that was applied."""
    chance = chance_limit(measured, alpha)
    limit = max(measured.threshold, chance)
    notes = [measured.population, measured.note]
    if chance > measured.threshold:
        notes.append(
            f"limit raised from {measured.threshold:g}: chance alone reaches {chance:.3g} "
            f"with {measured.n_current:,} rows"
        )
    return ColumnDrift(
        column=measured.column,
        method=measured.method,
        value=measured.value,
        threshold=limit,
        drifted=measured.value >= limit,
        note="; ".join(note for note in notes if note),
    )


def decide_drift(
    measured: Sequence[Measurement],
    *,
    rows_reference: int,
    rows_current: int,
    min_drifted_columns: int,
) -> DriftVerdict:
    """The verdict over all columns; of several populations the worst counts, for each column.

    Columns come in the order of the measurements, those that drifted first.
    """
    if not measured:
        return too_early("no column is left to compare", rows_reference, rows_current)
    alpha = FALSE_ALARM_RATE / len(measured)
    worst: dict[tuple[str, str], ColumnDrift] = {}
    for measurement in measured:
        seen = decide_column(measurement, alpha)
        known = worst.setdefault((seen.column, seen.method), seen)
        if seen.value / seen.threshold > known.value / known.threshold:
            worst[seen.column, seen.method] = seen
    columns = tuple(sorted(worst.values(), key=lambda column: not column.drifted))
    drifted = [column for column in columns if column.drifted]
    names = {column.column for column in drifted}
    compared = len({column.column for column in columns})
    enough = len(names) >= min_drifted_columns
    reason = (
        f"{len(names)} of {compared} columns drifted; {min_drifted_columns} or more are an alarm."
        f"{_evidence(drifted)}"
    )
    return DriftVerdict(
        verdict="drift" if enough else "no_drift",
        reason=reason,
        rows_reference=rows_reference,
        rows_current=rows_current,
        columns=columns,
    )


def too_early(why: str, rows_reference: int = 0, rows_current: int = 0) -> DriftVerdict:
    """The verdict where nothing can be said yet."""
    return DriftVerdict("not_yet", f"Not yet: {why}.", rows_reference, rows_current)


def drift_cause(champion_version: int, fresh_rows: int, min_rows: int) -> str:
    """The cause under which drift asks: one a champion and doubling of the fresh rows.

    An everlasting drift so asks again only when there is about twice as much to learn from, a
    logarithmic number of times in all, and a challenger that lost once is not the last word.
    """
    doublings = int(math.log2(max(fresh_rows / min_rows, 1)))
    return f"drift:v{champion_version}:{min_rows * 2**doublings}"


def _evidence(drifted: Sequence[ColumnDrift]) -> str:
    if not drifted:
        return ""
    shown = "; ".join(
        f"{c.column} {c.method} {c.value:.3g} (limit {c.threshold:.3g})" for c in drifted[:_SHOWN]
    )
    more = f"; and {len(drifted) - _SHOWN} more" if len(drifted) > _SHOWN else ""
    return f" {shown}{more}."
