"""The suite notices a gate that is missing, off or hollow, and an honest challenger passes all."""

import dataclasses

import pytest

from include.evergreen.contracts import GateResult, Judgement
from include.evergreen.stages.training import run_gates
from tests.sabotage.saboteurs import GATE_NAMES, SABOTEURS, STRICT, Saboteur
from tests.sabotage.verdicts import assert_stopped_by_its_gate_alone
from tests.sabotage.worlds import RETURNS, SALES

SIZE = next(saboteur for saboteur in SABOTEURS if saboteur.gate == "size")


def test_every_gate_has_a_saboteur_and_is_run():
    assert {saboteur.gate for saboteur in SABOTEURS} == set(GATE_NAMES)
    assert set(run_gates.GATES) == set(GATE_NAMES)
    assert len({saboteur.name for saboteur in SABOTEURS}) == len(SABOTEURS) >= 15


def test_no_saboteur_is_helped_by_a_gate_that_is_off():
    assert not any("modes" in gates for gates in STRICT.values())
    assert not any("modes" in saboteur.gates for saboteur in SABOTEURS)


@pytest.mark.parametrize(
    ("verdict", "failing", "reason"),
    [
        ("won", {}, "12 of 12 gates passed"),
        ("won", {"size": "warn"}, "warning: it is large (gate size)"),
        ("lost", {"latency": "block"}, "it is slow (gate latency)"),
        ("lost", {"size": "block", "latency": "block"}, "it is large (gate size)"),
        ("lost", {"size": "block"}, "no gate has looked at it"),
    ],
)
def test_a_saboteur_that_is_not_stopped_by_its_gate_alone_fails_the_suite(verdict, failing, reason):
    results = tuple(
        GateResult(
            name, failing.get(name, "block"), "failed" if name in failing else "passed", "", ""
        )
        for name in GATE_NAMES
    )
    with pytest.raises(AssertionError):
        assert_stopped_by_its_gate_alone(SIZE, Judgement(verdict, reason, gates=results))


@pytest.mark.parametrize("world", [SALES, RETURNS], ids=lambda world: world.spec["model"])
def test_an_honest_challenger_passes_every_gate(world, tried):
    """So what stops a saboteur is what is wrong with it."""
    trial = tried(Saboteur("honest", "champion", "", world))
    assert trial.word.verdict == "won", trial.word.reason
    passed = {gate.name for gate in trial.word.gates if gate.verdict == "passed"}
    # Of two classes no answer is a number that may only rise: `returns` expects nothing.
    assert set(GATE_NAMES) - passed == (set() if world is SALES else {"behaviour"})


def test_a_saboteur_whose_gate_is_off_is_registered_and_the_ledger_says_that_it_was_off(tried):
    off = dataclasses.replace(SIZE, gates={"modes": {"size": "off"}})
    trial = tried(off)
    assert trial.word.verdict == "won", trial.word.reason
    candidate = trial.loop.register(trial.snapshot, trial.fitted, trial.word)
    assert candidate is not None
    assert candidate.version == 2
    judgement = trial.loop.resources.ledger.training(trial.snapshot.key).judgement
    size = next(gate for gate in judgement.gates if gate.name == "size")
    assert (size.verdict, size.mode) == ("off", "off")
    assert size.seen == "not computed"
