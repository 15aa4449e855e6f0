"""The card as Markdown: short for the registry, where MLflow renders it, and whole for the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from include.evergreen.stages.training.card import words
from include.evergreen.stages.training.card.decisions import standing_of
from include.evergreen.stages.training.card.evidence import Table, cell, tables_of
from include.evergreen.stages.training.card.svg import number
from include.evergreen.stages.training.card.words import Card, Pairs

#: MLflow keeps 5,000 characters of a version's description.
LONGEST_SHORT = 4_800
#: Pages make a link of bare text too, where it has one of these (an extension of Markdown).
_WOULD_LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
_NO_WIDTH = "\u200b"
_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")
_CONTENDERS = ("challenger", "champion", "baseline")
_BAR = 20
#: What ends an address in Markdown, or begins something else.
_NO_PLACE = frozenset(" \t\r\n<>()")


def render_markdown(card: Card) -> str:
    """The whole card; charts are tables here."""
    parts = [
        *_head(card),
        *_section("Metrics on the holdout", _metrics(card)),
        *_section("Gates", _gates(card)),
        *_section("Evidence", _evidence(card)),
        *_section("What the answers rest on", _explanation(card)),
        *_section("Data", [_pairs(words.data_pairs(card)), *_columns(card)]),
        *_section("Recipe", [_pairs(words.recipe_pairs(card))]),
        *_section("Lineage", [_pairs(words.lineage_pairs(card))]),
        *_section("Approval and release", _decisions(card)),
    ]
    return "\n\n".join(parts) + "\n"


def render_short(card: Card, url: str) -> str:
    """What fits a version's description: verdict, figures, gates, and where the card lies."""
    parts = [*_head(card), *_metrics(card), *_gates(card), *_decisions(card)]
    body = "\n\n".join(parts)
    if len(body) > LONGEST_SHORT:
        body = "\n\n".join([*_head(card), *_metrics(card), *_decisions(card)])
    return f"{body[:LONGEST_SHORT]}\n\n{link('The whole card', url)}\n"


def safe(value: str) -> str:
    """Text that Markdown takes as text, on one line: no HTML, no bar of a table, no link."""
    one_line = " ".join(value.split())
    escaped = _SPECIAL.sub(r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def link(name: str, url: str) -> str:
    """A link that a browser can follow; anything else is text."""
    if url.startswith(("http://", "https://")) and not _NO_PLACE & set(url):
        return f"[{name}]({url})"
    return f"{name}: {unlinked(url)}"


def _head(card: Card) -> Iterator[str]:
    model = card["model"]
    yield f"# Model card: {safe(words.title(card))}"
    if model["description"]:
        yield safe(model["description"])
    yield _pairs(
        [
            ("Verdict", f"{words.verdict(card)}: {card['judgement']['reason']}"),
            ("Judged against", words.against(card)),
            ("Gates", words.gates_in_short(card)),
            ("Standing", standing_of(card)),
            ("Task", f"{model['task']}, target {model['target']}, judged by {model['metric']}"),
            ("Owner", model["owner"]),
        ]
    )
    yield safe(card["served"]["words"])


def _section(title: str, parts: Iterable[str]) -> Iterator[str]:
    yield f"## {title}"
    yield from parts


def _metrics(card: Card) -> Iterator[str]:
    rows = card["metrics"]["rows"]
    present = [who for who in _CONTENDERS if any(who in row for row in rows)]
    head = ("metric", *present, "better is")
    yield _table(
        head,
        [
            (
                f"{row['metric']}{' (decides)' if row['decides'] else ''}",
                *(words.metric_cell(row.get(who)) for who in present),
                "more" if row["greater_is_better"] else "less",
            )
            for row in rows
        ],
    )
    share = card["metrics"]["confidence"]
    yield f"In brackets: the {share:.0%} interval of a block bootstrap over the holdout."


def _gates(card: Card) -> Iterator[str]:
    yield _table(
        ("gate", "mode", "verdict", "seen", "required"),
        [
            (
                words.gate_name(gate), gate["mode"], words.gate_verdict(gate), gate["seen"],
                gate["required"],
            )
            for gate in card["gates"]
        ],
    )  # fmt: skip


def _evidence(card: Card) -> Iterator[str]:
    found = False
    for gate in card["gates"]:
        for table in tables_of(gate["evidence"]):
            found = True
            title = words.gate_name(gate) + (f": {table.caption}" if table.caption else "")
            yield f"**{safe(title)}**"
            yield _of(table)
    if not found:
        yield "No gate left evidence."


def _explanation(card: Card) -> Iterator[str]:
    yield safe(words.explained(card))
    found = card["explanation"]
    if found["computed"] and found["importances"]:
        most = max(row["mean_abs"] for row in found["importances"]) or 1
        yield _table(
            ("column", "mean |SHAP|", ""),
            [
                (
                    row["column"],
                    number(row["mean_abs"]),
                    "█" * max(1, round(_BAR * row["mean_abs"] / most)),
                )
                for row in found["importances"]
            ],
        )


def _columns(card: Card) -> Iterator[str]:
    data = card["data"]
    yield _table(
        ("column", "type", "contract", "missing in train", "missing in holdout"),
        [
            (
                column["name"], column["type"], words.contract_cell(column),
                f"{column['missing']['train']:.1%}", f"{column['missing']['holdout']:.1%}",
            )
            for column in (data["target"] | {"name": f"{data['target']['name']} (target)"},
                           *data["columns"])
        ],
    )  # fmt: skip
    if data["not_shown"]:
        yield safe(f"{len(data['not_shown'])} more columns: {cell(data['not_shown'])}.")


def _decisions(card: Card) -> Iterator[str]:
    if not card["decisions"]:
        yield words.UNDECIDED if card["judgement"]["verdict"] == "won" else words.NEVER
        return
    yield _table(
        ("when", "what", "by", "why"), [words.decision_cells(entry) for entry in card["decisions"]]
    )


def _of(table: Table) -> str:
    if not table.head:
        return _pairs(list(table.rows))  # type: ignore[arg-type]
    drawn = _table(table.head, table.rows)
    return f"{drawn}\n\n{table.left_out:,} more are left out." if table.left_out else drawn


def _pairs(pairs: Pairs) -> str:
    return "\n".join(f"- {safe(name)}: {safe(value)}" for name, value in pairs)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [
        f"| {' | '.join(safe(name) for name in head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(safe(value) for value in row)} |" for row in rows),
    ]
    return "\n".join(lines)


def unlinked(value: str) -> str:
    """Text as `safe` makes it, of which no page makes a link either: whoever wrote it, a person or
    a file, does not send the reader anywhere. A space as wide as nothing breaks each address.
    """
    return _WOULD_LINK.sub(_NO_WIDTH, safe(value))
