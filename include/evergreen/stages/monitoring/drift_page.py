"""Draws the page a person reads first: the verdict in words, and every column against its limit.

One file without scripts or network. Names and values come from data, so all of them are escaped.
"""

from __future__ import annotations

import datetime as dt
from html import escape
from typing import TYPE_CHECKING, Any

from include.evergreen.contracts import ColumnDrift, DriftReport

if TYPE_CHECKING:
    from include.evergreen.adapters.drift_reports import WrittenReport

PAGE = "drift.html"
#: How the time of a look is written in the names of its folders, in UTC.
STAMP = "%Y%m%dT%H%M%SZ"
_HEADLINE = {
    "drift": "Drift",
    "no_drift": "No drift",
    "not_yet": "Too early to tell",
}
_MEANING = {
    "psi": "population stability index",
    "jensen_shannon": "Jensen-Shannon distance",
    "wasserstein": "Wasserstein distance, in standard deviations",
    "ks": "Kolmogorov-Smirnov distance",
    "chi2": "Cramer's V",
    "null_share": "rise of the share of missing values",
    "unseen_share": "share of values unseen in training",
}
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2321;--soft:#5f6b67;--line:#dfe5e2;--page:#fff;
--calm:#2f855a;--alarm:#c53030;--track:#edf1ef}
@media(prefers-color-scheme:dark){:root{--ink:#e6ecea;--soft:#9aa8a3;--line:#33403b;--page:#161c1a;
--calm:#68d391;--alarm:#fc8181;--track:#26302c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);
max-width:64rem;margin:2rem auto;padding:0 1.25rem}
h1{font-size:1.6rem;margin:0 0 .25rem}h1.drift{color:var(--alarm)}h1.no_drift{color:var(--calm)}
p{margin:.4rem 0}.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;margin:1.25rem 0;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;font-size:.85rem}td.number,th.number{text-align:right}
tr.drifted td.verdict{color:var(--alarm);font-weight:600}
.track{position:relative;width:9rem;height:.55rem;background:var(--track);border-radius:3px;
margin-top:.5rem}
.bar{height:100%;background:var(--calm);border-radius:3px}
tr.drifted .bar{background:var(--alarm)}
.limit{position:absolute;left:50%;top:-.2rem;height:.95rem;border-left:2px solid var(--ink)}
"""


def render_page(
    report: DriftReport, evidently: WrittenReport | None, marker: dict[str, Any]
) -> str:
    """The page as HTML.

    Args:
        report: the look.
        evidently: what Evidently wrote beside it; None if nothing (yet).
        marker: the look's `stamp` and the `evidently_uri` of the newest full report.
    """
    verdict = report.verdict
    rows = "\n".join(_row(column) for column in verdict.columns)
    asked = (
        f"Asked for a retrain (request {report.request_id})."
        if report.request_id is not None
        else "No new request to retrain: none is needed, or this cause was asked before."
    )
    title = f"{report.model}: {_HEADLINE[verdict.verdict]}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{_STYLE}</style></head><body>
<h1 class="{verdict.verdict}">{escape(title)}</h1>
<p class="soft">{verdict.rows_current:,} rows that came in, against the {verdict.rows_reference:,}
that champion v{report.champion_version} learned from. Looked at on {_when(marker)}.</p>
<p>{escape(verdict.reason)}</p>
<p>{escape(asked)}</p>
<table><thead><tr><th>Column</th><th>Method</th><th class="number">Value</th>
<th class="number">Limit</th><th>Value to limit</th><th>Verdict</th><th>Note</th></tr></thead>
<tbody>
{rows}
</tbody></table>
{_evidently(evidently, marker)}
<p class="soft">A column drifted if its value reaches the limit: the spec's threshold, or what
chance alone reaches with so few rows where that is higher. Figures are from all rows.</p>
</body></html>
"""


def _when(marker: dict[str, Any]) -> str:
    return f"{dt.datetime.strptime(marker['stamp'], STAMP):%Y-%m-%d %H:%M:%S} UTC"  # noqa: DTZ007


def _row(column: ColumnDrift) -> str:
    share = min(column.value / column.threshold / 2, 1.0)
    return (
        f'<tr class="{"drifted" if column.drifted else "calm"}"><td>{escape(column.column)}</td>'
        f'<td title="{escape(_MEANING.get(column.method, ""))}">{escape(column.method)}</td>'
        f'<td class="number">{column.value:.3f}</td><td class="number">{column.threshold:.3f}</td>'
        f'<td><div class="track"><div class="bar" style="width:{share:.1%}"></div>'
        f'<div class="limit"></div></div></td>'
        f'<td class="verdict">{"drifted" if column.drifted else "as before"}</td>'
        f'<td class="soft">{escape(column.note)}</td></tr>'
    )


def _evidently(written: WrittenReport | None, marker: dict[str, Any]) -> str:
    if written is not None:
        left_out = "".join(
            f" Left out there: {escape(name)} ({escape(why)})."
            for name, why in written.left_out.items()
        )
        return (
            f'<p>Distributions: <a href="{written.html.name}">{written.html.name}</a>, by '
            f"Evidently from a sample of {written.rows_reference:,} and "
            f"{written.rows_current:,} rows."
            f"{left_out}</p>"
        )
    if marker.get("evidently"):
        return '<p class="soft">The Evidently report is not made yet.</p>'
    uri = escape(str(marker.get("evidently_uri") or ""))
    return (
        "<p>The same verdict as at the last look, so no new Evidently report; the last one lies "
        f'beside <a href="{uri}">{uri}</a>.</p>'
    )
