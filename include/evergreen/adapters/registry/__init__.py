"""The registry: runs, versions and aliases. MLflow is known here only."""

from include.evergreen.adapters.registry.packaging import RawColumn, RawColumns
from include.evergreen.adapters.registry.registry import CHALLENGER, CHAMPION, STAGING, Registry
from include.evergreen.adapters.registry.versions import VersionInfo

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "STAGING",
    "RawColumn",
    "RawColumns",
    "Registry",
    "VersionInfo",
]
