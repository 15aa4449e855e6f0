"""Measures whether the challenger is better than the champion in resamples of the holdout, too."""

from __future__ import annotations

import math

import numpy as np

from include.evergreen.policy.gates import champion as policy
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.recipes import classes_of, times_of
from include.evergreen.stages.training.resampling import block_length, paired_improvements


def champion(contest: Contest) -> Finding:
    """Both on the same rows, and both on the same rows of each resample."""
    gates, scores = contest.spec.gates, contest.scores
    required = f"{gates.min_improvement:.2%} and {gates.confidence:.0%} of the resamples"
    if "champion" not in scores:
        return Finding(None, "there is no champion yet", required)
    version = contest.champion_version
    return policy.champion(
        scores["challenger"],
        scores["champion"],
        scores["baseline"],
        _resampled(contest),
        min_improvement=gates.min_improvement,
        confidence=gates.confidence,
        name="the champion" if version is None else f"champion v{version}",
    )


def _resampled(contest: Contest) -> policy.Resampled:
    """In order of time, where there is one: neighbours err alike, and are drawn together."""
    times = times_of(contest.holdout, contest.spec)
    rows = contest.holdout.height
    order = np.arange(rows) if times is None else np.argsort(times, kind="stable")
    champion, challenger = (
        {name: values[order] for name, values in contest.answers[who].items()}
        for who in ("champion", "challenger")
    )
    found = paired_improvements(
        contest.metric,
        contest.truth[order],
        champion,
        challenger,
        classes_of(contest.spec),
        block=block_length(rows, in_time=times is not None),
        seed=contest.spec.training.seed,
    )
    low, high = found.interval(contest.spec.gates.confidence)
    return policy.Resampled(
        better_share=found.share_above_zero,
        interval=(low, high) if math.isfinite(low) else None,
        resamples=len(found.values) + found.undefined,
        block_rows=found.block,
    )
