"""What every Airflow process does first: Evergreen is importable, its heavy libraries are imported.

`airflow_local_settings.py` imports this file, so that no component needs a PYTHONPATH for the
project's root; the last import matters only where Airflow's database is SQLite.
"""

import sys
from pathlib import Path

_project_root = str(Path(__file__).resolve().parents[1])
if _project_root not in sys.path:
    sys.path.append(_project_root)  # last: nothing of the project's own is shadowed

import include.evergreen.preload  # noqa: E402
import include.evergreen.sqlite_clock  # noqa: E402, F401 - the imports are the effect
