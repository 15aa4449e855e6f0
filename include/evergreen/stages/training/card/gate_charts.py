"""Charts of what is known of a gate's evidence; a shape that is not known has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from include.evergreen.stages.training.card import charts
from include.evergreen.stages.training.card.charts import Range

#: A chart with the words above it.
Drawn = tuple[str, str]
MOST_BARS = 15
_FEW = 2


def charts_of(gate: Mapping[str, Any]) -> list[Drawn]:
    """What can be drawn of a gate: a caption and its chart, each."""
    draw = _DRAWN.get(str(gate["name"]))
    return list(draw(gate["evidence"])) if draw else []


def _champion(evidence: Mapping[str, Any]) -> Iterator[Drawn]:
    interval, value = evidence.get("interval"), _float(evidence.get("improvement"))
    if value is None:
        return
    known = isinstance(interval, list) and all(map(_is_number, interval)) and len(interval) == _FEW
    low, high = interval if known and interval else (None, None)
    marks = {"a tie": 0.0}
    required = _float(evidence.get("min_improvement"))
    if required is not None:
        marks["required"] = required
    row = Range("improvement", value, low, high, "challenger")
    said = (
        "Improvement over the champion as a share, and its interval; dashed: a tie, and what is "
        "required"
    )
    yield said, charts.ranges(said, [row], marks=marks)


def _slices(evidence: Mapping[str, Any]) -> Iterator[Drawn]:
    rows = _things(evidence.get("slices"), "name", "challenger")
    if not rows:
        return
    against = "champion" if any(_is_number(row.get("champion")) for row in rows) else "baseline"
    drawn = [
        (
            str(row["name"]),
            _float(row["challenger"]),
            _float(row.get(against)),
            row.get("verdict") == "failed",
        )
        for row in rows[:MOST_BARS]
    ]
    said = f"The metric in each slice: challenger, and {against} below it"
    yield said, charts.paired_bars(said, drawn, against)


def _fairness(evidence: Mapping[str, Any]) -> Iterator[Drawn]:
    for column in _things(evidence.get("columns"), "column", "groups"):
        groups = _things(column["groups"], "name")
        for key, meaning in (
            ("metric", str(evidence.get("metric") or "metric")),
            ("selection_rate", "share of positive predictions"),
            ("true_positive_rate", "true positive rate"),
            ("mean_gap", "mean prediction's distance from that of all groups"),
        ):
            rows = [(_with_rows(g), float(g[key])) for g in groups if _is_number(g.get(key))]
            if len(rows) > 1:
                said = f"{column['column']}: {meaning}, by group"
                yield said, charts.bars(said, rows[:MOST_BARS])


def _calibration(evidence: Mapping[str, Any]) -> Iterator[Drawn]:
    curve = [
        part
        for part in _things(evidence.get("curve"), "predicted", "observed", "rows")
        if _is_number(part["predicted"]) and _is_number(part["observed"])
    ]
    if len(curve) >= _FEW:
        of = f" of {evidence['of']}" if evidence.get("of") else ""
        said = f"What was predicted{of}, against what came true"
        yield said, charts.reliability(said, curve, across="predicted", up="came true")


def _leakage(evidence: Mapping[str, Any]) -> Iterator[Drawn]:
    rows = [
        (str(row["column"]), float(row["lost"]))
        for row in _things(evidence.get("importances"), "column", "lost")
        if _is_number(row["lost"])
    ]
    if rows:
        said = "What is lost of the skill when a column is shuffled"
        yield said, charts.bars(said, rows[:MOST_BARS])


def _behaviour(evidence: Mapping[str, Any]) -> Iterator[Drawn]:
    found = _things(evidence.get("expectations"), "name")
    rows = [
        (str(row["name"]), float(row["share"])) for row in found if _is_number(row.get("share"))
    ]
    if rows:
        said = "Share of the rows that break each expectation"
        yield said, charts.bars(said, rows[:MOST_BARS])


def _stability(evidence: Mapping[str, Any]) -> Iterator[Drawn]:
    found = _things(evidence.get("touched"), "what", "loss")
    rows = [(str(row["what"]), float(row["loss"])) for row in found if _is_number(row["loss"])]
    if rows:
        said = "How much the error grows when the inputs are touched, as a share"
        yield said, charts.bars(said, rows[:MOST_BARS])


_DRAWN: dict[str, Callable[[Mapping[str, Any]], Iterator[Drawn]]] = {
    "champion": _champion,
    "slices": _slices,
    "fairness": _fairness,
    "calibration": _calibration,
    "leakage": _leakage,
    "stability": _stability,
    "behaviour": _behaviour,
}


def _things(value: Any, *keys: str) -> list[Mapping[str, Any]]:
    """The mappings of a list that have all these keys; none of anything else."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [thing for thing in value if isinstance(thing, Mapping) and thing.keys() >= set(keys)]


def _with_rows(group: Mapping[str, Any]) -> str:
    rows = group.get("rows")
    return f"{group['name']} ({rows:,})" if isinstance(rows, int) else str(group["name"])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: Any) -> float | None:
    return float(value) if _is_number(value) else None
