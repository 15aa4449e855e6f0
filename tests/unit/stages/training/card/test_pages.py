"""The pages say what the document says, whatever is in it, and nothing in it can do anything."""

import datetime as dt
import html.parser
import json
import re

import pytest

from include.evergreen.contracts import Actor, JournalEntry, JournalLink
from include.evergreen.policy.journal import GENESIS, link
from include.evergreen.stages.training.card import charts
from include.evergreen.stages.training.card.decisions import (
    CardEntry,
    decisions_in,
    standing_of,
    with_entry,
)
from include.evergreen.stages.training.card.evidence import tables_of
from include.evergreen.stages.training.card.gate_charts import charts_of
from include.evergreen.stages.training.card.html import SECTIONS, render_html
from include.evergreen.stages.training.card.markdown import (
    LONGEST_SHORT,
    render_markdown,
    render_short,
)
from include.evergreen.stages.training.card.plain import plain
from tests.unit.stages.training.card.conftest import EVIL, gate

APPROVED = CardEntry(
    "approved", "2026-03-03T09:00:00+00:00", "admin", "person", f"good {EVIL}", 3, {"ticket": 12}
)
RELEASED = CardEntry("released", "2026-03-03T09:05:00+00:00", "bike.release", "policy", "", 3)
EXPIRED = CardEntry("expired", "2026-03-04T09:00:00+00:00", "release", "clock", "no answer", 3)


