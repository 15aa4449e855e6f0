"""The bytes of the bundle, as they would lie in the image."""

from __future__ import annotations

from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.gates.size import check_size
from include.evergreen.stages.training.contest import Contest


def size(contest: Contest) -> Finding:
    """All files of the challenger's bundle together against `gates.size`."""
    files = (path for path in contest.bundle.rglob("*") if path.is_file())
    return check_size(sum(path.stat().st_size for path in files), contest.spec.gates.size.max_mib)
