"""Draws a study as PNG files, without a screen; what has too little to draw is left out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import optuna
from matplotlib import pyplot as plt
from optuna.visualization import matplotlib as drawn

log = logging.getLogger(__name__)

_DPI = 100
_SIZE_INCHES = (9.0, 5.0)


def _importances(study: optuna.Study) -> Any:
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return drawn.plot_param_importances(study, evaluator=evaluator)


_PLOTS: dict[str, Callable[[optuna.Study], Any]] = {
    "optimization_history": drawn.plot_optimization_history,
    "scores_by_fold": drawn.plot_intermediate_values,
    "timeline": drawn.plot_timeline,
    "param_importances": _importances,
}


def write_plots(study: optuna.Study, directory: Path) -> list[Path]:
    """The study's plots in `directory`; one that cannot be drawn is logged and left out."""
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's notices about its own plots
        plt.switch_backend("Agg")
        for name, draw in _PLOTS.items():
            try:
                draw(study)
            except (ValueError, RuntimeError, ZeroDivisionError) as error:
                log.info("No plot %s: %s", name, error)
                continue
            finally:
                figure = plt.gcf()
            figure.set_size_inches(*_SIZE_INCHES)
            path = directory / f"{name}.png"
            figure.savefig(path, dpi=_DPI, bbox_inches="tight")
            plt.close("all")
            written.append(path)
        plt.close("all")
    return written
