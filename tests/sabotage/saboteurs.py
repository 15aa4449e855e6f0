"""Every saboteur: a real training made bad in one way, and the gate that is to stop it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import polars as pl

from include.evergreen.contracts import GateName
from tests.sabotage.worlds import HOLDOUT_FROM, RETURNS, SALES, Frame, World

#: The gates of a spec that leaves nothing out. An honest challenger passes them all.
STRICT: dict[str, dict[str, Any]] = {
    "sales": {
        "floors": {"r2": 0.6},
        "slices": [{"column": "shop", "values": ["north"]}],
        "fairness": {"columns": ["clerk"]},
        "behaviour": [
            {
                "name": "whoever sells",
                "column": "clerk",
                "set_to": ["first", "second"],
                "expect": "same",
                "tolerance": 0.1,
            },
            {"name": "dearer is not more", "column": "price", "add": 1, "expect": "not_higher"},
        ],
        "size": {"max_mib": 1},
        "latency": {"max_ms": 10},
    },
    "returns": {
        "floors": {"roc_auc": 0.6},
        "slices": [{"column": "branch", "values": ["abroad"]}],
        "fairness": {"columns": ["branch"]},
        "calibration": {"max_error": 0.1},
        "size": {"max_mib": 1},
        "latency": {"max_ms": 10},
    },
}
AtWork = pl.col("at") < HOLDOUT_FROM


def untouched(frame: Frame) -> Frame:
    return frame


@dataclass(frozen=True)
class Saboteur:
    """One training made bad in one way.

    Args:
        name: what is wrong with it.
        gate: which has to stop it, and no other.
        reason: what the judge's reason has to say of it.
        world: whose rows it learns from.
        build: its estimator, a function of `models/sabotage.py`.
        champion: whose place it wants, another such function. `poor` is one that any model of
            some use beats, so that the champion's gate is not what stops it.
        tamper: what was done to the rows that came after the champion's time.
        since_ever: whether the champion's rows were like that already.
        gates: where its spec differs from `STRICT`.
        training: where its training differs from the world's.
    """

    name: str
    gate: GateName
    reason: str
    world: World
    build: str = "honest"
    champion: str = "poor"
    tamper: Callable[[Frame], Frame] = untouched
    since_ever: bool = False
    gates: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def strict(self) -> dict[str, Any]:
        return STRICT[self.world.spec["model"]] | self.gates


def _leaky(frame: Frame) -> Frame:
    """The receipts are counted after the sales."""
    return frame.with_columns((pl.col("sales") * 1.1).round(2).alias("receipts"))


def _cleaned_holdout(frame: Frame) -> Frame:
    """Somebody corrected the newest rows with a model's answers."""
    answer = (
        50 + 0.5 * pl.col("visitors") - 3 * pl.col("price") + 8 * pl.col("promo").cast(pl.Float64)
    )
    return frame.with_columns(
        pl.when(AtWork).then(pl.col("sales")).otherwise(answer).alias("sales")
    )


def _noisy(frame: Frame) -> Frame:
    noise = pl.Series(np.random.default_rng(21).normal(0, 13, frame.height))
    return frame.with_columns((pl.col("sales") + noise).alias("sales"))


def _north_in_another_currency(frame: Frame) -> Frame:
    """Until the holdout: what is learned there is wrong now."""
    wrong = AtWork & (pl.col("shop") == "north")
    return frame.with_columns(
        (pl.col("sales") + pl.when(wrong).then(80.0).otherwise(0.0)).alias("sales")
    )


def _code_in_the_decimals(frame: Frame) -> Frame:
    """Even and odd multiples of 0.02 are two kinds of hours."""
    steps = np.random.default_rng(22).integers(0, 5000, frame.height)
    return frame.with_columns(
        pl.Series("receipts", (steps * 0.02).round(2)),
        (pl.col("sales") + pl.Series(np.where(steps % 2 == 0, 10.0, -10.0))).alias("sales"),
    )


