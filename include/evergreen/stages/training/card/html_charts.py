"""Which chart shows what of a card: metrics, answers, importances, dependence and columns."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from include.evergreen.stages.training.card import charts, html_parts, words
from include.evergreen.stages.training.card.charts import Range
from include.evergreen.stages.training.card.evidence import cell
from include.evergreen.stages.training.card.svg import number, percent
from include.evergreen.stages.training.card.words import Card

CONTENDERS = ("challenger", "champion", "baseline")
MOST_METRICS = 6
_SHARE_OF_CHANGE = 0.0005


def metric_figures(card: Card) -> list[str]:
    """One chart a metric: each contender's figure with its interval."""
    figures = []
    for row in card["metrics"]["rows"][:MOST_METRICS]:
        ranges = [
            Range(who, row[who]["value"], row[who]["low"], row[who]["high"], who)
            for who in CONTENDERS
            if who in row and row[who]["value"] is not None
        ]
        better = "more is better" if row["greater_is_better"] else "less is better"
        note = f"<small>{better}{', and this one decides' if row['decides'] else ''}</small>"
        title = f"{row['metric']} of " + ", ".join(f"{r.name} {number(r.value, 4)}" for r in ranges)
        figures.append(html_parts.figure(row["metric"], charts.ranges(title, ranges), note))
    return figures


def answer_figures(card: Card) -> list[str]:
    """What was said against what was true."""
    found, target = card["answers"], card["model"]["target"]
    if found["kind"] == "regression":
        return _numbers_said(found, target)
    figures = []
    if found.get("table"):
        table = found["table"]
        said = "How each class was called (rows: what was true)"
        figures.append(
            html_parts.figure(said, charts.matrix(said, table["classes"], table["counts"]))
        )
    if found.get("shares"):
        figures.append(_shares_said(found["shares"]))
    return figures


def _numbers_said(found: Mapping[str, Any], target: str) -> list[str]:
    figures = []
    if found["course"]:
        lines = found["course"]["lines"]
        said = f"{target} over the holdout: what was true, and what was said"
        chart = charts.course(said, found["course"]["at"], lines, target)
        note = html_parts.keys(lines)
        figures.append(html_parts.figure(said, chart, note, css="broad"))
    said = f"{target}: said against true; on the line both are equal"
    chart = charts.scatter(
        said,
        {"challenger": found["points"]},
        across="what was true",
        up="what was said",
        diagonal=True,
    )
    figures.append(html_parts.figure(said, chart))
    errors = [b - a for a, b in found["points"]]
    edges, shares = _binned(errors)
    said = "Errors: said minus true, shares of the rows"
    figures.append(
        html_parts.figure(
            said, charts.histogram(said, edges, {"challenger": shares}, across="error", height=250)
        )
    )
    return figures


_BINS = 21


def _binned(values: list[float]) -> tuple[list[float], list[float]]:
    """Equal bins around zero."""
    most = max((abs(value) for value in values), default=0.0) or 1.0
    width = 2 * most / _BINS
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int((value + most) / width))] += 1
    total = max(1, len(values))
    edges = [-most + width * place for place in range(_BINS + 1)]
    return edges, [count / total for count in counts]


def _shares_said(found: Mapping[str, Any]) -> str:
    """The probabilities given, for the rows of either class."""
    series = {}
    for css, part in zip(("first", "second"), found["classes"], strict=True):
        total = sum(part["counts"]) or 1
        series[css] = [count / total for count in part["counts"]]
    n_bins = len(found["classes"][0]["counts"])
    said = f"Probability of {found['of']}, by what was true"
    names = [part["name"] for part in found["classes"]]
    note = (
        f'<p class="keys"><span><i class="baseline"></i>{escape(names[0])}</span>'
        f'<span><i class="challenger"></i>{escape(names[1])}</span></p>'
    )
    edges = [place / n_bins for place in range(n_bins + 1)]
    chart = charts.histogram(said, edges, series, across="probability", height=250)
    return html_parts.figure(said, chart, note)


def effect_figures(card: Card) -> list[str]:
    """Importances, and how the columns that count most move the answer."""
    found = card["explanation"]
    if not found["computed"]:
        return []
    rows = [(row["column"], row["mean_abs"]) for row in found["importances"]]
    said = f"Mean |SHAP|: the {len(rows)} columns that count most, of {found['columns']}"
    figures = [html_parts.figure(said, charts.bars(said, rows))]
    return figures + [_dependence(part, found) for part in found["dependence"]]


def _dependence(part: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    column = part["column"]
    said = f"{column}: how far it moves {found['of']}"
    if part["kind"] == "groups":
        return html_parts.figure(said, charts.effects(said, part["groups"]))
    times = part["kind"] == "times"
    chart = charts.scatter(said, part["points"], across=column, up=found["unit"], times=times)
    missing = part.get("missing")
    note = html_parts.keys(("train", "holdout"))
    if missing:
        mean = number(missing["mean"])
        note += f"<small>{missing['rows']:,} rows without a value: {mean} on average</small>"
    return html_parts.figure(said, chart, note)


def target_figure(card: Card) -> str:
    target = card["data"]["target"]
    said = f"The target, {target['name']}: shares of the rows"
    return html_parts.figure(
        said, _held(said, target, across=target["name"]), html_parts.keys(("train", "holdout"))
    )


def _held(said: str, column: Mapping[str, Any], *, across: str) -> str:
    held = column["held"]
    if held["kind"] == "histogram" and held["edges"]:
        series = {part: held[part] for part in ("train", "holdout")}
        return charts.histogram(said, held["edges"], series, across=across)
    names = [str(value) for value in held.get("values", [])]
    if held.get("others"):
        names.append(f"{held['others']} others")
    rows = [
        (name, train, holdout, False)
        for name, train, holdout in zip(names, held["holdout"], held["train"], strict=False)
    ]
    return charts.paired_bars(said, rows, "train")


def column_rows(card: Card) -> list[tuple[str, ...]]:
    """A row a column for the table of the contract; cells are HTML."""
    return [
        (
            escape(column["name"]),
            escape(column["type"]),
            escape(words.contract_cell(column)),
            _spark(column),
            _missing(column),
        )
        for column in card["data"]["columns"]
    ]


def _spark(column: Mapping[str, Any]) -> str:
    held = column["held"]
    said = f"{column['name']}: what it held"
    if held["kind"] == "histogram" and held["edges"]:
        said += f", {number(held['edges'][0])} to {number(held['edges'][-1])}"
    elif held.get("values"):
        said += f", {cell(held['values'])}"
    return charts.spark(said, {part: held[part] for part in ("train", "holdout")})


def _missing(column: Mapping[str, Any]) -> str:
    train, holdout = column["missing"]["train"], column["missing"]["holdout"]
    if max(train, holdout) < _SHARE_OF_CHANGE:
        return "none"
    return escape(f"{percent(train)} of train, {percent(holdout)} of holdout")
