"""How a service's container is hardened: the whole host configuration stands here.

Who may create containers is root on the host, so nothing of it comes from a request, a spec or a
bundle except three bounded numbers (memory, CPUs, processes).
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from include.evergreen.adapters.runtime.interface import INSTALLATION, ServiceOrder

PORT = 8080
SERVICE_UID = (
    10001  # where the caller is root; otherwise the caller's own, so that both own the spool
)
CONFIGURATION_LABEL = "evergreen.configuration"
_SECOND_NS = 1_000_000_000
_TMP_MIB = 64

#: Asks over a bare socket: importing an HTTP client every few seconds would cost more than serving.
_HEALTH = (
    "import socket;"
    f"s=socket.create_connection(('127.0.0.1',{PORT}),3);"
    "s.sendall(b'GET /ping HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n');"
    "raise SystemExit(b' 200 ' not in s.recv(64))"
)


def service_user() -> tuple[int, int]:
    """The user and group a service runs as: never root, and able to write the spool."""
    uid, gid = os.getuid(), os.getgid()
    return (SERVICE_UID, SERVICE_UID) if uid == 0 else (uid, gid)


def environment(order: ServiceOrder) -> dict[str, str]:
    """What the service sees: what it serves, and as many threads as it may use."""
    threads = str(max(1, int(order.limits.cpus)))
    return {
        "EVERGREEN_BUNDLE": "/bundle",
        "EVERGREEN_MANIFEST_DIGEST": order.image.manifest_digest,
        "EVERGREEN_MODEL": order.image.model,
        "EVERGREEN_VERSION": str(order.image.version),
        "EVERGREEN_SPOOL": "/spool",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        **order.env,
    }


def labels(order: ServiceOrder, installation: str, network: str) -> dict[str, str]:
    """What the container is found by, and a digest of how it was asked for."""
    asked = json.dumps(
        [
            order.limits.memory_mib,
            order.limits.cpus,
            order.limits.pids,
            str(order.spool),
            sorted(environment(order).items()),
            service_user(),
            network,
        ]
    )
    return {
        INSTALLATION: installation,
        "evergreen.model": order.image.model,
        "evergreen.version": str(order.image.version),
        "evergreen.environment": order.environment,
        "evergreen.manifest": order.image.manifest_digest,
        CONFIGURATION_LABEL: hashlib.sha256(asked.encode()).hexdigest()[:16],
    }


def host_name(service_name: str) -> str:
    """What a service is called on its network; a part of a name there has 63 letters at most."""
    return f"s-{hashlib.sha256(service_name.encode()).hexdigest()[:16]}"


def host_config(order: ServiceOrder, *, network: str, cpus: float) -> dict[str, Any]:
    """Arguments of `APIClient.create_host_config`."""
    memory = order.limits.memory_mib * 2**20
    return {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "privileged": False,
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(cpus * 1e9),
        "pids_limit": order.limits.pids,
        "tmpfs": {"/tmp": f"size={_TMP_MIB}m,mode=1777,noexec,nosuid,nodev"},  # noqa: S108 - inside the container
        "mounts": [
            {"Type": "bind", "Source": str(order.spool), "Target": "/spool", "ReadOnly": False}
        ],
        "network_mode": network,
        "dns": ["127.0.0.1"],  # the engine would ask this machine's name server on its behalf
        "restart_policy": {"Name": "no"},
        "log_config": {
            "type": "json-file",
            "config": {"max-size": "10m", "max-file": "3"},
        },
    }


def healthcheck() -> dict[str, Any]:
    """Docker's own health check: a request for /ping every five seconds."""
    return {
        "test": ["CMD", "/opt/serving/bin/python", "-I", "-S", "-c", _HEALTH],
        "interval": 5 * _SECOND_NS,
        "timeout": 4 * _SECOND_NS,
        "retries": 3,
        "start_period": 30 * _SECOND_NS,
    }
