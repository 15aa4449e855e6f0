"""Where a model answers: as a hardened container, or as a plain process, behind one interface.

`open_runtime` chooses and says why; the rest of the code knows only `Runtime`.
"""

from include.evergreen.adapters.runtime.choice import open_runtime, runtime_of
from include.evergreen.adapters.runtime.interface import (
    PROBE_HEADER,
    Limits,
    Runtime,
    ServiceOrder,
    ServiceState,
    StoredImage,
    service_name,
)

__all__ = [
    "PROBE_HEADER",
    "Limits",
    "Runtime",
    "ServiceOrder",
    "ServiceState",
    "StoredImage",
    "open_runtime",
    "runtime_of",
    "service_name",
]
