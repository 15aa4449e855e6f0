"""The demo tells how far a canary has come while it waits, and ends its wait where it ended."""

import datetime as dt
from types import SimpleNamespace

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.cli.demo import patience
from include.evergreen.cli.demo.clock import Step
from include.evergreen.cli.demo.patience import DemoFailed
from include.evergreen.cli.demo.takeover import Takeover
from include.evergreen.cli.loop.outcome import Facts
from tests.unit.cli.test_releases import MODEL, NOW, enter, say, stand_at

LAST_LOOK = 3


class Steps:
    """What was shown of a step, in its order."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def tell(self, _step: Step, detail: str, _note: str) -> None:
        self.shown.append(detail)


def test_the_share_is_shown_until_the_release_ends_with_no(
    installation: evergreen_settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "POLL_S", 0.0)
    ledger, looks = open_ledger(installation.ledger_url), []

    def facts(_landed: object) -> Facts:
        looks.append(len(looks))
        if looks[-1] < LAST_LOOK - 1:
            step = looks[-1]
            enter(watch, "advanced", f"step {step}", step, stand_at(step))
            say(watch, "shifting", 2, step)
        elif looks[-1] == LAST_LOOK:
            say(watch, "aborted", 2, LAST_LOOK)
        return Facts(dealt_with=True, running=("release.shift_traffic",))

    watch = SimpleNamespace(model=MODEL, ledger=ledger, facts=facts)
    steps = Steps()
    passerby = SimpleNamespace(told=lambda: "9 requests answered meanwhile, 0 lost")
    takeover = Takeover(SimpleNamespace(), watch, steps)
    with pytest.raises(DemoFailed, match="v2 was not released: aborted, aborted for a reason"):
        takeover.live(Step("release"), 2, passerby)
    assert steps.shown == [
        "v2 answers 10% of the requests; 9 requests answered meanwhile, 0 lost",
        "v2 answers 50% of the requests; 9 requests answered meanwhile, 0 lost",
        "v2 answers 50% of the requests; 9 requests answered meanwhile, 0 lost",
    ]


def test_a_version_that_waits_for_its_release_shows_what_runs(
    installation: evergreen_settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "POLL_S", 0.0)
    at_work = Facts(dealt_with=True, running=("release.start_in_production",))

    def facts(_landed: object) -> Facts:
        if len(steps.shown) == 1:
            say(watch, "failed", 2, 1)
        return at_work

    watch = SimpleNamespace(model=MODEL, ledger=open_ledger(installation.ledger_url), facts=facts)
    steps = Steps()
    takeover = Takeover(SimpleNamespace(), watch, steps)
    with pytest.raises(DemoFailed, match="v2 was not released: failed"):
        takeover.live(Step("release"), 2)
    assert steps.shown == ["release.start_in_production"]


def test_how_requests_came_to_a_version_is_told_in_words(
    installation: evergreen_settings.Settings,
) -> None:
    watch = SimpleNamespace(model=MODEL, ledger=open_ledger(installation.ledger_url))
    takeover = Takeover(SimpleNamespace(), watch, Steps())
    assert takeover.told(2) == "all at once"
    say(watch, "at_once", 2, 1)
    assert takeover.told(2) == "at_once for a reason"
    enter(watch, "advanced", "canary: first 0.1 of the requests", 4, stand_at(0))
    assert takeover.told(2) == f"10% from {NOW + dt.timedelta(seconds=4):%H:%M:%S}"
