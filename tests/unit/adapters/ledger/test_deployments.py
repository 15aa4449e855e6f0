from __future__ import annotations

import pytest

from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.errors import LeaseLost, LedgerConflict
from tests.unit.adapters.ledger.facts import MODEL, NOW, after, image, service
from tests.unit.adapters.ledger.processes import run_at_once

CHECKS = [{"name": "ping", "passed": True, "seen": "200", "required": "200"}]


def _begin(ledger, version: int, name: str | None = None, environment: str = "staging") -> int:
    name = name or f"{MODEL}-{version}"
    number = ledger.begin_deployment(MODEL, version, environment, name, after(version))
    ledger.record_service(number, service(version), NOW)
    return number


def _live(ledger, version: int, environment: str = "staging") -> int:
    number = _begin(ledger, version, environment=environment)
    ledger.finish_deployment(number, "live", "all checks passed", CHECKS, after(version))
    return number


def _states(ledger) -> dict[int, str]:
    return {record.id: record.state for record in ledger.deployments(MODEL)}


def test_the_live_switch_makes_the_former_one_stop(ledger):
    first, second = _live(ledger, 1), _live(ledger, 2)
    assert _states(ledger) == {first: "stopping", second: "live"}
    live = ledger.deployment(MODEL, "staging")
    assert (live.version, live.service) == (2, service(2))
    assert live.deployed_at == after(2).isoformat()
    ledger.finish_deployment(first, "stopped", "replaced by version 2", [], after(3))
    assert _states(ledger) == {first: "stopped", second: "live"}
    (stopped,) = ledger.deployments(MODEL, ["stopped"])
    assert stopped.checks == tuple(CHECKS)
    assert (stopped.live_at, stopped.ended_at) == (after(1), after(3))


def _release(ledger, version: int, **more: str) -> int:
    number = _begin(ledger, version, environment="production")
    ledger.finish_deployment(number, "live", "released", CHECKS, after(version), **more)
    return number


def test_what_is_replaced_may_stay_warm_and_only_the_last_one_does(ledger):
    first, second = _release(ledger, 1), _release(ledger, 2, replaced="spare")
    assert _states(ledger) == {first: "spare", second: "live"}
    ledger.let_spare_go(MODEL, "staging")
    assert _states(ledger) == {first: "spare", second: "live"}, "another environment's"
    third = _release(ledger, 3, replaced="spare")
    assert _states(ledger) == {first: "stopping", second: "spare", third: "live"}
    for _ in range(2):
        ledger.let_spare_go(MODEL, "production")
    assert _states(ledger) == {first: "stopping", second: "stopping", third: "live"}


def test_a_spare_is_not_live_again_but_in_a_deployment_of_its_own(ledger):
    first = _release(ledger, 1)
    second = _release(ledger, 2, replaced="spare")
    with pytest.raises(LeaseLost, match="it cannot become live"):
        ledger.finish_deployment(first, "live", "back", [], NOW)
    why = "rolled back to v1: it ended"
    again = _release(ledger, 1, why_replaced=why)
    assert _states(ledger) == {first: "stopping", second: "stopping", again: "live"}
    reasons = {r.id: r.reason for r in ledger.deployments(MODEL, environment="production")}
    assert reasons == {first: "released", second: why, again: "released"}
    assert ledger.deployments(MODEL, environment="staging") == []


def test_environments_are_apart(ledger):
    staging, production = _live(ledger, 2), _live(ledger, 1, "production")
    assert _states(ledger) == {staging: "live", production: "live"}
    assert ledger.deployment(MODEL, "production").version == 1
    assert ledger.deployment("other", "staging") is None


def test_a_failed_candidate_leaves_the_live_one_alone(ledger):
    first = _live(ledger, 1)
    second = _begin(ledger, 2)
    ledger.finish_deployment(second, "failed", "p99 900 ms, allowed 250 ms", [], NOW)
    assert ledger.deployment(MODEL, "staging").version == 1
    assert _states(ledger) == {first: "live", second: "failed"}
    assert ledger.service_of(second) == service(2)


def test_a_deployment_that_was_begun_and_abandoned_is_resumed(ledger):
    assert _begin(ledger, 1) == _begin(ledger, 1)
    assert _begin(ledger, 1) != _begin(ledger, 1, "another name")
    number = _live(ledger, 1)
    again = ledger.begin_deployment(MODEL, 1, "staging", f"{MODEL}-1", NOW)
    assert again != number


