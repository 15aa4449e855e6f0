"""Studies: one search a training, shared by its workers. Optuna is known here only."""

from include.evergreen.adapters.studies.study import (
    Params,
    Studies,
    Study,
    Trial,
    TrialRecord,
)

__all__ = ["Params", "Studies", "Study", "Trial", "TrialRecord"]
