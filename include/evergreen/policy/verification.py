"""Whether a candidate service proved itself: what was observed in, one `Check` per claim out.

Nothing observed, or something that cannot be compared, is a failed check.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.evergreen.contracts import Check

#: A value this much smaller than the largest of its column is compared on that column's scale:
#: relative to itself, a prediction of 1e-17 would differ from 0 by 100%.
_NEGLIGIBLE = 1e-3
_SHOWN = 10


@dataclass(frozen=True)
class LoadResult:
    """What a load test saw. `p99_ms` is NaN when nothing was answered."""

    requests: int
    failures: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Probe:
    """A malformed request and how it was answered; status 0 means the connection broke."""

    name: str
    status: int


def check_healthy(state: str, waited_s: float, timeout_s: float) -> Check:
    """`state` is 'healthy', or what was seen instead."""
    return Check(
        name="healthy",
        passed=state == "healthy",
        seen=f"{state} after {waited_s:.1f} s",
        required=f"/ping and /health answer 200 within {timeout_s:g} s",
    )


def check_identity(answered: Mapping[str, Any], wanted: Mapping[str, Any]) -> Check:
    """The service says it is the version that was built, by digest."""
    seen = {key: answered.get(key) for key in wanted}
    return Check(
        name="identity",
        passed=bool(wanted) and all(str(seen[key]) == str(wanted[key]) for key in wanted),
        seen=_canonical(seen),
        required=_canonical(wanted),
    )


def check_signature(served: Mapping[str, Any], contract: Mapping[str, Any]) -> Check:
    """The contract that the model was made for is the contract of today's spec."""
    differences = _differences(served, contract, "")
    shown = "; ".join(differences[:_SHOWN])
    more = f" ({len(differences)} in all)" if len(differences) > _SHOWN else ""
    return Check(
        name="signature",
        passed=not differences,
        seen=f"{shown}{more}" if differences else "equal to the contract",
        required="the contract of the spec",
    )


def check_predictions(
    name: str,
    served: Mapping[str, Sequence[Any]],
    wanted: Mapping[str, Sequence[Any]],
    tolerance: float,
) -> Check:
    """Every value equals its counterpart: numbers to a relative tolerance, labels exactly."""
    required = f"the same predictions to {tolerance:g}"
    if not wanted or any(len(values) == 0 for values in wanted.values()):
        return Check(name, passed=False, seen="no golden rows", required=required)
    if set(served) != set(wanted):
        seen = f"outputs {sorted(served)}, not {sorted(wanted)}"
        return Check(name, passed=False, seen=seen, required=required)
    worst = max(_largest_difference(served[key], wanted[key]) for key in wanted)
    rows = len(next(iter(wanted.values())))
    seen = f"largest difference {worst:.3g} on {rows} rows"
    return Check(name, passed=worst <= tolerance, seen=seen, required=required)


def check_refusals(probes: Sequence[Probe]) -> Check:
    """Each malformed request was answered, and with a 4xx."""
    wrong = [f"{p.name}: {p.status or 'no answer'}" for p in probes if not 400 <= p.status < 500]  # noqa: PLR2004 - HTTP
    return Check(
        name="malformed_requests",
        passed=bool(probes) and not wrong,
        seen=", ".join(wrong) or f"{len(probes)} of {len(probes)} refused",
        required="a 4xx for each malformed request",
    )


def check_load(
    load: LoadResult, *, p99_ms: float, min_requests_per_s: float, rounds: int = 1
) -> tuple[Check, Check, Check]:
    """No failed request; the 99th percentile and the rate meet the service levels of the spec.

    `rounds`: which try this was; it is said where it was not the first.
    """
    tried = f" in round {rounds}" if rounds > 1 else ""
    return (
        Check(
            name="load_failures",
            passed=load.failures == 0 and load.requests > 0,
            seen=f"{load.failures} of {load.requests + load.failures} requests failed",
            required="none",
        ),
        Check(
            name="load_p99",
            passed=load.p99_ms <= p99_ms,
            seen=f"{load.p99_ms:.1f} ms (median {load.p50_ms:.1f} ms){tried}",
            required=f"at most {p99_ms:g} ms",
        ),
        Check(
            name="load_rate",
            passed=load.requests_per_s >= min_requests_per_s,
            seen=f"{load.requests_per_s:.0f} requests/s for {load.seconds:.1f} s{tried}",
            required=f"at least {min_requests_per_s:g} requests/s",
        ),
    )


def failure_message(
    model: str, version: int, checks: Sequence[Check], log_lines: str, stage: str = "deploy"
) -> str:
    """Which checks failed, seen against required, and the candidate's last words."""
    failed = [check for check in checks if not check.passed]
    listed = "\n".join(
        f"  {check.name}: {check.seen}; required: {check.required}" for check in failed
    )
    words = f"\nIts last log lines:\n{log_lines}" if log_lines else "\nIt left no log."
    return (
        f"{model} v{version} did not prove itself: {len(failed)} of {len(checks)} checks failed.\n"
        f"{listed}\nWhat answered before still does. Mend the cause and "
        f"run {model}.{stage} by hand with version {version}.{words}"
    )


def _largest_difference(served: Sequence[Any], wanted: Sequence[Any]) -> float:
    if len(served) != len(wanted):
        return math.inf
    numbers = [float(value) for value in wanted if _is_number(value)]
    floor = max((abs(n) for n in numbers if math.isfinite(n)), default=0.0) * _NEGLIGIBLE
    return max(_difference(s, w, floor) for s, w in zip(served, wanted, strict=True))


def _difference(served: Any, wanted: Any, floor: float) -> float:
    if not (_is_number(served) and _is_number(wanted)):
        return 0.0 if type(served) is type(wanted) and served == wanted else math.inf
    if not (math.isfinite(served) and math.isfinite(wanted)):
        return math.inf
    if served == wanted:
        return 0.0
    return float(abs(served - wanted) / max(abs(wanted), floor))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _differences(served: Any, wanted: Any, path: str) -> list[str]:
    if isinstance(served, Mapping) and isinstance(wanted, Mapping):
        keys = sorted(set(served) | set(wanted))
        nested = (
            _differences(served.get(key), wanted.get(key), f"{path}.{key}".lstrip("."))
            for key in keys
        )
        return [difference for found in nested for difference in found]
    if _canonical(served) == _canonical(wanted):
        return []
    return [f"{path or 'contract'} is {_canonical(served)}, the spec says {_canonical(wanted)}"]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