def test_finishing_twice_is_the_same_as_once(ledger):
    first, second = _live(ledger, 1), _live(ledger, 2)
    ledger.finish_deployment(second, "live", "again", [], after(9))
    ledger.finish_deployment(first, "stopped", "", [], after(9))
    ledger.finish_deployment(first, "stopped", "again", [], after(10))
    (live,) = ledger.deployments(MODEL, ["live"])
    assert (live.reason, live.live_at, live.checks) == (
        "all checks passed",
        after(2),
        tuple(CHECKS),
    )


def test_what_is_over_stays_over(ledger):
    failed = _begin(ledger, 1)
    ledger.finish_deployment(failed, "failed", "unhealthy", [], NOW)
    with pytest.raises(LeaseLost, match=r"v1 is failed \(unhealthy\): it cannot become live"):
        ledger.finish_deployment(failed, "live", "", [], NOW)
    with pytest.raises(LeaseLost, match="a service is no longer wanted"):
        ledger.record_service(failed, service(1), NOW)
    first, _ = _live(ledger, 2), _live(ledger, 3)
    with pytest.raises(LeaseLost, match="stopping"):
        ledger.finish_deployment(first, "live", "", [], NOW)


def test_a_deployment_begun_before_the_live_one_does_not_replace_it(ledger):
    slow = _begin(ledger, 1)
    fast = _live(ledger, 2)
    with pytest.raises(LeaseLost, match=f"begun before deployment {fast}"):
        ledger.finish_deployment(slow, "live", "", CHECKS, NOW)
    assert _states(ledger) == {slow: "starting", fast: "live"}


def test_an_old_version_can_be_deployed_again_though_its_first_attempt_was_overtaken(ledger):
    slow, fast = _begin(ledger, 1), _live(ledger, 2)
    again = _live(ledger, 1)
    assert _states(ledger) == {slow: "failed", fast: "stopping", again: "live"}
    (overtaken,) = ledger.deployments(MODEL, ["failed"])
    assert overtaken.reason == f"superseded: deployment {fast} became live meanwhile"


def test_nothing_is_live_without_a_service(ledger):
    number = ledger.begin_deployment(MODEL, 1, "staging", "name", NOW)
    with pytest.raises(LedgerConflict, match="has no service, so it cannot be live"):
        ledger.finish_deployment(number, "live", "", [], NOW)
    assert ledger.service_of(number) is None
    with pytest.raises(LedgerConflict, match="no deployment 999"):
        ledger.service_of(999)


def test_the_database_itself_refuses_two_live_ones(ledger):
    first, second = _live(ledger, 1), _live(ledger, 2)
    with pytest.raises(LedgerConflict, match="refused"), ledger._write("test") as connection:
        connection.exec_driver_sql(
            f"UPDATE evergreen_deployments SET state = 'live' WHERE id = {first}"
        )
    assert _states(ledger) == {first: "stopping", second: "live"}


def test_an_image_is_found_by_version_and_runtime_and_a_later_build_replaces_it(ledger):
    ledger.record_image(image(), NOW)
    ledger.record_image(image(digest="sha256:2"), after(1))
    assert ledger.image(MODEL, 2, "docker") == image(digest="sha256:2")
    assert ledger.image(MODEL, 2, "process") is None
    assert ledger.image(MODEL, 3, "docker") is None


def _switch(url: str, number: int, say) -> None:
    ledger = open_ledger(url)
    mine = _begin(ledger, number + 1)
    try:
        ledger.finish_deployment(mine, "live", "", CHECKS, NOW)
    except LeaseLost:
        say("overtaken")
    else:
        say("live")
    seen = ledger.deployments(MODEL, ["live"])
    say(len(seen))


def test_eight_processes_that_switch_at_once_leave_one_live(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    said = run_at_once(_switch, url, 8, tmp_path / "said")
    assert [seen for _, seen in said] == [1] * 8
    states = list(_states(ledger).values())
    assert states.count("live") == 1
    assert states.count("starting") == sum(word == "overtaken" for word, _ in said)
    newest = max(number for number, state in _states(ledger).items() if state != "starting")
    assert ledger.deployments(MODEL, ["live"])[0].id == newest
