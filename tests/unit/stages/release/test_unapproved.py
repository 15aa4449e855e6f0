"""What lets a version in is the ledger's word, whatever the tasks of a run say; the runtime is
faked.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from include.evergreen.contracts import Answer, BuiltImage, Check, Proposal, Return, Verification
from include.evergreen.errors import ArtifactRefused, NotApproved
from include.evergreen.policy.journal import contents
from include.evergreen.stages.deploy import services, settle
from include.evergreen.stages.release import (
    approval,
    evidence,
    propose,
    retire,
    rollback,
    start,
    strategies,
)
from include.evergreen.stages.release.journal import say
from include.evergreen.stages.resources import Resources
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import live, register, spec, words
from tests.unit.stages.release.fake_runtime import FakeRuntime, serving

TIMEOUT_S = 3600.0
RULES = {"users": ["7"], "timeout_s": TIMEOUT_S}


@dataclass
class Desk:
    """A model of which each release has to be approved."""

    house: House
    runtime: FakeRuntime

    @property
    def resources(self) -> Resources:
        return self.house.resources

    def by(self, owner: str, **deployment: Any) -> Desk:
        """The same model, in another run and with another spec."""
        asked = {"approval": "required", "approval_rules": RULES, **deployment}
        resources = Resources(spec(**asked), self.resources.settings, owner=owner)
        resources.__dict__["runtime"] = self.runtime
        return Desk(House(resources, self.house.folder), self.runtime)

    def staged(self, version: int, against: int | None = None) -> None:
        register(self.house, version, against)
        live(self.house, version, "staging")

    def propose(self, version: int | None = None) -> Proposal:
        found = self.house.propose(version)
        assert found is not None
        return found

    def answer(self, proposal: Proposal, *, after_s: float = 0.0, who: str = "reviewer") -> str:
        at = dt.datetime.fromisoformat(proposal.at) + dt.timedelta(seconds=after_s)
        said = Answer(True, who, "7", f"says {who}", at.isoformat())
        return approval.record_answer(self.resources, proposal, said, now=self.house.now())

    def begin(self, image: BuiltImage) -> Verification:
        """The image runs in production and has proven itself; nobody is sent to it."""
        ledger, service = self.resources.ledger, self.runtime.add(image)
        ledger.record_image(replace(image, runtime=service.runtime), self.house.now())
        number = ledger.begin_deployment(
            "rides", image.version, "production", service.name, self.house.now()
        )
        ledger.record_service(number, service, self.house.now())
        return Verification("rides", image.version, service, (Check("ping", True, "0", "0"),))

    def start(self, proposal: Proposal) -> Verification:
        return start.start_in_production(self.resources, proposal, now=self.house.now())

    def shift(self, proposal: Proposal, proven: Verification) -> Any:
        return strategies.shift_traffic(self.resources, proposal, proven, clock=self.house.now)

    def release(self, version: int) -> Proposal:
        """Asked for by hand, approved, and live."""
        proposal = self.propose(version)
        assert self.answer(proposal) == ""
        assert self.shift(proposal, self.start(proposal)).version == version
        return proposal

    def events(self, kind: str) -> list[str]:
        links = self.resources.ledger.journal("rides")
        return [link.event for link in links if link.event.startswith(f"{kind}:")]

    def told(self, kind: str) -> list[dict[str, Any]]:
        said = (contents(link.document) for link in self.resources.ledger.journal("rides"))
        return [entry for entry in said if entry["kind"] == kind]


@pytest.fixture
def desk(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with serving() as runtime:
        monkeypatch.setattr(services, "runtime_of", lambda *_: runtime)
        monkeypatch.setattr(settle, "anchor_entries", lambda *_, **__: None)  # no run is in MLflow
        monkeypatch.setattr(retire, "anchor_entries", lambda *_, **__: None)
        monkeypatch.setattr(FakeRuntime, "find", lambda *_: [], raising=False)
        monkeypatch.setattr(propose, "settle_deployments", lambda *_, **__: None)
        found = Desk(house, runtime).by("a run")
        monkeypatch.setattr(
            start, "verify_candidate", lambda _, image, *__, **___: found.begin(image)
        )
        yield found


def test_a_task_that_somebody_marked_as_a_success_lets_nothing_in(desk: Desk) -> None:
    desk.staged(1)
    proposal = desk.propose()
    with pytest.raises(
        NotApproved, match=r"last word on it is 'proposed', and 'approved' of"
    ) as no:
        desk.start(proposal)
    assert "run rides.release with version 1, and have it approved there" in str(no.value)
    assert not no.value.retryable
    proven = desk.begin(proposal.image)
    for strategy in ("blue_green", "canary", "shadow"):
        with pytest.raises(NotApproved):
            desk.by("a run", strategy=strategy).shift(proposal, proven)
    assert (desk.house.live(), desk.runtime.done) == (None, [])
    with pytest.raises(NotApproved, match="the ledger has nobody's"):
        approval.why_not_approved(desk.resources, proposal)
    assert desk.answer(proposal) == ""
    assert desk.shift(proposal, desk.start(proposal)).version == 1
    assert desk.shift(proposal, proven).version == 1, "repeated, it finds itself done"


def test_a_yes_is_to_one_proposal_and_one_image_and_no_other(desk: Desk) -> None:
    desk.staged(1)
    desk.staged(2)
    proposal, other = desk.propose(1), desk.propose(2)
    assert desk.answer(proposal) == ""
    forged = BuiltImage.from_json({**proposal.image.as_json(), "digest": "sha256:forged"})
    for swapped in (
        other,
        replace(proposal, image=forged),
        replace(proposal, version=2, image=other.image),
        replace(proposal, model="another"),
    ):
        with pytest.raises(NotApproved, match="is not brought into production"):
            desk.start(swapped)
        with pytest.raises(NotApproved, match="is not what is proposed"):
            approval.record_answer(
                desk.resources, replace(swapped, reason="forged"), Answer(True, "x", "7"),
                now=desk.house.now(),
            )  # fmt: skip
    with pytest.raises(NotApproved, match=r"is not one that was started in production as image"):
        desk.shift(proposal, desk.begin(other.image))
    assert words(desk.house)[-1] == ("approved", 1)
    assert desk.runtime.done == []


def test_a_yes_is_good_for_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.staged(1)
    desk.release(1)
    desk.staged(2, 1)
    proposal = desk.release(2)
    monkeypatch.setattr(rollback, "prove", lambda *_: (Check("ping", True, "0", "0"),))
    wanted = rollback.choose_return(desk.resources, 1, "it is slow", asked_by="reviewer")
    with monkeypatch.context() as dies:
        dies.setattr(rollback, "say", lambda *_, **__: None)
        rollback.put_back(desk.resources, wanted, clock=desk.house.now)
    assert words(desk.house)[-1] == ("releasing", 2), "it died before its word"
    with pytest.raises(NotApproved, match=r"v2 went live by this very proposal.*good for once"):
        desk.start(proposal)
    say(desk.resources, "rolled_back", 2, "it is slow", now=desk.house.now(), details={})
    for act in (
        lambda: desk.answer(proposal),
        lambda: evidence.question(desk.resources, proposal),
        lambda: approval.approve(desk.by("a run", approval="automatic").resources, proposal,
                                 now=desk.house.now()),
    ):  # fmt: skip
        with pytest.raises(NotApproved, match="last word on it is 'rolled_back', not of this"):
            act()
    assert desk.house.live() == 1
    again = desk.by("another run").propose(2)
    assert desk.answer(again) == ""


def test_nothing_of_a_model_that_was_retired_meanwhile_is_started(desk: Desk) -> None:
    desk.staged(1)
    proposal = desk.propose()
    assert desk.answer(proposal) == ""
    retire.retire(desk.resources, "rides", "nobody asks it", now=desk.house.now())
    desk.runtime.done.clear()
    for act in (lambda: desk.start(proposal), lambda: desk.shift(proposal, None)):  # type: ignore[arg-type]
        with pytest.raises(NotApproved, match=r"rides is retired \(nobody asks it\)"):
            act()
    assert desk.runtime.done == []
    retire.take_back(
        desk.resources, "rides", "wanted again", asked_by="reviewer", now=desk.house.now()
    )
    [entry] = desk.told("taken_back")
    assert (entry["why"], entry["actor"]["name"]) == ("wanted again", "reviewer")


def test_an_answer_after_the_deadline_is_the_clock_s_no_and_asking_anew_does_not_move_it(
    desk: Desk,
) -> None:
    desk.staged(1)
    proposal = desk.propose()
    asked = evidence.question(desk.resources, proposal)
    assert desk.propose() == proposal, "the same run proposes the same"
    assert evidence.question(desk.resources, proposal) == asked
    why_not = desk.answer(proposal, after_s=TIMEOUT_S + 0.001)
    assert why_not.startswith("v1 is not released: expired, nobody answered within 3,600 s")
    assert "reviewer answered too late, at" in why_not
    assert desk.told("expired")[0]["actor"] == {"kind": "clock", "name": "approval"}
    assert desk.told("approved") == []
    again = desk.propose()
    assert again.at > proposal.at
    assert desk.answer(again, after_s=TIMEOUT_S) == "", "it is asked anew, for as long"


def test_each_attempt_has_its_own_entries_and_a_retry_has_none(desk: Desk) -> None:
    desk.staged(1)
    first = desk.propose()
    assert desk.propose() == first
    assert len(desk.events("proposed")) == 1, "a retry after a death"
    desk.answer(first)
    rebuilt = replace(first.image, digest="sha256:rebuilt")
    ledger = desk.resources.ledger
    ledger.record_image(rebuilt, desk.house.now())
    number = ledger.deployments("rides", ["live"], "staging")[0].id
    ledger.record_service(number, desk.runtime.service(rebuilt), desk.house.now())
    ledger.record_image(replace(rebuilt, runtime="docker"), desk.house.now())
    second = desk.by("another run").propose(1)
    assert second.image.digest == "sha256:rebuilt"
    desk.answer(second, who="another")
    assert [(e["actor"]["name"], e["digests"]["image"]) for e in desk.told("approved")] == [
        ("reviewer", "sha256:1"),
        ("another", "sha256:rebuilt"),
    ]
    assert len(desk.events("proposed")) == len(set(desk.events("proposed"))) == 2


def test_a_version_that_goes_live_again_is_told_again(desk: Desk) -> None:
    desk.staged(1)
    desk.staged(2)
    for version in (1, 2, 1):
        desk.release(version)
    assert [entry["to_version"] for entry in desk.told("released")] == [1, 2, 1]
    numbers = [
        record.id for record in desk.resources.ledger.deployments("rides", environment="production")
    ]
    assert [event.rpartition(":")[2] for event in desk.events("released")] == [
        str(number) for number in sorted(numbers)
    ]


def test_a_rollback_that_cannot_be_is_told_with_its_reason_once_a_reason(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.staged(1)
    desk.staged(2)
    desk.release(1)
    desk.release(2)
    wanted = Return("rides", 1, 2, "it is slow", "reviewer", "a run")
    reasons = ["its image was removed", "its image was removed", "its bundle is another"]
    for why in reasons:

        def refuse(*_: object, why: str = why) -> Verification:
            raise ArtifactRefused(f"{why}\nand what to do")

        monkeypatch.setattr(rollback, "_proven", refuse)
        with pytest.raises(ArtifactRefused):
            rollback.put_back(desk.resources, wanted, clock=desk.house.now)
    failed = desk.told("rollback_failed")
    assert [entry["why"] for entry in failed] == reasons[1:]
    assert (failed[0]["actor"]["name"], failed[0]["from_version"], failed[0]["to_version"]) == (
        "reviewer", 2, 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    "reason", ["see http://evil.example", "see HTTPS://evil.example", "www.evil.example", "a@b.com"]
)
def test_a_reason_of_a_person_is_no_link_on_the_page(desk: Desk, reason: str) -> None:
    desk.staged(1)
    found = propose.choose_version(desk.resources, 1, reason, now=desk.house.now())
    assert found is not None
    asked = evidence.question(desk.resources, found)
    assert asked is not None
    line = asked.body.partition("\n")[0]
    assert not re.search(r"://|www\.|(?<!\u200b)@", line, re.IGNORECASE)
    assert line.replace("\u200b", "").endswith(f"{reason}.")
