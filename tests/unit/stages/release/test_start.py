"""What is started in production is what staging verified, beside what it is to replace."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from include.evergreen.contracts import Proposal, RunningService, Verification
from include.evergreen.errors import ArtifactRefused, LeaseLost
from include.evergreen.stages.release import propose, start
from include.evergreen.stages.release.stand import Stand
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import live, register

SERVICE = RunningService("0:0", "v1", "process", "http://x", "sha256:1", "")
PROVEN, ANEW = Verification("rides", 1, SERVICE, ()), Verification("rides", 1, SERVICE, ())


@pytest.fixture
def started(house: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of what was started and proven; nothing is, here, and all of it is approved."""
    digests: list[str] = []

    def verify(_: Any, image: Any, *__: Any, **___: Any) -> Verification:
        digests.append(image.digest)
        return ANEW

    monkeypatch.setattr(start, "verify_candidate", verify)
    monkeypatch.setattr(start, "require_approval", lambda *_: None)
    monkeypatch.setattr(propose, "settle_deployments", lambda *_, **__: None)
    return digests


@pytest.fixture
def proposal(house: House) -> Proposal:
    register(house, 1, None)
    live(house, 1, "staging")
    found = house.propose(1)
    assert found is not None
    return found


def test_an_image_that_went_since_it_was_proposed_is_not_started(
    house: House, started: list[str], proposal: Proposal
) -> None:
    house.runtime.discard(proposal.image.reference)
    with pytest.raises(ArtifactRefused, match=r"v1 \(sha256:1\) is not there any more"):
        house.start(proposal)
    assert started == []


def test_a_champion_that_changed_since_it_was_proposed_is_not_replaced(
    house: House, started: list[str], proposal: Proposal
) -> None:
    register(house, 2, None)
    live(house, 2, "production")
    with pytest.raises(LeaseLost, match="was to replace nothing, and v2 answers in production"):
        house.start(proposal)
    assert started == []


def test_what_is_live_is_left_as_it_is_unless_it_is_another_image(
    house: House, started: list[str], proposal: Proposal
) -> None:
    live(house, 1, "production")
    assert house.start(proposal).service.image_digest == "sha256:1"
    assert started == []
    image = dataclasses.replace(proposal.image, digest="sha256:built-anew")
    assert house.start(dataclasses.replace(proposal, image=image)) is ANEW
    assert started == ["sha256:built-anew"]


def test_what_shares_requests_is_left_as_it_is_unless_it_is_another_image(
    house: House, started: list[str], proposal: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand("canary", PROVEN, house.now().isoformat())
    monkeypatch.setattr(start, "stand_of", lambda *_: stand)
    assert house.start(proposal) is PROVEN
    assert started == []
    image = dataclasses.replace(proposal.image, digest="sha256:built-anew")
    assert house.start(dataclasses.replace(proposal, image=image)) is ANEW
    assert started == ["sha256:built-anew"]
