"""What an episode does, drawn from its seed: what lands, which faults strike, and when. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

#: Every fault there is, and what it needs besides Airflow.
KINDS: dict[str, str] = {
    "events duplicated": "",
    "events reordered": "",
    "events delayed": "",
    "events dropped": "",
    "running task cleared": "",
    "old run cleared": "",
    "scheduler killed": "",
    "triggerer killed": "",
    "dag processor killed": "",
    "task killed": "",
    "worker killed": "",
    "MLflow reset": "",
    "MLflow delayed": "",
    "MLflow blackholed": "",
    "S3 reset": "",
    "S3 delayed": "",
    "S3 blackholed": "",
    "ledger connections ended": "postgresql",
    "disk full": "small disk",
    "engine restarted": "engine",
}
#: From the file to the version in production takes about so long: faults strike within it.
LOOP_S = 32.0


@dataclass(frozen=True)
class Landing:
    """A batch of rides that lands; `labels_s` is how much later its labels do."""

    at_s: float
    broken_rows: int
    labels_s: float
    twin_s: float | None  # so much later the same bytes land under another name


@dataclass(frozen=True)
class Strike:
    """A fault, when it strikes, and the seed of what it leaves to chance."""

    at_s: float
    kind: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """All of an episode. The same seed and possibilities give the same plan."""

    seed: int
    landings: tuple[Landing, ...]
    strikes: tuple[Strike, ...] = field(default=())

    @property
    def runtime(self) -> str:
        """What serves the model: an engine's fault needs a deploy that uses the engine."""
        engine = any(KINDS[strike.kind] == "engine" for strike in self.strikes)
        return "docker" if engine else "process"


def possible(*, postgresql: bool, small_disk: bool, engine: bool) -> list[str]:
    """The kinds of fault that an installation with these can suffer."""
    has = {"": True, "postgresql": postgresql, "small disk": small_disk, "engine": engine}
    return [kind for kind, needs in KINDS.items() if has[needs]]


def draw(seed: int, kinds: Sequence[str]) -> Plan:
    """The plan of a seed: 1-2 landings and 2-4 faults.

    One of the faults goes round with the seed, so that a run of seeds meets them all.
    """
    rng = random.Random(seed)
    chosen = [kinds[seed // 2 % len(kinds)]]
    others = [kind for kind in kinds if kind not in chosen]
    chosen += rng.sample(others, rng.randint(1, 3))
    rng.shuffle(chosen)
    landings = [_landing(rng, 0.0)]
    if rng.random() < 0.5:
        landings.append(_landing(rng, rng.uniform(1, 12)))
    strikes = [Strike(rng.uniform(0.5, LOOP_S), kind, rng.randrange(10**6)) for kind in chosen]
    return Plan(seed, tuple(landings), tuple(sorted(strikes, key=lambda strike: strike.at_s)))


def _landing(rng: random.Random, at_s: float) -> Landing:
    return Landing(
        at_s=at_s,
        broken_rows=rng.choice((0, 0, rng.randint(1, 8))),
        labels_s=rng.choice((0.0, 0.0, rng.uniform(1, 8))),
        twin_s=rng.choice((None, None, rng.uniform(0, 6))),
    )
