"""The card as one HTML page without scripts or network: charts where people would rather look.

Names, values and reasons come from data, specs and people, so all of them are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from include.evergreen.stages.training.card import html_parts as parts
from include.evergreen.stages.training.card import words
from include.evergreen.stages.training.card.decisions import standing_of
from include.evergreen.stages.training.card.evidence import Table, tables_of
from include.evergreen.stages.training.card.gate_charts import charts_of
from include.evergreen.stages.training.card.html_charts import (
    answer_figures,
    column_rows,
    effect_figures,
    metric_figures,
    target_figure,
)
from include.evergreen.stages.training.card.style import STYLE
from include.evergreen.stages.training.card.svg import NOTHING, number, percent
from include.evergreen.stages.training.card.words import Card

#: Gates that have a section of their own, because people ask for these first.
OWN_SECTION = ("slices", "fairness")
SECTIONS = (
    ("metrics", "Metrics"),
    ("answers", "Answers"),
    ("gates", "Gates"),
    ("slices", "Slices"),
    ("fairness", "Fairness"),
    ("explanation", "What the answers rest on"),
    ("data", "Data and contract"),
    ("recipe", "Recipe"),
    ("lineage", "Lineage"),
    ("decisions", "Approval and release"),
)


def render_html(card: Card) -> str:
    """The whole page."""
    title = f"Model card: {words.title(card)}"
    written = {
        "metrics": _metrics,
        "answers": _answers,
        "gates": _gates,
        "slices": _slices,
        "fairness": _fairness,
        "explanation": _explanation,
        "data": _data,
        "recipe": lambda card: parts.pairs(words.recipe_pairs(card)),
        "lineage": _lineage,
        "decisions": _decisions,
    }
    sections = "\n".join(
        f'<section id="{name}"><h2>{escape(heading)}</h2>\n{written[name](card)}</section>'
        for name, heading in SECTIONS
    )
    links = "".join(f'<li><a href="#{name}">{escape(said)}</a></li>' for name, said in SECTIONS)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
{_header(card)}
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main>
{sections}
</main></body></html>
"""


def _header(card: Card) -> str:
    model = card["model"]
    won = card["judgement"]["verdict"] == "won"
    pills = parts.pill(words.verdict(card), "good" if won else "bad")
    standing = standing_of(card)
    pills += " " + parts.pill(standing, _standing_css(standing)) if won else ""
    return f"""<header>
<p class="eyebrow">Model card &middot; {escape(model["task"])} &middot; {escape(model["owner"])}</p>
<h1>{escape(words.title(card))} {pills}</h1>
<p>{escape(model["description"])}</p>
<p class="soft">{escape(card["judgement"]["reason"])}. {escape(card["served"]["words"])}</p>
{_tiles(card)}
</header>"""


def _standing_css(standing: str) -> str:
    good = {"approved", "in production"}
    bad = {"rejected", "taken back", "release given up", "expired"}
    return "good" if standing in good else "bad" if standing in bad else "off"


def _tiles(card: Card) -> str:
    judgement, model = card["judgement"], card["model"]
    decides = next((row for row in card["metrics"]["rows"] if row["decides"]), None)
    own = decides["challenger"] if decides else None
    interval = (
        f"{number(own['low'], 4)} to {number(own['high'], 4)}, {percent(_confidence(card), 0)}"
        if own and own["low"] is not None
        else "no interval"
    )
    score = judgement["challenger"]
    improvement = judgement["improvement"]
    tiles = [
        (f"{model['metric']} on the holdout", number(score and score["value"], 4), interval),
        (
            f"{'better' if (improvement or 0) >= 0 else 'worse'} than {words.against(card)}",
            NOTHING if improvement is None else f"{abs(improvement):.1%}",
            f"{judgement['required_improvement']:.1%} required",
        ),
        ("gates passed", _passed(card), words.gates_in_short(card)),
        (
            "rows learned from",
            f"{card['data']['rows'].get('train', 0):,}",
            f"{card['data']['rows'].get('holdout', 0):,} held out, {words.period(card)}",
        ),
    ]
    drawn = "".join(
        f'<div class="tile"><span class="name">{escape(name)}</span><b>{escape(figure)}</b>'
        f"<span>{escape(below)}</span></div>"
        for name, figure, below in tiles
    )
    return f'<div class="tiles">{drawn}</div>'


def _confidence(card: Card) -> float:
    return float(card["metrics"]["confidence"])


def _passed(card: Card) -> str:
    looked = [gate for gate in card["gates"] if gate["verdict"] in ("passed", "failed")]
    passed = sum(1 for gate in looked if gate["verdict"] == "passed")
    return f"{passed} of {len(looked)}" if looked else NOTHING


