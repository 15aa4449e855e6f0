"""Says what is wrong with a cron of a spec: not one, never due, or due too often."""

from __future__ import annotations

import datetime as dt
import functools
import itertools

MINUTE_S = 60
_FIELDS = 5
_PRESETS = frozenset({"@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"})
_SAMPLE = 60
#: Any fixed instant: the answer must not depend on the day a DAG file is parsed.
_FROM = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
EXAMPLE = "five fields (minute hour day month weekday) such as '*/15 * * * *', or @hourly, @daily"


@functools.lru_cache(maxsize=1024)
def cron_problem(cron: str, least_s: int) -> str | None:
    """What is wrong with a cron, or None. `least_s`: the shortest time allowed between two runs."""
    seen = f"saw {cron[:60]!r}; it should be {EXAMPLE}"
    if cron in _PRESETS:
        return None
    if len(cron) > 200 or len(cron.split()) != _FIELDS:  # noqa: PLR2004
        return seen
    from croniter import CroniterError, croniter  # type: ignore[import-untyped]

    try:
        if not croniter.is_valid(cron):
            return seen
        times = croniter(cron, _FROM, max_years_between_matches=9)
        due = [times.get_next(float) for _ in range(_SAMPLE)]
    except (CroniterError, ValueError):
        return f"{cron!r} is never due"
    gap = min(later - sooner for sooner, later in itertools.pairwise(due))
    if gap < least_s:
        return f"{cron!r} is due every {gap:.0f} s; at least {least_s} s must lie between two runs"
    return None
