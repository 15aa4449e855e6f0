"""What befalls a container: real signals, a real `docker stop`, and a model that goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from docker.errors import APIError

from include.evergreen.contracts import RunningService
from tests.chaos.releases.plan import Fault

_SIGNALS: dict[Fault, signal.Signals] = {"crash": signal.SIGKILL, "hang": signal.SIGSTOP}


def strike(fault: Fault, service: RunningService, engine: Any, slow_s: float) -> bool:
    """Whether it struck: a service that is gone already cannot be hit."""
    if fault in ("nan", "slow"):
        told = {"nan": True} if fault == "nan" else {"slow_s": slow_s}
        writing = _file(service).with_suffix(".writing")
        writing.write_text(json.dumps(told))
        writing.replace(_file(service))
        return True
    try:
        if fault == "stopped":
            engine.stop(service.service_id, timeout=10)
            return True
        pid = engine.inspect_container(service.service_id)["State"]["Pid"]
        if pid:  # 0 of one that ended, and the signal would be for this very process and its group
            os.kill(pid, _SIGNALS[fault])
    except (APIError, ProcessLookupError):
        return False
    return bool(pid)


def heal(service: RunningService, engine: Any) -> None:
    """Nothing of a fault is left for whoever comes next."""
    _file(service).unlink(missing_ok=True)
    with contextlib.suppress(APIError, ProcessLookupError):
        pid = engine.inspect_container(service.service_id)["State"]["Pid"]
        if pid:
            os.kill(pid, signal.SIGCONT)


def _file(service: RunningService) -> Path:
    return Path(service.spool) / ".fault"
