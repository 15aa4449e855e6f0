"""Permuted columns, and the rows learned from beside the holdout; what a model weighs and takes."""

import numpy as np
import polars as pl
import pytest

from include.evergreen.stages.training.gates.latency import latency
from include.evergreen.stages.training.gates.leakage import leakage
from include.evergreen.stages.training.gates.overfitting import overfitting
from include.evergreen.stages.training.gates.size import size
from tests.unit.stages.training.formulas import chance, contest, lifts, number, spec_of

N = 900


def rows_of(error, n_rows=N, seed=5):
    """The target is made of load and floor, of about equal weight."""
    rows = lifts(n_rows, seed)
    noise = np.random.default_rng(seed).normal(0, error, n_rows)
    made = pl.col("load") + 17 * pl.col("floor") + pl.Series(noise)
    return rows.with_columns(made.alias("y"))


def both(columns):
    return number(np.nan_to_num(columns["load"]) + 17 * columns["floor"])


def test_a_nearly_perfect_model_of_several_columns_is_no_suspect():
    found = leakage(contest(spec_of("regression"), both, rows_of(0.1)))
    assert found.passed is True, found.seen
    assert found.evidence["skill"] > 0.99
    assert max(found.evidence["alone"].values()) < 0.5


def test_one_column_that_carries_all_of_a_nearly_perfect_model_is():
    rows = rows_of(1).with_columns((pl.col("y") / 5).clip(0, 100).alias("load"))
    found = leakage(contest(spec_of("regression"), lambda c: number(5 * c["load"]), rows))
    assert found.passed is False
    assert found.seen.startswith("column 'load' alone carries 100.0% of a skill of 1.0000")
    weak = rows.with_columns(pl.col("y") + pl.Series(np.random.default_rng(1).normal(0, 30, N)))
    found = leakage(contest(spec_of("regression"), lambda c: number(5 * c["load"]), weak))
    assert found.passed is True, "a strong column is no crime"


def test_the_only_column_of_a_nearly_perfect_model_carries_all():
    spec = spec_of("regression", columns={"load": {"type": "float"}})
    rows = lifts(N).select("load", (pl.col("load") * 2).alias("y"))
    found = leakage(contest(spec, lambda c: number(2 * c["load"]), rows))
    assert found.passed is False


def test_importances_are_the_skill_that_is_lost_with_a_column():
    found = leakage(contest(spec_of("regression"), both, rows_of(5)))
    lost = {row["column"]: row["lost"] for row in found.evidence["importances"]}
    assert lost["load"] > 0.5
    assert lost["floor"] > 0.5
    assert lost["door"] == lost["open"] == 0
    assert [row["column"] for row in found.evidence["importances"]][2:] == ["door", "open"]


def test_all_permuted_rows_are_asked_for_at_once_and_are_not_too_many():
    made = contest(spec_of("regression"), both, rows_of(5, n_rows=4_000))
    made.challenger.asked.clear()
    leakage(made)
    assert made.challenger.asked == [4 * 500, 4_000]  # four columns, and the rows learned from


def test_a_holdout_that_is_known_is_suspicious_and_easy_weeks_are_not():
    spec = spec_of("regression")
    known = leakage(contest(spec, both, rows_of(30), rows_of(3, 300, seed=6)))
    assert known.passed is False
    assert "it looks known" in known.seen
    calm = rows_of(30).with_columns(pl.col("y") / 10)  # everything is a tenth there
    tenth = lambda c: number(np.where(c["door"] == "", 0, both(c)["prediction"]))  # noqa: E731
    easy = leakage(contest(spec, tenth, rows_of(30), rows_of(30, 300, seed=6)))
    assert easy.passed is True
    assert calm.height == N


def test_without_two_classes_in_the_rows_looked_at_nothing_is_suspected_but_an_error_is_told():
    rows = lifts(N).with_columns(pl.lit("yes").alias("y"))
    found = leakage(contest(spec_of("binary"), lambda c: chance(c["floor"] / 5), rows))
    assert found.passed is False
    assert "no number" in found.seen


def test_a_memoriser_is_told_from_an_ensemble_that_fits_as_well():
    train, holdout = rows_of(20), rows_of(20, 300, seed=6)
    learned = dict(zip(train["load"].to_list(), train["y"].to_list(), strict=True))

    def by_heart(otherwise):
        def says(columns):
            guesses = otherwise(columns)
            return number(
                [
                    learned.get(load, guess)
                    for load, guess in zip(columns["load"], guesses, strict=True)
                ]
            )

        return says

    spec = spec_of("regression")
    sound = overfitting(contest(spec, by_heart(lambda c: both(c)["prediction"]), train, holdout))
    assert sound.passed is True, sound.seen
    assert sound.evidence["learned_error"] == 0
    clueless = by_heart(lambda c: np.full(len(c["load"]), 90.0))
    found = overfitting(contest(spec, clueless, train, holdout))
    assert found.passed is False
    assert "infinitely many times" in found.seen


def test_every_file_of_the_bundle_counts(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "estimator").write_bytes(bytes(2**20))
    (tmp_path / "deep" / "table").write_bytes(bytes(2**19))
    rows = rows_of(1, n_rows=50)
    spec = spec_of("regression", {"size": {"max_mib": 1.5}})
    found = size(contest(spec, both, rows, bundle=tmp_path))
    assert (found.passed, found.seen) == (True, "the bundle has 1.5 MiB")
    (tmp_path / "one more").write_bytes(b"x")
    assert size(contest(spec, both, rows, bundle=tmp_path)).passed is False


class Clock:
    """Moves by so many seconds with each answer."""

    def __init__(self, answers_s):
        self.now, self._answers_s = 0.0, iter(answers_s)

    def __call__(self):
        return self.now

    def answered(self, columns):
        self.now += next(self._answers_s)
        return number(np.zeros(len(columns["load"])))


@pytest.mark.parametrize(
    ("answers_s", "p50_ms", "answers"),
    [
        ([9.0] + [0.002] * 10, 2, 10),  # the first warms up
        ([0.1] + [0.2, 0.002] + [0.001] * 8, 1, 10),  # one round beside other work
        ([9.0, 3.0], 3_000, 1),  # a slow one is known by its first answer
        ([0.4, 0.3, 0.3], 300, 2),
    ],
)
def test_the_best_round_of_warm_answers_counts(answers_s, p50_ms, answers):
    clock = Clock(answers_s)
    made = contest(spec_of("regression"), both, rows_of(1, n_rows=50))
    made.challenger.says = clock.answered
    found = latency(made, stopwatch=clock)
    assert found.evidence["p50_ms"] == pytest.approx(p50_ms)
    assert found.evidence["answers"] == answers
    assert found.passed is (p50_ms <= 50)
