"""A staged version becomes the champion, and only then; what goes wrong leaves the one before."""

from __future__ import annotations

import pytest
import requests

from include.evergreen.contracts import Deployment
from include.evergreen.errors import InputError, LeaseLost, ReleaseRolledBack, VerificationFailed
from include.evergreen.stages.release import watch
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import stage, words

ROW = {"at": "2024-05-01T08:00:00+00:00", "temperature": 12.5, "weather": "mist"}


def answered_by(deployed: Deployment) -> str:
    url = f"{deployed.service.endpoint}/invocations"
    answer = requests.post(url, json={"dataframe_records": [ROW]}, timeout=5)
    answer.raise_for_status()
    return answer.headers["X-Model-Version"]


@pytest.mark.slow
def test_staging_makes_no_champion_a_release_does_and_the_one_before_stays_warm(
    house: House,
) -> None:
    staged = house.deploy(1)
    assert (house.live("staging"), house.live(), house.champion()) == (1, None, None)
    first = house.watch(house.switch())
    assert (first.version, first.environment, house.champion()) == (1, "production", 1)
    assert first.service.image_digest == staged.service.image_digest, "the very image"
    assert first.service.name != staged.service.name, "and a service of its own"
    assert first.service.spool.endswith("spool/rides/v1-production")
    assert words(house) == [("proposed", 1), ("approved", 1), ("releasing", 1), ("released", 1)]

    stage(house, 2)
    proposal = house.approve()
    assert (proposal.version, proposal.replaces) == (2, 1)
    levels = {**house.resources.spec.deployment.service_levels.model_dump(), "p99_ms": 0.001}
    with pytest.raises(VerificationFailed, match=r"(?s)load_p99.*rides\.release by hand"):
        house.with_spec(service_levels=levels).start(proposal)
    assert house.states() == [(1, "live"), (2, "failed")]
    assert (house.champion(), answered_by(first)) == (1, "1")
    assert len(house.runtime.find("rides", "production")) == 1
    assert house.propose() is None, "what failed is not tried again by itself"

    by_hand = house.switch(2)
    assert house.states()[1:] == [(2, "failed"), (2, "live")]
    assert house.states()[0] == (1, "spare")
    assert house.champion() == 2, "what answers every request is the champion"
    assert answered_by(first) == "1", "warm"
    second = house.watch(by_hand)
    assert house.states()[0] == (1, "stopped")
    assert house.runtime.state(first.service) == "gone"
    assert answered_by(second) == "2"

    with pytest.raises(LeaseLost, match="v1 was to replace v9, and v2 answers") as late:
        house.shift(type(proposal)(**{**vars(proposal), "version": 1, "replaces": 9}), None)
    assert not late.value.retryable
    before = house.states()
    with pytest.raises(LeaseLost, match="v1 was to replace v9, and v2 answers"):
        house.start(type(proposal)(**{**vars(proposal), "version": 1, "replaces": 9}))
    assert house.states() == before, "a run of long ago that is cleared starts nothing"


@pytest.mark.slow
def test_a_version_that_dies_after_the_switch_is_rolled_back(house: House) -> None:
    stage(house, 1)
    alone = house.switch()
    first = house.resources.ledger.deployment("rides", "production")
    house.runtime.stop(first.service, grace_s=0)
    with pytest.raises(ReleaseRolledBack, match="there is no version to go back to"):
        house.watch(alone)
    assert (house.live(), words(house)[-1]) == (1, ("failed", 1))

    stage(house, 2)
    proposal = house.switch()
    broken = house.resources.ledger.deployment("rides", "production")
    house.runtime.stop(broken.service, grace_s=0)
    with pytest.raises(ReleaseRolledBack, match=r"v2 was rolled back: it ended\. v1 answers") as no:
        house.watch(proposal)
    assert not no.value.retryable
    back = house.resources.ledger.deployment("rides", "production")
    assert (back.version, house.champion(), answered_by(back)) == (1, 1, "1")
    assert house.states() == [(1, "stopped"), (2, "stopped"), (1, "live")]
    found = house.runtime.find("rides", "production")
    assert [service.name for service in found] == [back.service.name]
    assert words(house)[-1] == ("rolled_back", 2)
    assert house.propose() is None, "what was rolled back is not proposed again by itself"
    with pytest.raises(InputError, match=r"were v2, each of them rolled back itself"):
        house.roll_back()


@pytest.mark.slow
def test_a_rollback_goes_where_it_went_also_across_a_change_of_the_contract(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(house, 1)
    house.watch(house.switch())
    stage(house, 2)
    proposal = house.switch()
    wrong = iter([{"prediction": [0.0] * 20}] * 2)
    true = watch.golden.served
    monkeypatch.setattr(watch.golden, "served", lambda *a: next(wrong, None) or true(*a))
    with pytest.raises(ReleaseRolledBack, match="golden rows are answered otherwise than offline"):
        house.with_spec(watch={"seconds": 60}).watch(proposal)
    assert (house.live(), house.champion()) == (1, 1)

    document = house.resources.spec.model_dump(mode="json")
    document["data"]["columns"]["temperature"]["max"] = 40.0
    changed = type(house.resources.spec).model_validate(document)
    resources = type(house.resources)(changed, house.resources.settings, owner="a run")
    edited = House(resources, house.folder, house.built)
    with pytest.raises(VerificationFailed, match="signature: columns"):
        edited.start(edited.approve(2))
    assert edited.roll_back(2, "v1 was the wrong one").version == 2
    assert (house.live(), house.champion()) == (2, 2)
    again = edited.roll_back(None, "the same run once more")
    assert again.version == 2, "a run that is repeated goes where it went"
    assert words(house)[-1] == ("rolled_back", 1)
    with pytest.raises(ReleaseRolledBack, match=r"back to v2: v1 was the wrong one; v2 answers"):
        house.watch(type(proposal)(**{**vars(proposal), "version": 1}))
