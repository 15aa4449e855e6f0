"""The embedded stack: Airflow and MLflow of one home folder, started, watched over and stopped.

`up`, `down` and `status` act on the stack of one `Settings.home`; several homes on one machine do
not meet. Everything it writes lies under that folder.
"""

from include.evergreen.cli.stack.commands import clean, down, up
from include.evergreen.cli.stack.state import StackState, read_state, stack_settings

__all__ = ["StackState", "clean", "down", "read_state", "stack_settings", "up"]
