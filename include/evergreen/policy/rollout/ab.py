"""Which of two versions that shared the requests was right more often, and how sure that is.

Labels come in one by one, and the question is asked each time. An interval that is right in 95%
of all cases at one look is wrong far more often at the worst of many, so the doubt is shared:
before the deadline an interval decides that holds however often one looks (half of the doubt), at
the deadline Welch's does (the other half).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Word = Literal["challenger", "champion", "not_yet"]


@dataclass(frozen=True)
class AbRules:
    """`deployment.ab` of the spec, without the share."""

    min_labels: int
    confidence: float
    deadline_s: float


@dataclass(frozen=True)
class Losses:
    """What the answers of one version lost: how many labels are known, their mean and variance.

    `variance` is the sample's (n - 1); NaN of fewer than two, as the mean of none is.
    """

    n: int
    mean: float
    variance: float

    @classmethod
    def of(cls, losses: Sequence[float]) -> Losses:
        """The summary of these losses; less is better."""
        n = len(losses)
        mean = sum(losses) / n if n else math.nan
        spread = sum((loss - mean) * (loss - mean) for loss in losses)
        return cls(n, mean, spread / (n - 1) if n > 1 else math.nan)


@dataclass(frozen=True)
class AbVerdict:
    """The word, and the difference it rests on: positive where the new version loses less.

    `low` and `high` are the interval that decides now; NaN where there is none.
    """

    word: Word
    reason: str
    difference: float
    low: float
    high: float


def decide_ab(
    champion: Losses, challenger: Losses, rules: AbRules, *, elapsed_s: float
) -> AbVerdict:
    """The word on the labels that came until now.

    Args:
        champion: of the old version's answers.
        challenger: of the new one's.
        rules: see `AbRules`.
        elapsed_s: since the split began.
    """
    is_last = not elapsed_s < rules.deadline_s
    difference = champion.mean - challenger.mean
    doubt = (1 - rules.confidence) / 2
    low, high = _interval(champion, challenger, doubt, None if is_last else rules.min_labels)
    word, why = _word(champion, challenger, rules, (low, high))
    if word == "not_yet" and is_last:
        word, why = "champion", f"the deadline of {rules.deadline_s:g} s is over: {why}"
    numbers = (
        f"mean loss {challenger.mean:.6g} of {challenger.n:,} answers against {champion.mean:.6g} "
        f"of {champion.n:,}; difference {difference:.3g}, between {low:.3g} and {high:.3g}"
    )
    return AbVerdict(word, f"{why} ({numbers})", difference, low, high)


def _word(
    champion: Losses, challenger: Losses, rules: AbRules, interval: tuple[float, float]
) -> tuple[Word, str]:
    low, high = interval
    fewest = min(champion.n, challenger.n)
    if fewest < rules.min_labels:
        return "not_yet", f"{fewest:,} labels of a version, {rules.min_labels:,} are needed"
    if not (math.isfinite(low) and math.isfinite(high)):
        return "not_yet", "a loss is no number"
    if low > 0:
        return "challenger", "the new version loses less"
    if high < 0:
        return "champion", "the old version loses less"
    return "not_yet", "neither version is surely better"


def _interval(
    champion: Losses, challenger: Losses, doubt: float, planned: int | None
) -> tuple[float, float]:
    """Of the difference; `planned`: labels of a version at the first of many looks, else one look.

    NaN below two labels, and where a loss is no number.
    """
    sides = (champion, challenger)
    if any(side.n < 2 or not math.isfinite(side.mean + side.variance) for side in sides):  # noqa: PLR2004
        return math.nan, math.nan
    parts = [side.variance / side.n for side in sides]
    difference, error = champion.mean - challenger.mean, math.sqrt(sum(parts))
    if planned is None:
        times = t_quantile(1 - doubt / 2, _degrees(parts, sides))
    else:
        times = _at_every_look(2 / (1 / champion.n + 1 / challenger.n), planned, doubt)
    return difference - times * error, difference + times * error


def _degrees(parts: Sequence[float], sides: Sequence[Losses]) -> float:
    """Welch and Satterthwaite's; without any variance there is nothing to estimate."""
    below = sum(part * part / (side.n - 1) for part, side in zip(parts, sides, strict=True))
    return sum(parts) * sum(parts) / below if below else math.inf


def t_quantile(probability: float, degrees: float) -> float:
    """Of Student's t, by Cornish and Fisher: right to 3 digits from 9 degrees of freedom on.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + math.fsum(term / degrees**power for power, term in enumerate(terms, 1))


def _at_every_look(n: float, planned: int, doubt: float) -> float:
    """Standard errors on each side of a mean, so that no look of all is wrong but with `doubt`.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas
    ("Time-uniform central limit theory and asymptotic confidence sequences", 2021), narrowest at
    `planned` rows.
    """
    once = -2 * math.log(doubt)
    grown = n / planned * (once + math.log(once + 1))
    return math.sqrt(2 * (grown + 1) / grown * math.log(math.sqrt(grown + 1) / doubt))
