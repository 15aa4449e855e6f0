"""A person is asked with the evidence, and what they said is kept. No service runs here."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from include.evergreen.adapters.registry import Registry
from include.evergreen.contracts import (
    AcceptanceResult,
    Answer,
    Candidate,
    GateResult,
    Judgement,
    Proposal,
    Score,
)
from include.evergreen.errors import NotApproved
from include.evergreen.policy.journal import contents
from include.evergreen.policy.releasing import ASK_AGAIN
from include.evergreen.stages.deploy.acceptance_page import MARKDOWN_ROWS
from include.evergreen.stages.release import approval, evidence, propose, waiting
from include.evergreen.stages.release.journal import journal
from include.evergreen.stages.training.card.markdown import link
from tests.containers.conftest import House, snapshot
from tests.unit.stages.release.conftest import live, register, words

AT = "2024-05-02T00:00:00+00:00"
YES = Answer(True, "reviewer", "7", "looks good", AT)
NO = Answer(False, "reviewer", "7", "too slow", AT)
CLOCK = Answer(False)
EVIL = "{{ x }} <img src=x> | [a](http://evil) `b`"


@pytest.fixture(autouse=True)
def nothing_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger names services that are not there: settling would look for them."""
    monkeypatch.setattr(propose, "settle_deployments", lambda *_, **__: None)


@pytest.fixture
def asks(house: House) -> House:
    rules = {"users": ["7"], "timeout_s": 3600}
    found = house.with_spec(approval="required", approval_rules=rules)
    register(found, 1, None)
    live(found, 1, "staging")
    return found


def proposed(house: House) -> Proposal:
    found = house.propose()
    assert found is not None
    return found


def record(house: House, proposal: Proposal, answer: Answer | None) -> str:
    if answer is None:
        return approval.why_not_approved(house.resources, proposal)
    return approval.record_answer(house.resources, proposal, answer, now=house.now())


def told(house: House) -> list[dict]:
    return [contents(entry.document) for entry in house.resources.ledger.journal("rides")]


def test_a_yes_is_kept_with_its_person_and_comment_however_often_it_is_told(asks: House) -> None:
    proposal = proposed(asks)
    assert [record(asks, proposal, YES), record(asks, proposal, YES)] == ["", ""]
    assert words(asks) == [("proposed", 1), ("approved", 1)]
    entry = told(asks)[-1]
    assert [entry["kind"] for entry in told(asks)].count("approved") == 1
    assert (entry["kind"], entry["actor"]) == ("approved", {"kind": "person", "name": "reviewer"})
    assert (entry["why"], entry["evidence"]["comment"]) == ("looks good", "looks good")
    assert record(asks, proposal, NO) == "", "what was recorded first stands"
    assert record(asks, proposal, None) == "", "and is not asked for again"
    assert evidence.question(asks.resources, proposal) is None


def test_a_no_ends_it_and_only_a_person_proposes_it_again(asks: House) -> None:
    proposal = proposed(asks)
    for _ in range(2):
        assert record(asks, proposal, NO).startswith("v1 is not released: rejected")
    assert [entry["kind"] for entry in told(asks)][-2:] == ["proposed", "rejected"]
    assert asks.propose() is None
    assert proposed_by_hand(asks).by_hand


def proposed_by_hand(house: House) -> Proposal:
    found = house.propose(1)
    assert found is not None
    return found


def test_what_the_clock_said_is_nobody_s_no_and_is_asked_again(asks: House) -> None:
    proposal = proposed(asks)
    assert record(asks, proposal, CLOCK) == (
        "v1 is not released: expired, nobody answered within 3,600 s; it can be proposed again."
    )
    assert told(asks)[-1]["actor"] == {"kind": "clock", "name": "approval"}
    ledger = asks.resources.ledger
    assert waiting.unseen(ledger, "rides", asks.now())[0] == "", "not at once"
    later = asks.now() + ASK_AGAIN
    assert waiting.unseen(ledger, "rides", later)[0] == "the release that was begun did not end"
    again = proposed(asks)
    assert evidence.question(asks.resources, again) is not None
    assert record(asks, again, YES) == ""


