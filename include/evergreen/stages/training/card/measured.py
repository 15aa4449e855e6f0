"""What the contenders' answers come to on the holdout: metrics with intervals, and pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from include.evergreen.policy.metrics import KNOWN, metrics_for
from include.evergreen.stages.training.card.explain import drawn
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.recipes import classes_of
from include.evergreen.stages.training.resampling import RESAMPLES, block_length, interval
from include.evergreen.stages.training.scoring import codes

CONFIDENCE = 0.95
CONTENDERS = ("challenger", "champion", "baseline")
#: For a metric that does not decide: most cost a scoring a resample.
FEWER = 100
POINTS = 300
MOMENTS = 96
SHARES = 20
MOST_CLASSES = 12
_BINARY = 2

Array = npt.NDArray[Any]


def metrics_of(contest: Contest) -> list[dict[str, Any]]:
    """Every metric of the task and of the spec, for each contender, with its interval.

    The metric that decides comes first; of the others the baseline has no interval.
    """
    spec = contest.spec
    names = dict.fromkeys((contest.metric, *metrics_for(spec.task), *spec.gates.floors))
    found = []
    for name in names:
        values = {who: _value(contest, who, name) for who in CONTENDERS if who in contest.answers}
        if all(value["value"] is None for value in values.values()):
            continue
        found.append(
            {
                "metric": name,
                "greater_is_better": KNOWN[name].greater_is_better,
                "decides": name == contest.metric,
                **values,
            }
        )
    return found


def _value(contest: Contest, who: str, metric: str) -> dict[str, Any]:
    spec, answer = contest.spec, contest.answers[who]
    value = contest.score(answer, metric=metric)
    decides = metric == contest.metric
    if who == "baseline" and not decides:
        return {"value": value if math.isfinite(value) else None, "low": None, "high": None}
    low, high = interval(
        metric,
        contest.truth,
        answer,
        classes_of(spec),
        confidence=CONFIDENCE,
        block=block_length(contest.holdout.height, in_time=spec.data.time is not None),
        seed=spec.training.seed,
        resamples=RESAMPLES if decides else FEWER,
    )
    known = all(math.isfinite(number) for number in (value, low, high))
    return {
        "value": value if math.isfinite(value) else None,
        "low": low if known else None,
        "high": high if known else None,
    }


def answers_of(contest: Contest) -> dict[str, Any]:
    """What was said against what was true: points and a course in time, or a table of classes."""
    if contest.spec.task == "regression":
        return {"kind": "regression", "points": _points(contest), "course": _course(contest)}
    classes = classes_of(contest.spec)
    truth = codes(contest.truth, classes)
    said = codes(contest.answers["challenger"]["prediction"], classes)
    shown: dict[str, Any] = {"kind": "classification"}
    if len(classes) <= MOST_CLASSES:
        table = np.zeros((len(classes), len(classes)), dtype=np.int64)
        np.add.at(table, (truth, said), 1)
        shown["table"] = {"classes": [str(label) for label in classes], "counts": table.tolist()}
    if len(classes) == _BINARY:
        share = np.asarray(contest.answers["challenger"][f"probability_{classes[1]}"])
        shown["shares"] = {
            "of": str(classes[1]),
            "classes": [
                {
                    "name": str(label),
                    "counts": np.histogram(share[truth == code], SHARES, (0.0, 1.0))[0].tolist(),
                }
                for code, label in enumerate(classes)
            ],
        }
    return shown


def _points(contest: Contest) -> list[list[float]]:
    """Pairs of what was true and what was said, of rows of the holdout drawn by chance."""
    said = np.asarray(contest.answers["challenger"]["prediction"], dtype=np.float64)
    pairs = pl.DataFrame({"true": contest.truth.astype(np.float64), "said": said})
    rng = np.random.default_rng(contest.spec.training.seed)
    return [list(row) for row in drawn(pairs, POINTS, rng).iter_rows()]


def _course(contest: Contest) -> dict[str, Any] | None:
    """The mean of the target and of each answer, in equal spans of the holdout's time."""
    time = contest.spec.data.time
    if time is None or contest.holdout.height < MOMENTS:
        return None
    frame = contest.holdout.select(pl.col(time).alias("at")).with_columns(
        pl.Series("truth", contest.truth.astype(np.float64)),
        *(
            pl.Series(who, np.asarray(contest.answers[who]["prediction"], dtype=np.float64))
            for who in ("challenger", "champion")
            if who in contest.answers
        ),
    )
    spans = min(MOMENTS, frame["at"].n_unique())
    first, last = frame["at"].min(), frame["at"].max()
    length = (last - first) / spans  # type: ignore[operator]
    if not length:
        return None
    span = ((pl.col("at") - first) / length).floor().clip(0, spans - 1).cast(pl.Int64)
    means = (
        frame.with_columns(span.alias("span"))
        .group_by("span")
        .agg(pl.col("at").min(), pl.exclude("at", "span").mean())
        .sort("at")
    )
    lines = {name: means[name].to_list() for name in means.columns if name not in {"span", "at"}}
    return {"at": [moment.isoformat() for moment in means["at"]], "lines": lines}
