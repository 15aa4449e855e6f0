"""What a gate found, before it is known whether failing it blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from include.evergreen.contracts import GateMode, GateName, GateResult


@dataclass(frozen=True)
class Finding:
    """What was seen against what is required. `passed` is None where there was nothing to look at.

    `evidence` is small JSON (a few kB, no NaN): what the model card draws.
    """

    passed: bool | None
    seen: str
    required: str
    evidence: dict[str, Any] = field(default_factory=dict)


def result_of(name: GateName, mode: GateMode, finding: Finding) -> GateResult:
    """The finding as it stands in the judgement."""
    verdict = {True: "passed", False: "failed", None: "not_applicable"}[finding.passed]
    return GateResult(
        name=name,
        mode=mode,
        verdict=verdict,  # type: ignore[arg-type]
        seen=finding.seen,
        required=finding.required,
        evidence=finding.evidence,
    )


def switched_off(name: GateName) -> GateResult:
    """A gate that the spec turned off: not computed, and said so."""
    return GateResult(name, "off", "off", "not computed", "turned off in gates.modes of the spec")
