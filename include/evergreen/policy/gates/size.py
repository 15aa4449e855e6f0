"""How large a model may be."""

from __future__ import annotations

from include.evergreen.policy.gates.finding import Finding

_MIB = 2**20


def check_size(size_bytes: int, max_mib: float) -> Finding:
    """Passed up to and including the limit."""
    size_mib = size_bytes / _MIB
    return Finding(
        passed=size_mib <= max_mib,
        seen=f"the bundle has {size_mib:.4g} MiB",
        required=f"at most {max_mib:g} MiB (gates.size.max_mib)",
        evidence={"size_mib": size_mib, "max_mib": max_mib},
    )
