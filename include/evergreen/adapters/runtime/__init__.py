"""Where a model answers: as a hardened container, or as a plain process, behind one interface.

`open_runtime` chooses and says why; the rest of the code knows only `Runtime`.
"""

from include.evergreen.adapters.runtime.choice import open_runtime, runtime_of
from include.evergreen.adapters.runtime.interface import (
    PATIENCE_S,
    PROBE_HEADER,
    SMALL_BODY_BYTES,
    DoorSettings,
    Environment,
    Limits,
    Runtime,
    ServiceOrder,
    ServiceState,
    StoredImage,
    Traffic,
    service_name,
)

__all__ = [
    "PATIENCE_S",
    "PROBE_HEADER",
    "SMALL_BODY_BYTES",
    "DoorSettings",
    "Environment",
    "Limits",
    "Runtime",
    "ServiceOrder",
    "ServiceState",
    "StoredImage",
    "Traffic",
    "open_runtime",
    "runtime_of",
    "service_name",
]
