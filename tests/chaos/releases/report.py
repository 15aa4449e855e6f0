"""The figures of many episodes, by strategy and fault: a table as it stands in the docs."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.releases.episode import Outcome
from tests.chaos.releases.plan import FAULTS, STRATEGIES

_HEAD = (
    "strategy", "fault", "episodes", "released", "aborted or rolled back", "requests", "lost",
    "5xx", "wrong", "refused by the challenger", "slowest answer", "old version back, at worst",
)  # fmt: skip


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Markdown, one line for each pair that was met, and one for all."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    for strategy in STRATEGIES:
        for fault in FAULTS:
            met = [o for o in outcomes if (o.plan.strategy, o.plan.fault) == (strategy, fault)]
            if met:
                lines.append(_line(strategy, fault, met))
    return [*lines, _line("all", "", outcomes)]


def _line(strategy: str, fault: str, met: Sequence[Outcome]) -> str:
    kinds: Counter[str] = sum((outcome.kinds for outcome in met), Counter())
    released = sum(outcome.end == "released" for outcome in met)
    back = [outcome.back_s for outcome in met if outcome.back_s is not None]
    cells = (
        strategy,
        fault,
        len(met),
        released,
        len(met) - released,
        f"{sum(outcome.requests for outcome in met):,}",
        *(kinds[kind] for kind in ("lost", "5xx", "wrong", "refused")),
        f"{max(outcome.slowest_s for outcome in met):.1f} s",
        f"{max(back):.1f} s" if back else "",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def write(outcomes: Sequence[Outcome]) -> None:
    """Into the file that CHAOS_REPORT names, under `releases`; none where it names none."""
    if not os.environ.get("CHAOS_REPORT"):
        return
    path = Path(os.environ["CHAOS_REPORT"])
    document = json.loads(path.read_text()) if path.exists() else {}
    document["releases"] = {
        "seeds": [outcome.plan.seed for outcome in outcomes],
        "broken": [outcome.told() for outcome in outcomes if outcome.broken],
        "table": table(outcomes),
    }
    path.write_text(json.dumps(document, indent=1))