class Tags(html.parser.HTMLParser):
    """Every tag and attribute of a page, and whether each tag was closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_page_has_every_section_and_is_whole(card):
    page = render_html(card)
    tags = Tags(page)
    assert tags.open == []
    for name, heading in SECTIONS:
        assert f'<section id="{name}"><h2>{heading}</h2>' in page
    assert len(page) < 300_000


def test_names_and_values_of_the_data_are_inert(card):
    for page in (render_html(card), render_html(with_entry(card, APPROVED))):
        tags = Tags(page)
        assert "script" not in tags.seen
        assert not any(name.startswith("on") for name in tags.attributes)
        assert "&lt;script&gt;" in page
        assert "src" not in tags.attributes, "nothing is loaded from anywhere"


def test_a_gate_that_is_off_or_only_warns_is_shown_as_such(card):
    page, text = render_html(card), render_markdown(card)
    for words in ("off", "failed, warns only", "failed, blocks", "passed (warns only)"):
        assert re.search(f'<span class="pill [a-z]+">{re.escape(words)}</span>', page), words
        assert f"| {words} |" in text
    assert "nothing to look at" in page
    assert "Latency" in page


def test_charts_hold_the_figures_they_were_given(card):
    page = render_html(card)
    figures = ("0.1375", "0.0912", "0.184", "0.731", "0.812", "0.913", "0.617", "0.338", "0.432")
    for figure in (*figures, "0.0517", "0.0233", "311", "57", "came true 0.765"):
        assert figure in page, figure
    assert page.count("<svg") == page.count('role="img"')
    assert page.count("<svg") <= page.count("<title>") - 1


def test_what_a_figure_lacks_is_a_dash_and_no_error():
    drawn = charts.paired_bars("t", [("a", None, 0.5, False)], "champion")
    assert "0.5" in drawn
    assert charts.ranges("t", [charts.Range("a", 1.0, None, None, "challenger")])
    assert charts.bars("t", [("all", 0.0), ("nothing", 0.0)])
    assert charts.scatter("t", {"train": [], "holdout": [[1, 1]]}, across="x", up="y")


@pytest.mark.parametrize("name", ["champion", "slices", "fairness", "calibration", "leakage"])
@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"slices": "none", "columns": 3, "curve": None, "importances": {}, "improvement": "much"},
        {"slices": [1, {}], "columns": [{"column": "a", "groups": None}], "curve": [{}]},
        {"improvement": 0.1, "interval": None, "importances": [{"column": "a", "lost": None}]},
    ],
)
def test_evidence_of_a_shape_that_is_not_known_is_a_table_and_no_error(card, name, evidence):
    strange = gate(name, evidence=plain(evidence))
    charts_of(strange)
    page = render_html({**card, "gates": [gate("slices"), gate("fairness"), strange]})
    assert Tags(page).open == []


def test_evidence_that_nobody_knew_of_is_told_whole():
    evidence = {
        "depth": 3,
        "doubt": None,
        "parts": [{"part": "a", "share": 0.25, "of": [{"leaf": "x", "n": 1}]}, {"part": "b"}],
        "inner": {"p99_ms": 1.23456},
    }
    found = {table.caption: table for table in tables_of(evidence)}
    assert found[""].rows == (("depth", "3"), ("doubt", "—"))
    assert found["parts"].head == ("part", "share")
    assert found["parts"].rows == (("a", "0.25"), ("b", "—"))
    assert found["parts: a: of"].rows == (("x", "1"),)
    assert found["inner"].rows == (("p99 ms", "1.235"),)


def test_no_table_of_the_markdown_is_broken_by_a_name(card):
    text = render_markdown(with_entry(card, APPROVED))
    assert EVIL not in text
    assert "<script>" not in text
    cells = None
    for line in text.splitlines():
        if not line.startswith("|"):
            cells = None
            continue
        bars = len(re.findall(r"(?<!\\)\|", line))
        assert cells in {None, bars}, line
        cells = bars
    for heading in ("Metrics", "Gates", "Evidence", "Data", "Recipe", "Lineage", "Approval"):
        assert f"## {heading}" in text


def test_the_short_card_fits_a_version_and_links_the_whole_one(card):
    long = {**card, "gates": [gate("slices", seen="x" * 900) for _ in range(12)]}
    for each in (card, long):
        text = render_short(each, "http://mlflow/card.html")
        assert len(text) < 5_000
        assert text.rstrip().endswith("[The whole card](http://mlflow/card.html)")
    assert "1,600" not in text
    assert len(render_short(long, "http://x")) < LONGEST_SHORT + 200


def test_nobody_decided_until_somebody_did(card):
    assert standing_of(card) == "not yet decided"
    assert "Not yet decided" in render_html(card)
    assert "Not yet decided" in render_markdown(card)
    decided = with_entry(with_entry(card, RELEASED), APPROVED)
    assert [entry["what"] for entry in decided["decisions"]] == ["approved", "released"]
    assert standing_of(decided) == "in production"
    page = render_html(decided)
    assert "Not yet decided" not in page
    assert "admin" in page
    assert "ticket: 12" in page
    assert with_entry(decided, APPROVED) == decided, "told twice, it stands once"


def entry(kind, to, from_, name="release"):
    who = Actor("person" if name == "reviewer" else "policy", name)
    return JournalEntry(f"{kind}:{to}", "m", kind, who, f"because of {kind}", "", from_, to)


def test_a_card_tells_what_the_journal_says_of_its_version_and_of_no_other():
    journal = [
        link(said, number, GENESIS, dt.datetime(2026, 3, number, tzinfo=dt.UTC))
        for number, said in enumerate(
            [
                entry("judged", None, 1),
                entry("registered", 2, 1),
                entry("approved", 2, 1, "reviewer"),
                entry("released", 2, 1),
                entry("released", 3, 2),
                entry("rolled_back", 2, 3),
                entry("aborted", 4, 2),
                entry("retired", None, 2),
            ],
            start=1,
        )
    ]
    journal.append(JournalLink(9, "e", GENESIS, "d", "no JSON"))

    def told(version):
        return [(one.what, one.details["journal"]) for one in decisions_in(journal, version)]

    assert told(1) == [("replaced", 4)]
    assert told(2) == [
        ("approved", 3), ("released", 4), ("replaced", 5), ("put_back", 6), ("retired", 8),
    ]  # fmt: skip
    assert told(3) == [("released", 5), ("rolled_back", 6)]
    assert told(4) == [("aborted", 7)]
    approved = decisions_in(journal, 2)[0]
    assert (approved.by, approved.by_kind, approved.version) == ("reviewer", "person", 2)
    assert (approved.at[:10], approved.why) == ("2026-03-03", "because of approved")


@pytest.mark.parametrize(
    ("words", "standing"),
    [
        (["approved", "released"], "in production"),
        (["released", "replaced"], "was in production"),
        (["released", "replaced", "put_back"], "in production"),
        (["released", "rolled_back"], "taken back"),
        (["released", "watched"], "in production"),
        (["approved", "aborted"], "release given up"),
    ],
)
def test_where_a_version_stands_is_what_was_decided_last(card, words, standing):
    for day, what in enumerate(words, start=1):
        at = f"2026-03-{day:02}T09:00:00+00:00"
        card = with_entry(card, CardEntry(what, at, "release", "policy", "", 3))
    assert standing_of(card) == standing


def test_what_the_clock_answered_is_never_told_as_a_person_s(card):
    late = with_entry(card, EXPIRED)
    assert standing_of(late) == "expired"
    assert "release (the clock)" in render_markdown(late)


def test_a_lost_challenger_has_nothing_to_approve(card):
    lost = {**card, "version": None, "judgement": {**card["judgement"], "verdict": "lost"}}
    assert standing_of(lost) == "not registered"
    page = render_html(lost)
    assert "nothing to approve" in page
    assert '<span class="pill bad">lost</span>' in page


def test_a_document_holds_no_number_that_json_has_not():
    assert plain({"a": float("nan"), "b": (float("inf"), 1.23456789), 3: {"c"}}) == {
        "a": None,
        "b": [None, 1.23457],
        "3": "{'c'}",
    }
    json.dumps(plain({"a": float("nan")}), allow_nan=False)
