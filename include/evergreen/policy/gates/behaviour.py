"""Whether a model does what the domain expects of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from include.evergreen.policy.gates.finding import Finding

_TOLD = 10
_WORDS = {
    "same": "does not change",
    "not_lower": "is not lower",
    "not_higher": "is not higher",
}


@dataclass(frozen=True)
class Observed:
    """One expectation on the rows it was tried on; `worst` is the row that breaks it most."""

    name: str
    column: str
    expect: str
    n_rows: int
    violations: int
    max_violations: float
    worst: dict[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        return self.violations / self.n_rows if self.n_rows else 0.0

    @property
    def holds(self) -> bool:
        return self.share <= self.max_violations


def check_behaviour(observed: Sequence[Observed]) -> Finding:
    """Failed if one expectation is broken by a larger share of its rows than it allows."""
    if not observed:
        return Finding(None, "gates.behaviour has no expectations", "what the spec expects")
    required = "; ".join(_required(one) for one in observed[:_TOLD]) + _more(observed)
    tried = [one for one in observed if one.n_rows]
    if not tried:
        return Finding(None, "no row of the holdout has a value in the columns", required)
    broken = [one for one in tried if not one.holds]
    untried = len(observed) - len(tried)
    seen = "; ".join(_seen(one) for one in broken[:_TOLD]) + _more(broken)
    calm = f"{len(tried)} of {len(observed)} expectations hold"
    if untried:
        calm += f", {untried} had no row to be tried on"
    return Finding(
        passed=not broken,
        seen=seen or calm,
        required=required,
        evidence={"expectations": [_row(one) for one in observed]},
    )


def _required(one: Observed) -> str:
    return (
        f"{one.name}: the answer {_WORDS[one.expect]} with '{one.column}' in all but "
        f"{one.max_violations:.1%} of the rows"
    )


def _seen(one: Observed) -> str:
    text = f"{one.name}: {one.violations:,} of {one.n_rows:,} rows ({one.share:.1%}) break it"
    if one.worst:
        worst = one.worst
        text += (
            f", such as {worst['before']} to {worst['after']} where '{one.column}' goes from "
            f"{worst['from']} to {worst['to']}"
        )
    return text


def _more(found: Sequence[Observed]) -> str:
    return f"; and {len(found) - _TOLD:,} more" if len(found) > _TOLD else ""


def _row(one: Observed) -> dict[str, Any]:
    return {
        "name": one.name,
        "column": one.column,
        "expect": one.expect,
        "rows": one.n_rows,
        "violations": one.violations,
        "share": one.share,
        "max_violations": one.max_violations,
        "holds": one.holds,
        "worst": one.worst,
    }
