"""Facts survive the trip through XCom's JSON."""

import json

import pytest

from include.evergreen.contracts import (
    ColumnDrift,
    DriftReport,
    DriftVerdict,
    Judgement,
    Score,
    Snapshot,
    TrialBudget,
)

SNAPSHOT = Snapshot(
    model="m", key="k", data_version=3, labels_version=None, rows_digest="r", spec_digest="s",
    code_digest="c", rows={"train": 10}, seen_from="", seen_until="2026-01-01T00:00:00+00:00",
    holdout_from="", budget=TrialBudget(3, 4, 2), request_ids=(1, 2), reason="new_data",
)  # fmt: skip
REPORT = DriftReport(
    model="m", champion_version=2, run_id="x", report_uri="u", request_id=None,
    verdict=DriftVerdict("drift", "why", 10, 20, (ColumnDrift("a", "psi", 0.3, 0.2, True),)),
)  # fmt: skip
JUDGEMENT = Judgement("won", "because", challenger=Score("rmse", 1.5, 100), improvement=0.2)


@pytest.mark.parametrize("fact", [SNAPSHOT, REPORT, JUDGEMENT], ids=lambda f: type(f).__name__)
def test_a_fact_comes_back_from_json_as_it_was(fact: Snapshot | DriftReport | Judgement) -> None:
    assert type(fact).from_json(json.loads(json.dumps(fact.as_json()))) == fact


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(TypeError, match="surprise"):
        TrialBudget.from_json({"trials": 1, "seconds": 1, "workers": 1, "surprise": 0})
