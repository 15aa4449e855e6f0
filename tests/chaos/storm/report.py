"""The figures of many episodes, per kind of fault."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.storm.episode import Outcome
from tests.chaos.storm.plan import KINDS


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How often each kind struck, what was lost, and how long it took to be healthy again.

    The time is told of the last fault of an episode, from its end on; it includes what the model's
    loop had left to do anyway.
    """
    return {
        "at": time.strftime("%Y-%m-%d"),
        "episodes": len(outcomes),
        "seeds": {
            database: sorted(o.seed for o in outcomes if o.database == database)
            for database in sorted({o.database for o in outcomes})
        },
        "broken": [o.seed for o in outcomes if o.broken],
        "requests": {
            "answered": sum(o.answered for o in outcomes),
            "lost": sum(o.lost for o in outcomes),
            "while the engine was down": sum(o.engine_down for o in outcomes),
        },
        "healthy_s": _spread([o.healthy_s for o in outcomes]),
        "seconds": _spread([o.seconds for o in outcomes]),
        "faults": {kind: _of_kind(kind, outcomes) for kind in KINDS},
    }


def _of_kind(kind: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    met = [o for o in outcomes if kind in o.faults]
    return {
        "times": len(met),
        "episodes_broken": sum(bool(o.broken) for o in met),
        "requests_lost": sum(o.lost for o in met),
        "healthy_s": _spread([o.healthy_s for o in met if o.last == kind]),
    }


def _spread(seconds: Sequence[float]) -> dict[str, Any]:
    if not seconds:
        return {"of": 0, "median": None, "worst": None}
    return {
        "of": len(seconds),
        "median": round(statistics.median(seconds), 1),
        "worst": round(max(seconds), 1),
    }


def write(outcomes: Sequence[Outcome]) -> None:
    """Into the file that CHAOS_REPORT names, under `storm`, beside what the sweep says there."""
    if not os.environ.get("CHAOS_REPORT"):
        return
    path = Path(os.environ["CHAOS_REPORT"])
    document = json.loads(path.read_text()) if path.exists() else {}
    document["storm"] = summary(outcomes)
    path.write_text(json.dumps(document, indent=1))
