"""Draws acceptance examples for a person who decides: expected and got, side by side.

One file without scripts or network. Names and values come from people and from data, so all of
them are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from include.evergreen.contracts import AcceptanceResult
from include.evergreen.stages.training.card.markdown import unlinked

#: Rows of the Markdown table: it stands in the body of a question to a person.
MARKDOWN_ROWS = 50
_SHOWN, _LONGEST_CELL = 80, 200
#: The share of a bar's width that the expected range takes.
_RANGE = 0.5
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2321;--soft:#5f6b67;--line:#dfe5e2;--page:#fff;
--calm:#2f855a;--alarm:#c53030;--track:#edf1ef;--range:#b7dcc8}
@media(prefers-color-scheme:dark){:root{--ink:#e6ecea;--soft:#9aa8a3;--line:#33403b;--page:#161c1a;
--calm:#68d391;--alarm:#fc8181;--track:#26302c;--range:#2c5a43}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);
max-width:72rem;margin:2rem auto;padding:0 1.25rem}
h1{font-size:1.6rem;margin:0 0 .25rem}h1.failed{color:var(--alarm)}h1.passed{color:var(--calm)}
p{margin:.4rem 0}.soft{color:var(--soft)}code{font-size:.85em;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;margin:1.25rem 0;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.5rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;font-size:.85rem}
td.case{min-width:13rem}td.case summary{cursor:pointer}td.got{font-weight:600}
tr.missed td.got,tr.missed td.verdict{color:var(--alarm)}tr.missed td.verdict{font-weight:600}
tr.held td.verdict{color:var(--calm)}td.verdict{white-space:nowrap}
.track{position:relative;width:11rem;height:.6rem;background:var(--track);border-radius:3px;
margin-top:.5rem}
.range{position:absolute;top:0;height:100%;background:var(--range);border-radius:3px}
.dot{position:absolute;top:-.15rem;width:.9rem;height:.9rem;margin-left:-.45rem;border-radius:50%;
background:var(--calm);border:2px solid var(--page);box-sizing:border-box}
tr.missed .dot{background:var(--alarm)}
details dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem .8rem;margin:.5rem 0;
font-size:.85rem}dt{color:var(--soft)}dd{margin:0}
"""
_WORDS = {True: "as expected", False: "not as expected"}


def render_page(document: Mapping[str, Any], results: Sequence[AcceptanceResult]) -> str:
    """The page as HTML; `document` is what is kept beside the results (see `acceptance`)."""
    title = f"{document['model']} v{document['version']}: acceptance examples"
    held = sum(result.held for result in results)
    css = "passed" if held == len(results) else "failed"
    ordered = sorted(results, key=lambda result: result.held)
    rows = "\n".join(_row(result) for result in ordered)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{_STYLE}</style></head><body>
<h1 class="{css}">{held} of {len(results)} as expected</h1>
<p>{escape(title)}. {escape(_consequence(document))}</p>
<table><thead><tr><th>Case</th><th>Expected</th><th>Got</th><th>Got within expected</th>
<th>Verdict</th></tr></thead>
<tbody>
{rows}
</tbody></table>
<p class="soft">Asked of the running container, image
<code>{escape(str(document["image_digest"]))}</code>. Examples: {escape(str(document["file"]))},
sha256 <code>{escape(str(document["digest"]))}</code>. Open a case to see the row that was sent.</p>
</body></html>
"""


def render_markdown(document: Mapping[str, Any], results: Sequence[AcceptanceResult]) -> str:
    """The same as a Markdown table, those that were missed first, at most `MARKDOWN_ROWS`."""
    ordered = sorted(results, key=lambda result: result.held)
    held = sum(result.held for result in results)
    title = f"{document['model']} v{document['version']}"
    lines = [
        f"**{title}: {held} of {len(results)} acceptance examples as expected.**",
        _consequence(document),
        "",
        "| Case | Expected | Got | Verdict |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {_cell(r.case)} | {_cell(r.expected)} | {_cell(r.got)} | {_verdict(r)} |"
        for r in ordered[:MARKDOWN_ROWS]
    ]
    if len(ordered) > MARKDOWN_ROWS:
        lines.append(f"\n... and {len(ordered) - MARKDOWN_ROWS} more on the whole page.")
    lines.append(f"\nExamples: {_cell(str(document['file']))}, sha256 {document['digest'][:12]}.")
    return "\n".join(lines) + "\n"


def _verdict(result: AcceptanceResult) -> str:
    return _WORDS[True] if result.held else f"**{_WORDS[False]}**"


def _consequence(document: Mapping[str, Any]) -> str:
    if document["mode"] == "warn":
        return "A miss is shown and stops nothing (deployment.acceptance_mode: warn)."
    return "One that misses keeps the version from serving."


def _row(result: AcceptanceResult) -> str:
    given = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(_value(value))}</dd>"
        for name, value in result.given.items()
    )
    return (
        f'<tr class="{"held" if result.held else "missed"}">'
        f'<td class="case"><details><summary>{escape(result.case)}</summary><dl>{given}</dl>'
        f"</details></td><td>{escape(result.expected)}</td>"
        f'<td class="got">{escape(result.got)}</td><td>{_bar(result)}</td>'
        f'<td class="verdict">{_WORDS[result.held]}</td></tr>'
    )


def _bar(result: AcceptanceResult) -> str:
    """The expected range with the answer on it; what lies far outside stands at the edge."""
    if result.value is None or result.low is None or result.high is None:
        return ""
    width = (result.high - result.low) or 1.0
    place = (1 - _RANGE) / 2 + (result.value - result.low) / width * _RANGE
    at = min(max(place, 0.0), 1.0)
    return (
        f'<div class="track"><div class="range" style="left:{(1 - _RANGE) / 2:.0%};'
        f'width:{_RANGE:.0%}"></div><div class="dot" style="left:{at:.1%}"></div></div>'
    )


def _value(value: Any) -> str:
    return _cut("null" if value is None else str(value), _SHOWN)


def _cell(text: str) -> str:
    """Text in a Markdown table: nothing of it is taken for markup."""
    return unlinked(_cut(text, _LONGEST_CELL))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "..."
