"""Every gate is run or said to be off; an error in one promotes nobody; the word stays small."""

import json
import math
from typing import get_args

import numpy as np
import polars as pl
import pytest

from include.evergreen.contracts import GateName, Judgement
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.stages.training import run_gates
from include.evergreen.stages.training.run_gates import judge_contest
from tests.unit.stages.training.contests import COLUMNS, contest_of, people, shares, spec_of

#: These ask the challenger itself, which a made-up contest has not.
ASKS = {"stability", "behaviour", "leakage", "overfitting", "size", "latency"}
NOT_ASKED: dict[str, str] = dict.fromkeys(ASKS, "off")


def contest(gates=None, *, bias=0.0, modes=None):
    rng, rows = np.random.default_rng(3), people(1_000)
    chance = rng.random(1_000)
    rows = rows.with_columns(pl.Series("y", np.where(rng.random(1_000) < chance, "yes", "no")))
    answer = shares(np.clip(chance + bias * (rows["town"] == "north").to_numpy(), 0, 1))
    spec = spec_of("binary", {**(gates or {}), "modes": {**NOT_ASKED, **(modes or {})}})
    return contest_of(spec, rows, answer)


def test_a_gate_blocks_warns_or_is_not_computed_as_the_spec_says(monkeypatch):
    gates = {"fairness": {"columns": ["town"]}}
    word = judge_contest(contest(gates, bias=0.4))
    assert word.verdict == "lost"
    assert "(gate fairness)" in word.reason
    word = judge_contest(contest(gates, bias=0.4, modes={"fairness": "warn"}))
    assert word.verdict == "won", word.reason
    assert "; warning: town: a demographic parity difference" in word.reason
    touched = {**run_gates.GATES, "fairness": lambda contest: pytest.fail("it was computed")}
    monkeypatch.setattr(run_gates, "GATES", touched)
    word = judge_contest(contest(gates, bias=0.4, modes={"fairness": "off"}))
    assert word.verdict == "won"
    assert {gate.name: gate.verdict for gate in word.gates}["fairness"] == "off"


def test_results_stand_in_the_order_in_which_they_are_told():
    names = [gate.name for gate in judge_contest(contest()).gates]
    assert names == [name for name in get_args(GateName) if name in names]


def test_an_error_in_a_gate_is_an_error_of_the_judging(monkeypatch):
    def broken(contest):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(run_gates, "GATES", {**run_gates.GATES, "slices": broken})
    with pytest.raises(ZeroDivisionError):
        judge_contest(contest())


def test_no_gate_looks_at_answers_that_are_no_numbers(monkeypatch):
    made = contest({})
    made.answers["challenger"]["probability_yes"][3] = math.nan
    object.__setattr__(
        made,
        "spec",
        made.spec.model_copy(
            update={"training": made.spec.training.model_copy(update={"metric": "log_loss"})}
        ),
    )
    monkeypatch.setattr(run_gates, "run_gates", lambda contest: pytest.fail("a gate looked"))
    word = judge_contest(made)
    assert word.verdict == "lost"
    assert word.reason == "the log_loss of the challenger is no number (nan)"
    assert word.gates == ()


def test_evidence_is_plain_json_with_as_many_digits_as_are_read(monkeypatch):
    evidence = {"a": np.float32(1 / 3), "b": [math.nan, np.int64(3)], "c": np.array([0.123456789])}
    found = Finding(True, "seen", "required", evidence)
    touched = {**run_gates.GATES, "floors": lambda contest: found}
    monkeypatch.setattr(run_gates, "GATES", touched)
    word = judge_contest(contest())
    measured = {gate.name: gate.evidence for gate in word.gates}
    assert measured["floors"] == {"a": 0.333333, "b": [None, 3], "c": [0.123457]}
    assert Judgement.from_json(json.loads(json.dumps(word.as_json(), allow_nan=False))) == word


def test_the_word_on_a_hundred_slices_and_as_many_groups_stays_small():
    wanted = [
        {"column": "town", "values": ["north", "south", "west"], "name": f"a slice with a name {i}"}
        for i in range(100)
    ]
    columns = [name for name in COLUMNS if name != "income"]
    made = contest({"slices": wanted, "fairness": {"columns": columns, "min_rows": 5}})
    text = json.dumps(judge_contest(made).as_json(), indent=1)
    assert len(text) < 40_000
