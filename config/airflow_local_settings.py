"""Read by every Airflow process; imports the heavy libraries once, in the scheduler alone.

`config/` must be on PYTHONPATH (or lie in AIRFLOW_HOME). A project that has such a file already
adds the one import below to its own.
"""

import include.evergreen.preload  # noqa: F401 - the import is the effect

# Airflow would take every other name here for a setting of its own.
__all__: list[str] = []
