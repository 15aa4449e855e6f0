"""The checker sees each thing that must never be, and says which; in a sound world it is silent."""

import time

import pytest

from tests.chaos import checker, checker_files, facts
from tests.chaos.breaks import BREAKS
from tests.chaos.recording import END, UPKEEP_S, Recording
from tests.chaos.served import end
from tests.chaos.sweep import Client

RULES = {rule.__name__ for rule in (*checker.RULES, *checker_files.RULES)}


def test_every_rule_is_seen_to_fail() -> None:
    assert {rule for rule, _, _ in BREAKS.values()} == RULES


def test_a_sound_world_has_no_violation(recording: Recording) -> None:
    recording.world.put_back(END)
    assert recording.look(UPKEEP_S)["violations"] == []


def test_what_is_told_twice_is_a_fact_but_for_another_attempt() -> None:
    once = ["proposed:v2:ab", "aborted:v2:ab", "advanced:v2:ab:step 1", "retired:2026-01-01T00:00"]
    plain = [["aborted:v2"], ["advanced:v2:step 1"], ["proposed:v2"], ["retired"]]
    assert facts.told(once) == facts.told([*once, "proposed:v2:cd"]) == plain
    assert facts.told([*once, "aborted:v2:cd"]) == [["aborted:v2"], *plain]


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_world_is_named(recording: Recording, name: str) -> None:
    rule, _, words = BREAKS[name]
    recording.world.put_back(END)
    ended = recording.world.server.call("tests.chaos.breaks:do", name=name)
    assert ended.state == "success", ended.error
    seen = [v["words"] for v in recording.look(UPKEEP_S)["violations"] if v["rule"] == rule]
    assert any(words in said for said in seen), seen


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_a_version_that_stops_answering_is_noticed(recording: Recording, environment: str) -> None:
    world = recording.world
    world.put_back(END)
    with Client(world, asks=True) as client:
        time.sleep(0.5)
        answered, failures = client.answered, list(client.failures)
        live = next(each for each in world.all_live() if each["environment"] == environment)
        for process in world.services():
            if str(process.pid) == live["service_id"].partition(":")[0]:
                end(process)
        time.sleep(0.5)
    assert answered > 0
    assert failures == []
    assert any(f"a request to {environment} failed: v2 at" in said for said in client.failures)
