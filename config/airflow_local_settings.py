"""Read by every Airflow process; imports the heavy libraries once, in the scheduler alone.

`config/` must be on PYTHONPATH (or lie in AIRFLOW_HOME). A project that has such a file already
adds the imports below to its own; the second matters only where Airflow's database is SQLite.
"""

import include.evergreen.preload
import include.evergreen.sqlite_clock  # noqa: F401 - the imports are the effect

# Airflow would take every other name here for a setting of its own.
__all__: list[str] = []
