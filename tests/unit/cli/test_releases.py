"""What the demo takes for the steps, the end and the failure of a release."""

import datetime as dt
from types import SimpleNamespace

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.cli.demo.patience import DemoFailed
from include.evergreen.cli.demo.releases import Releases, told
from include.evergreen.cli.loop.outcome import Facts
from include.evergreen.contracts import Actor, Check, JournalEntry, RunningService, Verification
from include.evergreen.stages.release.rollout import STAND, Stand

MODEL = "bike_demand"
NOW = dt.datetime(2026, 11, 1, 20, 0, tzinfo=dt.UTC)
NOTHING = Facts(dealt_with=True)
RELEASE = Actor("policy", "release")


@pytest.fixture
def watch(installation: evergreen_settings.Settings) -> SimpleNamespace:
    return SimpleNamespace(model=MODEL, ledger=open_ledger(installation.ledger_url))


def say(watch: SimpleNamespace, word: str, version: int, minute: int) -> None:
    at = NOW + dt.timedelta(minutes=minute)
    reason = f"v{version}: {word} for a reason"
    watch.ledger.record_decision(MODEL, "release", word, reason, {"version": version}, at)


def enter(watch: SimpleNamespace, kind: str, why: str, second: int, evidence: dict) -> None:
    entry = JournalEntry(
        f"{kind}:v2:{second}", MODEL, kind, RELEASE, why,
        from_version=1, to_version=2, evidence=evidence,
    )  # fmt: skip
    watch.ledger.append_journal(entry, NOW + dt.timedelta(seconds=second))


def stand_at(step: int) -> dict:
    service = RunningService("id", "evergreen-bike", "docker", "http://127.0.0.1:1", "sha256:1", "")
    proven = Verification(MODEL, 2, service, (Check("health", True, "200", "200"),))
    return {STAND: Stand("canary", proven, NOW.isoformat(), (0.1, 0.5), step).as_json()}


def test_a_release_is_over_when_its_watch_is(watch: SimpleNamespace) -> None:
    releases = Releases(watch)
    say(watch, "released", 1, 1)
    say(watch, "releasing", 2, 2)
    assert releases.over(1)(NOTHING) == "v1: released for a reason"
    assert releases.over(2)(NOTHING) is None, "it answers, and is being watched"
    say(watch, "released", 3, 4)
    assert releases.over(2)(NOTHING) == "v3: released for a reason", "a later one took over"


@pytest.mark.parametrize("word", ["aborted", "failed", "rolled_back", "rejected", "expired"])
def test_a_release_that_ended_with_no_ends_the_wait_at_once(
    watch: SimpleNamespace, word: str
) -> None:
    releases = Releases(watch)
    say(watch, "shifting", 2, 1)
    releases.require_wanted(2)
    say(watch, word, 2, 2)
    told_so = f"v2 was not released: {word.replace('_', ' ')}, {word} for a reason"
    with pytest.raises(DemoFailed, match=told_so):
        releases.require_wanted(2)
    with pytest.raises(DemoFailed, match="v2 was not released"):
        releases.over(2)(NOTHING)


@pytest.mark.parametrize("word", ["proposed", "superseded", "released", "passed_over"])
def test_what_is_no_end_with_no_is_waited_for(watch: SimpleNamespace, word: str) -> None:
    say(watch, word, 2, 1)
    Releases(watch).require_wanted(2)
    Releases(watch).require_wanted(3)


def test_the_shares_of_a_version_are_those_of_its_newest_release(watch: SimpleNamespace) -> None:
    releases = Releases(watch)
    assert releases.shares(2) == []
    assert told([]) == ""
    enter(watch, "proposed", "it beat v1", 0, {})
    enter(watch, "advanced", "canary: first 0.1 of the requests", 1, stand_at(0))
    enter(watch, "aborted", "it ended", 2, {})
    enter(watch, "proposed", "asked for by hand", 3, {})
    for step, second in enumerate((4, 12, 60)):
        enter(watch, "advanced", f"canary: step {step}", second, stand_at(step))
    enter(watch, "released", "it beat v1", 61, {})
    enter(watch, "advanced", "its watch is over", 70, {})
    found = releases.shares(2)
    assert [(share.share, share.why) for share in found] == [
        (0.1, "canary: step 0"),
        (0.5, "canary: step 1"),
        (1.0, "canary: step 2"),
    ]
    assert told(found) == "10% from 20:00:04, 50% from 20:00:12, all from 20:01:00"
    assert releases.shares(1) == []


def test_a_version_that_got_all_requests_at_once_says_why(watch: SimpleNamespace) -> None:
    say(watch, "at_once", 1, 1)
    assert Releases(watch).why_at_once(1) == "at_once for a reason"
    assert Releases(watch).why_at_once(2) == ""


def test_nothing_is_under_way_where_nothing_is_staged(watch: SimpleNamespace) -> None:
    assert Releases(watch).under_way() is None


@pytest.mark.parametrize(
    ("word", "expected"), [("proposed", 2), ("shifting", 2), ("releasing", 2), ("aborted", None)]
)
def test_a_release_is_under_way_until_its_last_word(word: str, expected: int | None) -> None:
    decision = SimpleNamespace(
        verdict=word, reason="v2: why", details={"version": 2}, stage="release"
    )
    ledger = SimpleNamespace(
        deployment=lambda _model, where: SimpleNamespace(version=2) if where == "staging" else None,
        decisions_of=lambda _model, _stage: [decision],
    )
    assert Releases(SimpleNamespace(model=MODEL, ledger=ledger)).under_way() == expected
