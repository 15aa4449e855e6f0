"""The page a person reads: every figure on it, nothing from data that a browser would run."""

import dataclasses
from pathlib import Path

import pytest

from include.evergreen.adapters.drift_reports import WrittenReport
from include.evergreen.contracts import ColumnDrift, DriftReport, DriftVerdict
from include.evergreen.stages.monitoring.drift_page import render_page

EVIL = "<script>alert('x')</script>"
COLUMNS = (
    ColumnDrift(EVIL, "psi", 0.75, 0.25, drifted=True, note=EVIL),
    ColumnDrift("calm", "null_share", 0.0, 0.05, drifted=False, note="0.0% to 0.0% missing"),
)
REPORT = DriftReport(
    model="rides",
    champion_version=3,
    verdict=DriftVerdict("drift", f"1 of 2 drifted: {EVIL}", 2000, 1500, COLUMNS),
    run_id="r",
    report_uri="u",
    request_id=8,
)
MARKER = {"stamp": "20260601T120000Z", "evidently": True, "evidently_uri": "earlier"}


def test_every_figure_is_on_the_page_and_no_text_of_the_data_runs():
    page = render_page(REPORT, None, MARKER)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    for figure in ("1,500 rows", "2,000", "champion v3", "0.750", "0.250", "request 8", "psi"):
        assert figure in page
    assert "http" not in page, "nothing is loaded from anywhere"


@pytest.mark.parametrize(
    ("written", "marker", "expected"),
    [
        (None, MARKER, "is not made yet"),
        (None, {**MARKER, "evidently": False}, "The same verdict as at the last look"),
        (
            WrittenReport(Path("evidently.html"), Path("e.json"), 5000, 400, {"gone": "no value"}),
            MARKER,
            "Left out there: gone (no value).",
        ),
    ],
)
def test_the_page_says_where_the_distributions_are(written, marker, expected: str):
    assert expected in render_page(REPORT, written, marker)


def test_without_a_request_the_page_says_why():
    page = render_page(dataclasses.replace(REPORT, request_id=None), None, MARKER)
    assert "none is needed, or this cause was asked before" in page
