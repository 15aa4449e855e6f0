"""Finds columns that already say what the target is: alone, added up, or multiplied.

Such a column is rarely known when a prediction is wanted (`casual` + `registered` = `cnt`), and a
model that learns from it looks perfect and is worthless. Linear algebra on a sample; exact to
rounding, so that merely good features are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from include.evergreen.stages.infer.columns import Facts

SAMPLE_ROWS = 20_000
MAX_SET = 5
MAX_ROUNDS = 5
_EXACT = 1e-9
_EXACT_LOGS = 1e-6  # cents are rounded: their logarithms miss by more
_ALONE = 0.9999
_PURE = 0.9995
_SEPARATES = 0.9995
_FEW_GROUPS = 0.2
_HALF = 0.5
_MIN_ROWS = 20
Array = np.ndarray


@dataclass(frozen=True)
class Leak:
    """Columns that determine the target, and how, in words."""

    columns: tuple[str, ...]
    how: str


def find_leaks(features: Sequence[Facts], target: Facts, *, regression: bool) -> list[Leak]:
    """The leaks among the features, single columns first; at most one leak a column."""
    sample = pl.DataFrame([target.series.alias("\0target"), *(f.series for f in features)])
    sample = sample.drop_nulls("\0target")
    if sample.height > SAMPLE_ROWS:
        sample = sample.sample(SAMPLE_ROWS, seed=7)
    if sample.height < _MIN_ROWS:
        return []
    answer = sample["\0target"]
    leaks = [
        Leak((feature.name,), how)
        for feature in features
        if (how := _alone(sample[feature.name], feature, answer, target, regression=regression))
    ]
    if not regression:
        return leaks
    found = {name for leak in leaks for name in leak.columns}
    numeric = [f.name for f in features if f.kind in {"float", "integer"} and f.name not in found]
    return leaks + _combinations(sample.select(numeric), answer, target.name)


def _alone(
    column: pl.Series, feature: Facts, answer: pl.Series, target: Facts, *, regression: bool
) -> str:
    known = pl.DataFrame({"x": column, "y": answer}).drop_nulls()
    if known.height < max(_MIN_ROWS, _HALF * len(answer)):
        return ""
    numeric = feature.kind in {"float", "integer"}
    if regression and numeric:
        ranks = known.select(pl.corr("x", "y", method="spearman").abs()).item()
        if ranks is not None and ranks > _ALONE:
            return f"it rises or falls exactly with {target.name!r} (rank correlation {ranks:.5f})"
    if not regression and numeric and target.n_unique == 2:  # noqa: PLR2004
        area = _area(known["x"].to_numpy(), (known["y"] == known["y"].max()).to_numpy())
        if area > _SEPARATES:
            return f"a threshold on it alone tells {target.name!r} (ROC AUC {area:.4f})"
    if known["x"].n_unique() <= _FEW_GROUPS * known.height and _purity(known, regression) > _PURE:
        return f"each of its values goes with one value of {target.name!r}"
    return ""


def _purity(known: pl.DataFrame, regression: bool) -> float:
    """How well the mean (or majority) of each value's group gives the target, from 0 to 1."""
    if regression:
        rest = known.select((pl.col("y") - pl.col("y").mean().over("x")).pow(2).sum()).item()
        whole = known.select((pl.col("y") - pl.col("y").mean()).pow(2).sum()).item()
        return 1 - rest / whole if whole else 0.0
    counts = known.group_by("x", "y").len().group_by("x").agg(pl.col("len").max())
    return float(counts["len"].sum()) / known.height


def _area(score: Array, positive: Array) -> float:
    """The area under the ROC curve, whichever way round."""
    ranks = pl.Series(score).rank("average").to_numpy()
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return 0.5
    area = (ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    return float(max(area, 1 - area))


def _combinations(frame: pl.DataFrame, answer: pl.Series, target: str) -> list[Leak]:
    """Small sets whose weighted sum, or product of powers, is the target; one after another."""
    leaks: list[Leak] = []
    for logs in (False, True):
        for _ in range(MAX_ROUNDS):
            taken = {name for leak in leaks for name in leak.columns}
            found = _exact_set(
                frame.select(c for c in frame.columns if c not in taken), answer, logs
            )
            if not found:
                break
            leaks.append(Leak(tuple(found), _formula(found, target, logs)))
    return leaks


def _exact_set(frame: pl.DataFrame, answer: pl.Series, logs: bool) -> dict[str, float]:
    """The columns of a small exact fit with their coefficients, or nothing."""
    names = [c for c in frame.columns if frame[c].null_count() <= _HALF * frame.height]
    if logs:
        names = [c for c in names if (frame[c].drop_nulls() > 0).mean() > _HALF]  # type: ignore[operator]
    if not names:
        return {}
    together = frame.select(names).with_columns(answer.alias("\0y")).drop_nulls()
    if logs:
        together = together.filter(pl.all_horizontal(pl.all() > 0)).select(pl.all().log())
    if together.height < max(_MIN_ROWS, _HALF * frame.height):
        return {}
    x, y = together.select(names).to_numpy().astype(float), together["\0y"].to_numpy().astype(float)
    keep = _smallest(x, y, _EXACT_LOGS if logs else _EXACT)
    if not 0 < len(keep) <= MAX_SET:
        return {}
    weights = _fit(x[:, keep], y)[0]
    return {names[i]: float(w) for i, w in zip(keep, weights, strict=True)}


def _smallest(x: Array, y: Array, exact: float) -> list[int]:
    """The columns left when all that an exact fit can do without are gone; none if it is not."""
    keep = [i for i in range(x.shape[1]) if x[:, i].std() > 0]
    if not keep or len(x) < 3 * len(keep) + 10 or not _misses(x[:, keep], y) < exact:
        return []
    for index in list(keep):
        rest = [i for i in keep if i != index]
        if rest and _misses(x[:, rest], y) < exact:
            keep = rest
    return keep


def _fit(x: Array, y: Array) -> tuple[Array, Array]:
    """Least squares with an intercept: the weights and what they miss."""
    centred, middle = x - x.mean(axis=0), y - y.mean()
    scale = centred.std(axis=0)
    weights = np.linalg.lstsq(centred / scale, middle, rcond=None)[0]
    return weights / scale, middle - (centred / scale) @ weights


def _misses(x: Array, y: Array) -> float:
    """The share of the target's variance that a linear fit leaves."""
    spread = float(((y - y.mean()) ** 2).sum())
    return float((_fit(x, y)[1] ** 2).sum()) / spread if spread else 1.0


def _formula(weights: dict[str, float], target: str, logs: bool) -> str:
    names = list(weights)
    if all(abs(weight - 1) < 1e-6 for weight in weights.values()):  # noqa: PLR2004
        return f"{(' x ' if logs else ' + ').join(names)} = {target}"
    if logs:
        return " x ".join(f"{n}^{w:.3g}" for n, w in weights.items()) + f" gives {target}"
    return " + ".join(f"{w:.3g} {n}" for n, w in weights.items()) + f" gives {target}"
