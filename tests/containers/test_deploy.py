"""A version is live only after it has proven itself, whatever is interrupted, in both runtimes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from include.evergreen.errors import (
    ArtifactRefused,
    InputError,
    LeaseLost,
    Unavailable,
    VerificationFailed,
)
from include.evergreen.policy.journal_words import tell
from include.evergreen.stages.deploy import golden, promote
from include.evergreen.stages.deploy import verify as verify_stage
from include.evergreen.stages.deploy.settle import settle_deployments
from include.evergreen.stages.journal import collected

ROW = {"at": "2024-05-01T08:00:00+00:00", "temperature": 12.5, "weather": "mist"}


def ask(endpoint: str, path: str = "/invocations", rows: list | None = None) -> requests.Response:
    if path != "/invocations":
        return requests.get(endpoint + path, timeout=5)
    body = {"dataframe_records": rows or [ROW]}
    return requests.post(endpoint + path, json=body, timeout=5)


def live_version(house: Any) -> int | None:
    live = house.resources.ledger.deployment("rides", "staging")
    return live.version if live else None


def test_a_candidate_is_proven_promoted_and_replaced_by_the_next(house: Any) -> None:
    first = house.deploy(1)
    answer = ask(first.service.endpoint)
    assert answer.status_code == 200
    assert answer.headers["X-Model-Version"] == "1"
    second = house.deploy(2)
    assert (first.version, second.version) == (1, 2)
    assert ask(second.service.endpoint, "/version").json()["version"] == "2"
    assert house.runtime.state(first.service) == "gone", "the earlier one was stopped and removed"
    registry = house.resources.registry
    assert registry.version_of("rides", "staging") == 2
    assert registry.version_of("rides", "champion") is None, "only a release makes a champion"
    states = {r.version: r.state for r in house.resources.ledger.deployments("rides")}
    assert states == {1: "stopped", 2: "live"}
    (record,) = house.resources.ledger.deployments("rides", ["live"])
    assert {check["name"] for check in record.checks} == {
        "healthy", "identity", "signature", "golden_rows", "registered_artifact",
        "malformed_requests", "load_failures", "load_p99", "load_rate",
    }  # fmt: skip
    assert house.choose() is None, "nothing waits any more"


def test_verification_leaves_no_trace_in_the_spool(house: Any) -> None:
    deployed = house.deploy(1)
    ask(deployed.service.endpoint)
    house.runtime.remove(deployed.service, grace_s=10)  # closes the open segment
    segments = list(Path(deployed.service.spool).glob("*.parquet"))
    assert len(segments) == 1
    import polars as pl

    assert pl.read_parquet(segments[0]).height == 1, "one client's request, and no probe"


def test_a_failed_check_names_itself_and_leaves_the_earlier_one_answering(house: Any) -> None:
    first = house.deploy(1)
    second = house.register(2)
    image = house.build(second)
    hasty = house.with_spec(
        service_levels={**house.resources.spec.deployment.service_levels.model_dump(),
                        "p99_ms": 0.001}
    )  # fmt: skip
    with pytest.raises(VerificationFailed, match=r"load_p99: .* required: at most 0.001 ms") as no:
        hasty.verify(image)
    assert "Serving rides v2" in str(no.value), "the candidate's last words"
    journal = collected(house.resources, "rides")
    assert (journal.verified().problems, journal.verified().waiting) == ((), ())
    last = tell(journal.entries)[-1]
    assert " did not stage v2 (v1 stays) by policy verification: " in last
    assert "failed: load_p99; training " in last
    assert [s.name for s in house.runtime.find("rides")] == [first.service.name]
    assert ask(first.service.endpoint).headers["X-Model-Version"] == "1"
    assert live_version(house) == 1
    assert house.resources.registry.version_of("rides", "staging") == 1
    assert house.choose() is None, "a version that failed is not tried again by itself"
    assert house.choose(2) == second, "but by hand"
    (failed,) = house.resources.ledger.deployments("rides", ["failed"])
    assert "load_p99" in failed.reason
    assert any(not check["passed"] for check in failed.checks)


def test_a_contract_that_changed_since_training_fails(house: Any) -> None:
    image = house.build(house.register(1))
    document = house.resources.spec.model_dump(mode="json")
    document["data"]["columns"]["temperature"]["max"] = 40.0
    spec = type(house.resources.spec).model_validate(document)
    edited = type(house)(type(house.resources)(spec, house.resources.settings), house.folder)
    with pytest.raises(VerificationFailed, match=r"signature: columns\.temperature\.max is 60"):
        edited.verify(image)
    assert house.runtime.find("rides") == []


def test_other_predictions_than_offline_fail(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    image = house.build(house.register(1))
    true = golden.served

    def shifted(probe: Any, rows: Any) -> dict[str, list]:
        return {"prediction": [value * 1.001 for value in true(probe, rows)["prediction"]]}

    monkeypatch.setattr(golden, "served", shifted)
    with pytest.raises(VerificationFailed, match="2 of 9 checks failed") as no:
        house.verify(image)
    assert "golden_rows: largest difference 0.001 on 20 rows" in str(no.value)


def test_a_candidate_is_not_blamed_for_a_gateway_that_was_started_anew(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = house.build(house.register(1))
    starts = iter(["first", "second"])
    with monkeypatch.context() as shaken:
        shaken.setattr(type(house.runtime), "way_to", lambda *_: next(starts))
        shaken.setattr(golden, "served", lambda *_: {"prediction": [0.0] * 20})
        with pytest.raises(Unavailable, match="was started anew while it was being proven"):
            house.verify(image)
    assert len(house.runtime.find("rides")) == 1
    assert house.resources.ledger.deployments("rides", ["failed"]) == []
    assert house.promote(house.verify(image)).version == 1


def test_a_service_that_ends_is_told_at_once_with_its_reason(house: Any) -> None:
    image = house.build(house.register(1))
    wrong = type(image).from_json({**image.as_json(), "manifest_digest": "0" * 64})
    if image.runtime == "process":  # a folder is checked before it is started
        with pytest.raises(ArtifactRefused, match="does not hold the bundle"):
            house.verify(wrong)
        (Path(image.reference) / "bundle" / "features.py").write_text("raise SystemExit\n")
        wrong = image
    with pytest.raises(VerificationFailed, match="it ended after") as no:
        house.verify(wrong)
    assert "Nothing was loaded" in str(no.value)
    assert house.runtime.find("rides") == []


def test_a_bundle_changed_in_the_registry_is_refused_before_anything_runs(house: Any) -> None:
    candidate = house.register(1)
    (stored,) = house.resources.settings.home.glob("mlflow/artifacts/**/feature_plan.json")
    stored.write_text(json.dumps({}))
    with pytest.raises(ArtifactRefused, match=r"sha256 of feature_plan\.json is"):
        house.build(candidate)
    assert house.runtime.find() == []


def test_a_candidate_that_claims_another_digest_than_recorded_is_refused(house: Any) -> None:
    candidate = house.register(1)
    forged = type(candidate).from_json({**candidate.as_json(), "manifest_digest": "f" * 64})
    with pytest.raises(ArtifactRefused, match="was registered with manifest"):
        house.build(forged)


def test_a_version_nobody_judged_is_no_choice(house: Any) -> None:
    with pytest.raises(InputError, match="v9 is not a version that was judged"):
        house.choose(9)


def test_a_crash_after_the_start_goes_on_with_the_same_service(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = house.build(house.register(1))
    with monkeypatch.context() as broken:
        broken.setattr(verify_stage, "run_load", interrupted)
        with pytest.raises(Unavailable):
            house.verify(image)
    (left,) = house.runtime.find("rides")
    proven = house.verify(image)
    assert proven.service == left, "a retry finds the candidate instead of starting a second one"
    assert house.promote(proven).version == 1
    assert len(house.resources.ledger.deployments("rides")) == 1


def interrupted(*_: Any, **__: Any) -> None:
    raise Unavailable("the worker was killed here")


def test_an_orphan_of_a_crash_is_removed_by_the_next_verification(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = house.build(house.register(1))
    with monkeypatch.context() as broken:
        broken.setattr(verify_stage, "run_load", interrupted)
        with pytest.raises(Unavailable):
            house.verify(image)
    second = house.deploy(2)
    assert house.runtime.find() == [second.service]
    states = {r.version: r.state for r in house.resources.ledger.deployments("rides")}
    assert states == {1: "failed", 2: "live"}


def test_a_crash_between_ledger_and_aliases_is_settled_by_the_next_run(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = house.deploy(1)
    house.register(2)
    chosen = house.choose()
    proven = house.verify(house.build(chosen))
    with monkeypatch.context() as broken:
        broken.setattr(promote, "settle_deployments", interrupted)
        with pytest.raises(Unavailable):
            house.promote(proven)
    registry = house.resources.registry
    assert (live_version(house), registry.version_of("rides", "staging")) == (2, 1)
    assert house.runtime.state(first.service) == "running"
    assert house.choose() is None
    assert registry.version_of("rides", "staging") == 2
    assert house.runtime.state(first.service) == "gone"
    assert house.promote(proven).service == proven.service, "promoting again is a no-op"


def test_an_address_is_answered_before_the_ledger_names_it(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register(1)
    proven = house.verify(house.build(house.choose()))
    ledger, seen = house.resources.ledger, []
    finish = ledger.finish_deployment

    def finish_looking(number: int, state: str, *rest: Any, **more: Any) -> None:
        seen.append((state, ask(proven.service.endpoint, "/ping").status_code))
        finish(number, state, *rest, **more)

    monkeypatch.setattr(ledger, "finish_deployment", finish_looking)
    house.promote(proven)
    assert seen == [("live", 200)]


def test_a_registry_that_is_away_does_not_keep_clients_from_the_live_version(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deploy(1)
    house.register(2)
    proven = house.verify(house.build(house.choose()))
    with monkeypatch.context() as away:
        away.setattr(house.resources.registry, "set_alias", interrupted)
        with pytest.raises(Unavailable):
            house.promote(proven)
    live = house.resources.ledger.deployment("rides", "staging")
    assert live.version == 2
    assert ask(live.service.endpoint).headers["X-Model-Version"] == "2"
    assert house.resources.registry.version_of("rides", "staging") == 1
    house.promote(proven)
    assert house.resources.registry.version_of("rides", "staging") == 2


def test_promoting_what_a_later_one_replaced_is_refused(house: Any) -> None:
    house.register(1)
    proven = house.verify(house.build(house.choose()))
    house.promote(proven)
    house.deploy(2)
    with pytest.raises(LeaseLost):
        house.promote(proven)
    assert live_version(house) == 2


def test_a_candidate_that_ended_before_promotion_is_not_promoted(house: Any) -> None:
    house.register(1)
    proven = house.verify(house.build(house.choose()))
    house.runtime.stop(proven.service, grace_s=1)
    with pytest.raises(VerificationFailed, match="has ended since"):
        house.promote(proven)
    assert live_version(house) is None


def test_a_live_service_that_stopped_is_started_again_at_its_address(house: Any) -> None:
    deployed = house.deploy(1)
    house.runtime.stop(deployed.service, grace_s=5)
    assert house.runtime.state(deployed.service) == "stopped"
    settle_deployments(house.resources, "staging", now=house.now())
    again = house.resources.ledger.deployment("rides", "staging")
    assert again.service.endpoint == deployed.service.endpoint, "the port outlives a restart"
    assert house.runtime.state(again.service) == "running"


def test_the_live_version_is_checked_where_it_runs_and_left_there(house: Any) -> None:
    deployed = house.deploy(1)
    image = house.build(house.choose(1))
    assert house.verify(image).service == deployed.service
    levels = {**house.resources.spec.deployment.service_levels.model_dump(), "p99_ms": 0.001}
    with pytest.raises(VerificationFailed):
        house.with_spec(service_levels=levels).verify(image)
    assert house.runtime.state(deployed.service) == "running"
    assert live_version(house) == 1


@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_an_engine_that_is_away_does_not_stop_the_next_deployment(house: Any) -> None:
    first = house.deploy(1)
    spec = house.with_spec().resources.spec
    spec = spec.model_copy(update={"deployment": spec.deployment.model_copy(
        update={"runtime": "auto"})})  # fmt: skip
    away = dataclasses.replace(house.resources.settings, docker_url="unix:///nowhere/engine.sock")
    meanwhile = type(house)(type(house.resources)(spec, away), house.folder, house.built)
    second = meanwhile.deploy(2)
    assert second.service.runtime == "process"
    assert ask(second.service.endpoint).headers["X-Model-Version"] == "2"
    states = {r.version: r.state for r in house.resources.ledger.deployments("rides")}
    assert states == {1: "stopping", 2: "live"}, "what cannot be stopped now is not forgotten"
    house.clock = meanwhile.now()
    assert house.choose() is None
    states = {r.version: r.state for r in house.resources.ledger.deployments("rides")}
    assert states == {1: "stopped", 2: "live"}
    assert house.runtime.state(first.service) == "gone"


def test_a_version_whose_alias_was_deleted_from_the_registry_does_not_stop_the_next(
    house: Any,
) -> None:
    house.deploy(1)
    house.resources.registry._client.delete_model_version("rides", "1")
    second = house.deploy(2)
    assert house.resources.registry.version_of("rides", "staging") == 2
    assert second.version == 2