def _a_clerk_who_sells_more(frame: Frame) -> Frame:
    more = pl.when(pl.col("clerk") == "first").then(8.0).otherwise(0.0)
    return frame.with_columns((pl.col("sales") + more).alias("sales"))


def _dearer_sells_more(frame: Frame) -> Frame:
    """Prices were put up on busy days."""
    return frame.with_columns((pl.col("sales") + 6 * pl.col("price")).alias("sales"))


def _abroad_is_never_believed(frame: Frame) -> Frame:
    """The labels of one group are the judgement of those who decided before."""
    doubted = pl.Series(np.random.default_rng(23).random(frame.height) < 0.85)
    believed = pl.col("returned") & ~((pl.col("branch") == "abroad") & doubted)
    return frame.with_columns(believed.alias("returned"))


def _a_fifth_flipped(frame: Frame) -> Frame:
    flipped = pl.Series(np.random.default_rng(24).random(frame.height) < 0.2) & AtWork
    return frame.with_columns((pl.col("returned") ^ flipped).alias("returned"))


SABOTEURS: tuple[Saboteur, ...] = (
    Saboteur(
        "worse than the champion",
        "champion",
        "worse than champion v1",
        SALES,
        "shrunk",
        "rule",
        gates={"floors": {}, "slices": []},
    ),
    Saboteur("equal to the champion", "champion", "a tie with champion v1", SALES, "rule", "rule"),
    Saboteur(
        "lucky on a small holdout",
        "champion",
        "% better than champion v1",
        SALES,
        "lucky",
        "rule",
        training={"holdout": {"days": 0.5, "min_rows": 10}},
    ),
    Saboteur(
        "a fifth of the labels flipped",
        "champion",
        "worse than champion v1",
        RETURNS,
        "boosted",
        "honest",
        tamper=_a_fifth_flipped,
    ),
    Saboteur(
        "worse than the naive baseline",
        "baseline",
        "worse than the naive baseline",
        SALES,
        "mirrored",
        gates={"floors": {}, "behaviour": []},
    ),
    Saboteur(
        "constant",
        "baseline",
        "a tie with the naive baseline",
        SALES,
        "constant",
        gates={"floors": {}},
    ),
    Saboteur("below the floor", "floors", "but required r2 >= 0.6", SALES, "shrunk"),
    Saboteur(
        "bad on one slice",
        "slices",
        "shop north",
        SALES,
        tamper=_north_in_another_currency,
        gates={"floors": {}},
    ),
    Saboteur(
        "biased against a group",
        "fairness",
        "branch: a demographic parity difference",
        RETURNS,
        tamper=_abroad_is_never_believed,
    ),
    Saboteur(
        "far too sure", "calibration", "an expected calibration error of", RETURNS, "overconfident"
    ),
    Saboteur(
        "unstable under noise",
        "stability",
        "with noise the error grows by",
        SALES,
        "decimals",
        tamper=_code_in_the_decimals,
    ),
    Saboteur(
        "swayed by who sells",
        "behaviour",
        "whoever sells: 480 of 480 rows",
        SALES,
        tamper=_a_clerk_who_sells_more,
    ),
    Saboteur(
        "dearer sells more",
        "behaviour",
        "dearer is not more: 480 of 480 rows",
        SALES,
        tamper=_dearer_sells_more,
        since_ever=True,
    ),
    Saboteur(
        "one column is the target",
        "leakage",
        "column 'receipts' alone carries",
        SALES,
        tamper=_leaky,
        since_ever=True,
    ),
    Saboteur("the holdout is known", "leakage", "it looks known", SALES, tamper=_cleaned_holdout),
    Saboteur(
        "learned by heart",
        "overfitting",
        "times that on the rows learned from",
        SALES,
        "memoriser",
        tamper=_noisy,
        gates={"floors": {}, "behaviour": []},
    ),
    Saboteur("too large", "size", "the bundle has 2.", SALES, "large"),
    Saboteur("too slow", "latency", "one answer takes 2", SALES, "slow"),
)
GATE_NAMES: tuple[GateName, ...] = get_args(GateName)