def test_a_newer_staged_version_ends_the_wait_and_takes_its_place(asks: House) -> None:
    proposal = proposed(asks)
    ledger = asks.resources.ledger
    assert waiting.why_not_wait(ledger, proposal) == ""
    register(asks, 2, None)
    live(asks, 2, "staging")
    assert waiting.why_not_wait(ledger, proposal) == "v2 is in staging now"
    assert record(asks, proposal, CLOCK) == "v1 is not released: superseded, v2 is in staging now."
    assert told(asks)[-1]["actor"]["kind"] == "policy"
    assert proposed(asks).version == 2


def test_without_an_answer_nothing_is_released(asks: House) -> None:
    proposal = proposed(asks)
    with pytest.raises(NotApproved, match="v1 needs somebody's approval"):
        record(asks, proposal, None)
    assert words(asks) == [("proposed", 1)]


@pytest.mark.parametrize("approves", [True, False])
def test_who_is_not_listed_neither_approves_nor_rejects_whatever_airflow_lets_them(
    asks: House, approves: bool
) -> None:
    proposal, unlisted = proposed(asks), Answer(approves, "somebody", "8", "trust me", AT)
    with pytest.raises(NotApproved, match=r"somebody \(user id '8'\) answered, and is none of"):
        record(asks, proposal, unlisted)
    assert words(asks) == [("proposed", 1)]
    assert evidence.question(asks.resources, proposal) is not None, "asked again"
    assert record(asks, proposal, YES) == ""


def test_a_release_that_was_let_in_before_is_gone_on_with_unasked(asks: House) -> None:
    proposal = proposed(asks)
    journal(asks.resources, "releasing", proposal, "proven", now=asks.now())
    assert evidence.question(asks.resources, proposal) is None
    assert record(asks, proposal, None) == ""
    assert approval.approve(asks.resources, proposal, now=asks.now())
    assert words(asks)[-1] == ("releasing", 1), "its watch is still found by the next run"


def test_the_question_shows_scores_gates_checks_and_links(asks: House) -> None:
    gates = (
        GateResult("improvement", "block", "passed", "3%", "1%"),
        GateResult("slices", "warn", "failed", EVIL, "0.9"),
        GateResult("fairness", "off", "off", "not computed", ""),
    )
    score = {"challenger": Score("rmse", 8.5, 120), "champion": Score("rmse", 9.25, 120)}
    judgement = Judgement(
        "won", EVIL, champion_version=1, improvement=0.081, required_improvement=0.01,
        gates=gates, **score,
    )  # fmt: skip
    ledger, key = asks.resources.ledger, f"{2:064x}"
    ledger.open_training(snapshot("rides", key), "test", asks.now())
    ledger.record_judgement(key, judgement, asks.now())
    ledger.record_candidate(Candidate("rides", 2, "r", key, "m", refitted=True), asks.now())
    live(asks, 1, "production")
    live(asks, 2, "staging")
    asked = evidence.question(asks.resources, proposed(asks))
    assert asked is not None
    assert asked.subject == "Release rides v2 instead of v1?"
    body = asked.body
    for line in (
        "| proposed | rmse | 8.5 | 120 |",
        "| champion v1 | rmse | 9.25 | 120 |",
        "Improvement +8.10%, required +1.00%.",
        "| improvement | passed | 3% | 1% |",
        "| slices | warned | ",
        "| fairness | off | not computed |  |",
        "### Checks in staging",
    ):
        assert line in body, line
    assert "never compared" not in body
    assert "<img" not in body
    assert "[a](http" not in body
    assert all(line.count("|") - line.count("\\|") in {0, 5} for line in body.splitlines())
    json.dumps(asked.as_json())


