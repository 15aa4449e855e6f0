"""What holds a training back although somebody wants it: time, money, and a row of rejections.

Pure: what was trained before and the time now in, brakes out. Every brake says until when it
holds; time alone lifts it, and at that very moment it does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class BrakeRules:
    """`retrain` of the spec, as far as it says "not so often" and "not so much"."""

    cooldown_s: float = 0.0
    daily_trainings: int = 24
    daily_compute_seconds: float = 86_400.0
    max_rejections: int = 5
    rejection_pause_s: float = 86_400.0


@dataclass(frozen=True)
class Spent:
    """Compute seconds of one piece of work, booked at the moment it was last charged."""

    at: dt.datetime
    seconds: float


@dataclass(frozen=True)
class Track:
    """What was trained before, as far as it matters now.

    `opened` and `spent` reach back a day at least. `last_ended` is when the last judged training
    was registered or lost. `rejections` were lost in a row, the last at `last_rejected`.
    `new_evidence` says what makes another try worth while; empty where nothing does. `resumes`:
    a training of the very same rows, spec and code was begun and waits to be finished.
    """

    opened: Sequence[dt.datetime] = ()
    spent: Sequence[Spent] = ()
    last_ended: dt.datetime | None = None
    rejections: int = 0
    last_rejected: dt.datetime | None = None
    new_evidence: str = ""
    resumes: bool = False


@dataclass(frozen=True)
class Brake:
    """Why not now, and until when."""

    reason: str
    until: dt.datetime


def brakes(rules: BrakeRules, track: Track, now: dt.datetime, *, only_budgets: bool) -> list[Brake]:
    """Every brake that holds now.

    The compute budget holds whatever is begun or resumed, so that a crash loop ends. The other
    three hold only what is new: a training that is resumed was granted already.

    Args:
        rules: of the model's spec.
        track: what was trained before.
        now: the time of the decision.
        only_budgets: a person asks, or it is a first model: cooldown and breaker do not apply.
    """
    found = [_compute(rules, track, now)]
    if not track.resumes:
        found.append(_trainings(rules, track, now))
        if not only_budgets:
            found += [_cooldown(rules, track), _breaker(rules, track)]
    return [brake for brake in found if brake is not None and brake.until > now]


def _compute(rules: BrakeRules, track: Track, now: dt.datetime) -> Brake | None:
    total = 0.0
    filled: dt.datetime | None = None
    for piece in _newest_first(track.spent, now):
        total += piece.seconds
        if filled is None and total >= rules.daily_compute_seconds:
            filled = piece.at
    if filled is None:
        return None
    return Brake(
        f"{total:,.0f} compute seconds were used within 24 hours, "
        f"{rules.daily_compute_seconds:,.0f} are allowed (retrain.daily_compute_seconds)",
        filled + DAY,
    )


def _newest_first(spent: Sequence[Spent], now: dt.datetime) -> Iterator[Spent]:
    within = (piece for piece in spent if piece.at > now - DAY)
    return iter(sorted(within, key=lambda piece: piece.at, reverse=True))


def _trainings(rules: BrakeRules, track: Track, now: dt.datetime) -> Brake | None:
    within = sorted(opened for opened in track.opened if opened > now - DAY)
    if len(within) < rules.daily_trainings:
        return None
    return Brake(
        f"{len(within):,} trainings were begun within 24 hours, "
        f"{rules.daily_trainings:,} are allowed (retrain.daily_trainings)",
        within[len(within) - rules.daily_trainings] + DAY,
    )


def _cooldown(rules: BrakeRules, track: Track) -> Brake | None:
    if track.last_ended is None:
        return None
    return Brake(
        f"the last training ended at {clock_time(track.last_ended)}, and the next waits "
        f"{duration(dt.timedelta(seconds=rules.cooldown_s))} (retrain.cooldown_s)",
        track.last_ended + dt.timedelta(seconds=rules.cooldown_s),
    )


def _breaker(rules: BrakeRules, track: Track) -> Brake | None:
    if track.rejections < rules.max_rejections or track.last_rejected is None:
        return None
    if track.new_evidence:
        return None
    return Brake(
        f"the last {track.rejections:,} challengers lost, after {rules.max_rejections:,} only a "
        "request by hand, a new drift or a changed spec starts one (retrain.max_rejections), or "
        f"one try every {duration(dt.timedelta(seconds=rules.rejection_pause_s))}",
        track.last_rejected + dt.timedelta(seconds=rules.rejection_pause_s),
    )


def clock_time(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(length: dt.timedelta) -> str:
    """A length of time in its two largest units: `2 hours 10 minutes`."""
    seconds = max(round(length.total_seconds()), 0)
    parts = []
    for name, size in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"
