"""What has to be true of a saboteur that was tried. An AssertionError is a hole in the judge."""

from __future__ import annotations

import pytest

from include.evergreen.contracts import Judgement
from tests.sabotage.saboteurs import Saboteur
from tests.sabotage.trials import Trial


def failed(word: Judgement) -> set[str]:
    return {gate.name for gate in word.gates if gate.verdict == "failed"}


def assert_stopped_by_its_gate_alone(saboteur: Saboteur, word: Judgement) -> None:
    """It lost, by its own gate and no other, and the reason says so."""
    assert word.verdict == "lost", f"{saboteur.name} got through: {word.reason}"
    assert failed(word) == {saboteur.gate}, word.reason
    assert saboteur.reason in word.reason, word.reason
    assert word.reason.endswith(f"(gate {saboteur.gate})"), word.reason


def assert_kept_out(saboteur: Saboteur, trial: Trial) -> None:
    """Stopped, with that reason in the ledger, and the champion is who it was."""
    assert_stopped_by_its_gate_alone(saboteur, trial.word)
    resources, model = trial.loop.resources, trial.loop.spec.model
    record = resources.ledger.training(trial.snapshot.key)
    assert record is not None
    assert record.state == "lost"
    assert record.judgement == trial.word
    decision = resources.ledger.decisions(model)[0]
    assert (decision.verdict, decision.reason) == ("lost", trial.word.reason)
    assert trial.loop.register(trial.snapshot, trial.fitted, trial.word) is None
    assert resources.registry.version_of(model, "champion") == 1
    assert resources.registry.version_of(model, "challenger") == 1


def assert_only_its_gate_stands_in_its_way(saboteur: Saboteur, trial: Trial) -> None:
    """Without that gate it wins, and this suite fails: a gate that is off or hollow is noticed."""
    assert trial.off.verdict == "won", trial.off.reason
    modes = {gate.name: gate.verdict for gate in trial.off.gates}
    assert modes[saboteur.gate] == "off"
    assert trial.hollowed.verdict == "won", trial.hollowed.reason
    for word in (trial.off, trial.hollowed):
        with pytest.raises(AssertionError, match="got through"):
            assert_stopped_by_its_gate_alone(saboteur, word)
