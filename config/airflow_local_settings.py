"""Read by every Airflow process as it starts.

`config/` must lie in AIRFLOW_HOME (or be on PYTHONPATH). A project that has such a file already
keeps its own, and adds the import below to it.
"""

import evergreen_start  # type: ignore[import-not-found]  # noqa: F401 - the import is the effect

# Airflow would take every other name here for a setting of its own.
__all__: list[str] = []