@pytest.mark.parametrize(
    ("champion", "judged"),
    [(None, "judged when there was no champion"), (3, "judged against v3"), (2, "")],
)
def test_the_question_says_that_two_versions_were_never_compared(
    champion: int | None, judged: str
) -> None:
    told = "\n".join(evidence._judged(Judgement("won", "", champion_version=champion), 2))
    assert ("never compared with v2" in told) == bool(judged)
    assert judged in told


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What MLflow holds of the version's run, by path."""
    files: dict[str, str] = {}
    info = SimpleNamespace(run_id="r", tags={})
    monkeypatch.setattr(Registry, "version_info", lambda *_: info)
    monkeypatch.setattr(Registry, "read_text", lambda _, run, path: files.get(f"{run}/{path}"))
    monkeypatch.setattr(Registry, "run_url", lambda _, run: f"http://mlflow/#/runs/{run}")
    return files


def test_the_question_shows_what_was_expected_and_what_was_got(
    asks: House, kept: dict[str, str]
) -> None:
    results = [AcceptanceResult(f"case {n}", "1 to 2", "1.5", held=True) for n in range(60)]
    results.append(AcceptanceResult(EVIL, "label yes", "no" * 200, held=False))
    document = {
        "model": "rides", "version": 1, "file": "rides.acceptance.yaml", "mode": "block",
        "digest": "d" * 64, "results": [result.as_json() for result in results],
    }  # fmt: skip
    kept["r/acceptance/acceptance.json"] = json.dumps(document)
    asked = evidence.question(asks.resources, proposed(asks))
    assert asked is not None
    section = asked.body.partition("### Acceptance examples")[2].partition("### More")[0]
    assert "**rides v1: 60 of 61 acceptance examples as expected.**" in section
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + MARKDOWN_ROWS
    assert "&lt;img" in rows[1], "what was missed comes first"
    assert rows[1].endswith("| **not as expected** |")
    assert len(rows[1]) < 600
    assert "| case 0 | 1 to 2 | 1.5 | as expected |" in rows
    assert "... and 11 more on the whole page." in section
    whole = "http://mlflow/#/runs/r/artifacts/acceptance/acceptance.html"
    assert f"[Every case, with the row that was sent]({whole})" in section
    assert "<img" not in section
    assert "[a](http" not in section


def test_the_question_says_why_there_are_no_acceptance_examples(
    asks: House, kept: dict[str, str]
) -> None:
    proposal, none = proposed(asks), "No acceptance examples were asked of rides v1: "
    assert not kept
    for named, why in (
        (None, "the spec names none"),
        ("rides.acceptance.yaml", "not verified since it names rides.acceptance.yaml"),
    ):
        house = asks.with_spec(approval="required", acceptance=named)
        asked = evidence.question(house.resources, proposal)
        assert asked is not None
        assert f"### Acceptance examples\n\n{none}{why}.\n" in asked.body


@pytest.mark.parametrize(("reason", "told"), [("a hunch", ": a hunch."), ("", ".")])
def test_the_question_says_why_where_somebody_said_so(asks: House, reason: str, told: str) -> None:
    proposal = propose.choose_version(asks.resources, 1, reason, now=asks.now())
    assert proposal is not None
    asked = evidence.question(asks.resources, proposal)
    assert asked is not None
    assert asked.body.startswith(f"**rides v1** as the first version{told}\n")


def test_the_question_is_asked_also_of_a_version_that_the_registry_has_not(asks: House) -> None:
    asked = evidence.question(asks.resources, proposed(asks))
    assert asked is not None
    assert "### Acceptance examples\n\nNot in the registry: " in asked.body


def test_a_long_word_does_not_make_the_page_wide() -> None:
    digest = f'{{"manifest_digest": "{"ab" * 32}", "version": 1}}'
    shown = '| identity | {"manifest\\_digest": "abababababababa... "version": 1} |'
    assert evidence._table(("check", "seen"), [("identity", digest)]).splitlines()[-1] == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://mlflow:5000/#/runs/1", "[Run](http://mlflow:5000/#/runs/1)"),
        ("javascript:alert(1)", "Run: javascript:alert(1)"),
        ("http://x) <b>", "Run: http:\u200b//x) &lt;b&gt;"),
    ],
)
def test_only_an_address_that_a_browser_may_follow_is_a_link(url: str, shown: str) -> None:
    assert link("Run", url) == shown