def _metrics(card: Card) -> str:
    rows = card["metrics"]["rows"]
    present = [w for w in ("challenger", "champion", "baseline") if any(w in row for row in rows)]
    body = [
        (
            f"{row['metric']}{' (decides)' if row['decides'] else ''}",
            *(words.metric_cell(row.get(who)) for who in present),
            "more" if row["greater_is_better"] else "less",
        )
        for row in rows
    ]
    return (
        f"<p>All on the same rows, which neither model has seen. In brackets and pale: the "
        f"{_confidence(card):.0%} interval of a block bootstrap.</p>"
        f"{parts.keys(present)}{parts.panels(metric_figures(card))}"
        f"{parts.table(('metric', *present, 'better is'), body, marked=_deciding(rows))}"
    )


def _deciding(rows: Sequence[Card]) -> set[int]:
    return {place for place, row in enumerate(rows) if row["decides"]}


def _answers(card: Card) -> str:
    return f"<p>What the challenger said of the holdout.</p>{parts.panels(answer_figures(card))}"


def _gates(card: Card) -> str:
    rows = [
        (
            escape(words.gate_name(gate)),
            parts.pill(words.gate_verdict(gate), words.gate_css(gate)),
            escape(gate["mode"]),
            escape(gate["seen"]),
            escape(gate["required"]),
        )
        for gate in card["gates"]
    ]
    head = ("gate", "verdict", "mode", "seen", "required")
    evidence = "".join(
        _evidence(gate)
        for gate in card["gates"]
        if gate["evidence"] and gate["name"] not in OWN_SECTION
    )
    return (
        "<p>A gate blocks unless the spec says otherwise. One that only warns, or is off, "
        f"stopped nothing.</p>{parts.raw_table(head, rows)}{evidence}"
    )


def _evidence(gate: Card) -> str:
    failed = " open" if gate["verdict"] == "failed" else ""
    pill = parts.pill(words.gate_verdict(gate), words.gate_css(gate))
    return (
        f"<details{failed}><summary>{escape(words.gate_name(gate))} {pill}</summary>"
        f"{_seen(gate)}</details>"
    )


def _seen(gate: Card) -> str:
    figures = [parts.figure(said, chart) for said, chart in charts_of(gate)]
    drawn = parts.panels(figures)
    return drawn + "".join(_table(table) for table in tables_of(gate["evidence"]))


def _table(table: Table) -> str:
    caption = f"<h3>{escape(table.caption)}</h3>" if table.caption else ""
    if not table.head:
        return caption + parts.pairs(table.rows)
    more = f'<p class="soft">{table.left_out:,} more are left out.</p>' if table.left_out else ""
    return caption + parts.table(table.head, table.rows) + more


def _slices(card: Card) -> str:
    return _own(card, "slices", parts.keys(("challenger", "champion", "baseline")))


def _fairness(card: Card) -> str:
    return _own(card, "fairness", "")


def _own(card: Card, name: str, keys: str) -> str:
    gate = next(gate for gate in card["gates"] if gate["name"] == name)
    pill = parts.pill(words.gate_verdict(gate), words.gate_css(gate))
    required = f" Required: {escape(gate['required'])}." if gate["required"] else ""
    said = f"<p>{pill} {escape(gate['seen'])}.{required}</p>"
    return said + (keys + _seen(gate) if gate["evidence"] else "")


def _explanation(card: Card) -> str:
    return f"<p>{escape(words.explained(card))}</p>{parts.panels(effect_figures(card))}"


def _data(card: Card) -> str:
    data = card["data"]
    more = (
        f'<p class="soft">{len(data["not_shown"])} more columns: '
        f"{escape(', '.join(data['not_shown'][:30]))}.</p>"
        if data["not_shown"]
        else ""
    )
    head = ("column", "type", "the contract allows", "train and holdout", "missing")
    return (
        f"{parts.pairs(words.data_pairs(card))}{parts.panels([target_figure(card)])}"
        f"{parts.keys(('train', 'holdout'))}"
        f"{parts.raw_table(head, column_rows(card))}{more}"
    )


def _lineage(card: Card) -> str:
    url = card["lineage"]["run_url"]
    link = (
        f'<p><a href="{escape(url)}">The run in MLflow</a></p>'
        if url.startswith(("http://", "https://"))
        else ""
    )
    return parts.pairs(words.lineage_pairs(card)) + link


def _decisions(card: Card) -> str:
    if not card["decisions"]:
        won = card["judgement"]["verdict"] == "won"
        return f'<p class="open">{escape(words.UNDECIDED if won else words.NEVER)}</p>'
    rows: Iterable[tuple[str, ...]] = map(words.decision_cells, card["decisions"])
    return parts.table(("when", "what", "by", "why"), list(rows))
