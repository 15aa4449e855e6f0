"""The journal alone says why the version in production is there, to somebody who sees it first."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from include.evergreen.cli.journal import lines_of
from include.evergreen.contracts import Actor, Answer, Check, Proposal, RunningService, Verification
from include.evergreen.stages.journal import collected
from include.evergreen.stages.release import approval, on_card, propose, rollout
from include.evergreen.stages.release.journal import journal, told
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import image_of, live, register

COMMENT = "rain is right at last"


@pytest.fixture
def house(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """No service runs, and no run is in MLflow: the ledger alone is asked."""
    monkeypatch.setattr(propose, "settle_deployments", lambda *_, **__: None)
    monkeypatch.setattr(on_card, "add_decisions", lambda *_: None)
    found = house.with_spec(approval="required")
    found.clock = dt.datetime(2026, 11, 30, 9, 0, tzinfo=dt.UTC)
    monkeypatch.setattr(House, "now", _a_minute_later)
    return found


def _a_minute_later(house: House) -> dt.datetime:
    house.clock += dt.timedelta(minutes=1)
    return house.clock


def released(house: House, version: int, against: int | None) -> Proposal:
    """A version from its judgement to all requests, through one step of a canary."""
    register(house, version, against, f"{version}% better than required")
    live(house, version, "staging")
    resources = dataclasses.replace(house.resources, owner="rides.release manual__2026-11-30")
    proposal = propose.choose_version(resources, None, now=house.now())
    assert proposal is not None
    yes = Answer(True, "reviewer", "7", COMMENT, proposal.at)
    assert approval.record_answer(resources, proposal, yes, now=house.now()) == ""
    if against is not None:
        service = RunningService("1:1", "v", "process", "http://x", proposal.image.digest, "")
        proven = Verification("rides", version, service, (Check("golden_rows", True, "0", "0"),))
        stand = rollout.Stand("canary", proven, house.now().isoformat(), (0.1,))
        why = "canary: first 0.1 of the requests"
        rollout.advance(resources, proposal, stand, why, now=house.now())
        last = dataclasses.replace(stand, step=1)
        why = "canary: all of the requests after step 1 of 1: 60 requests, 0 failed"
        rollout.advance(resources, proposal, last, why, now=house.now())
    entry = told(
        resources, "released", version, proposal.reason, replaces=proposal.replaces,
        image=proposal.image.digest,
    )  # fmt: skip
    go_live(house, version, entry)
    journal(resources, "releasing", proposal, "it proved itself", now=house.now())
    journal(resources, "released", proposal, "watched for 600 s: 0 of 840 failed", now=house.now())
    return proposal


def go_live(house: House, version: int, entry: object) -> None:
    ledger, image = house.resources.ledger, image_of(house, version)
    number = ledger.begin_deployment("rides", version, "production", f"p{version}", house.now())
    service = RunningService("0:0", f"p{version}", "process", "http://x", image.digest, "")
    ledger.record_service(number, service, house.now())
    ledger.finish_deployment(number, "live", "released", (), house.now(), entry=entry)  # type: ignore[arg-type]


def roll_back(house: House, version: int, leaves: int) -> None:
    entry = told(
        house.resources, "rolled_back", version, "rain is wrong since noon",
        replaces=leaves, actor=Actor("person", "on-call"),
    )  # fmt: skip
    go_live(house, version, entry)


def test_a_newcomer_reads_why_the_version_in_production_is_there(house: House) -> None:
    released(house, 1, None)
    released(house, 2, 1)
    lines, sound = lines_of(collected(house.resources, "rides"))
    assert sound
    assert lines[14].startswith(
        "#15 2026-11-30 09:29 released v2 (was v1) by policy release: v2 proved itself in staging; "
        f"judged (#8): 2% better than required; approved by reviewer (#12): {COMMENT}; training "
    )
    assert lines[12].startswith(
        "#13 2026-11-30 09:25 went on with v2 (beside v1) by policy release: canary: first 0.1 of "
        "the requests; training "
    ), "without what was said before of judgement and approval"
    assert sum(COMMENT in line for line in lines[:16]) == 4, "a comment is not told twice in a line"
    assert lines[16:24] == [
        "In staging: v2, since #10 (2026-11-30 09:21).",
        "In production: v2, since #15 (2026-11-30 09:29).",
        "Why v2 is in production:",
        "- #8 2026-11-30 09:16 judged 'won' against v1 by policy judge: 2% better than required",
        "- #10 2026-11-30 09:21 proved itself in staging by policy verification: verified",
        f"- #12 2026-11-30 09:23 approved by reviewer: {COMMENT}",
        (
            "- #14 2026-11-30 09:26 went on beside v1 by policy release: canary: all of the "
            "requests after step 1 of 1: 60 requests, 0 failed"
        ),
        (
            "- #15 2026-11-30 09:29 released in place of v1 by policy release: v2 proved itself in "
            "staging"
        ),
    ]
    assert lines[24] == (
        "- #16 2026-11-30 09:31 its watch ended by policy release: watched for 600 s: 0 of 840 "
        "failed"
    )

    roll_back(house, 1, leaves=2)
    lines, _ = lines_of(collected(house.resources, "rides"))
    assert lines[16].startswith(
        "#17 2026-11-30 09:34 rolled back to v1 (was v2) by on-call: rain is wrong since noon; "
        f"judged (#1): 1% better than required; approved by reviewer (#5): {COMMENT}; "
    )
    assert lines[18:27] == [
        "In production: v1, since #17 (2026-11-30 09:34).",
        "Why v1 is in production:",
        (
            "- #1 2026-11-30 09:02 judged 'won' against no version by policy judge: 1% better than "
            "required"
        ),
        "- #3 2026-11-30 09:07 proved itself in staging by policy verification: verified",
        f"- #5 2026-11-30 09:09 approved by reviewer: {COMMENT}",
        (
            "- #6 2026-11-30 09:12 released in place of no version by policy release: v1 proved "
            "itself in staging"
        ),
        (
            "- #7 2026-11-30 09:14 its watch ended by policy release: watched for 600 s: 0 of 840 "
            "failed"
        ),
        "- #15 2026-11-30 09:29 replaced by v2 by policy release: v2 proved itself in staging",
        "- #17 2026-11-30 09:34 put back in place of v2 by on-call: rain is wrong since noon",
    ]
