"""What a challenger's answers rest on: SHAP values of raw columns, by asking the model itself.

The model is asked through `Predictor.predict`, as a client asks it. shap's own explainer of trees
is not used: it takes boosted trees with categorical columns, and is wrong without a word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from include.evergreen.model_code.predictor import Predictor
from include.evergreen.stages.bundle import columns_of
from include.evergreen.stages.training.recipes import limited
from include.evergreen.stages.training.scoring import Prediction

#: Rows that the model is asked about at most: about a second of a boosted ensemble's time.
EVALUATIONS = 120_000
#: Rows that stand for "not known": a column's value is taken from each of them in turn.
BACKGROUND, FEWEST_BACKGROUND = 24, 4
#: More rows make neither the order of the columns nor a plot any clearer.
MOST_ROWS, USUAL_ROWS, FEWEST_ROWS = 160, 40, 5
#: Beyond this the masks of one row are gigabytes.
MOST_COLUMNS = 1000
_BINARY = 2

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """SHAP values of some rows, learned from and held out.

    Args:
        columns: the raw columns, in the contract's order.
        output: what is explained, one a column of `values`' last axis: `prediction`, or the class.
        values: [n_rows, n_columns, n_outputs] in units of the output.
        base: [n_outputs] the mean answer over the background.
        answers: [n_rows, n_outputs] what the model says of the rows: base plus the row's values.
        rows: [n_rows] the rows explained; the first `n_learned` of them were learned from.
        background_rows: how many rows stand for "not known".
        evaluations: rows that the model was asked about.
    """

    columns: tuple[str, ...]
    output: tuple[str, ...]
    values: npt.NDArray[np.float64]
    base: npt.NDArray[np.float64]
    answers: npt.NDArray[np.float64]
    rows: pl.DataFrame
    n_learned: int
    background_rows: int
    evaluations: int

    def importances(self) -> dict[str, float]:
        """Mean |SHAP| of each column (over the classes, too), the largest first."""
        mean = np.abs(self.values).mean(axis=(0, 2))
        order = sorted(range(len(mean)), key=lambda i: (-mean[i], i))
        return {self.columns[i]: float(mean[i]) for i in order}


def explain(
    predictor: Predictor, learned: pl.DataFrame, held_out: pl.DataFrame, *, seed: int
) -> Explanation:
    """SHAP values by permutation, for as many rows as `EVALUATIONS` pays for; the same by seed.

    A holdout may be two weeks of a year, and says little of a season. So half of the rows are of
    those learned from.

    Args:
        predictor: the challenger.
        learned: rows it learned from; some of them, drawn by chance, are the background.
        held_out: rows it has not seen.
        seed: of the permutations and the draws.
    """
    from include.evergreen.stages.training.card.plain_shap import Independent, PermutationExplainer

    names = tuple(predictor.contract["columns"])
    size = plan_size(len(names))
    rng = np.random.default_rng(seed)
    background = drawn(learned, size.background, rng)
    seen, unseen = (drawn(part, size.rows // 2, rng) for part in (learned, held_out))
    explained = pl.concat([seen.select(names), unseen.select(names)])
    pool = columns_of(pl.concat([explained, background.select(names)]), predictor.contract)
    coded = [_coded(pool[name]) for name in names]
    cells = np.column_stack([codes for codes, _ in coded]).astype(np.float64)
    asked = 0

    def ask(wanted: Array) -> Array:
        """[n, n_outputs] answers to rows given as codes."""
        nonlocal asked
        asked += len(wanted)
        codes = wanted.astype(np.int64)
        columns = {
            name: take(codes[:, i])
            for i, (name, (_, take)) in enumerate(zip(names, coded, strict=True))
        }
        return _outputs(predictor.predict(columns), predictor.classes)

    with _seeded(seed), limited(threads=1, cells=0):
        masker = Independent(cells[explained.height :], max_samples=background.height)
        explainer = PermutationExplainer(ask, masker, seed=seed)
        found = explainer(cells[: explained.height], max_evals=2 * len(names) + 1, silent=True)
        answers = ask(cells[: explained.height])
    return Explanation(
        columns=names,
        output=_output_names(predictor.classes),
        values=np.asarray(found.values).reshape(explained.height, len(names), -1),
        base=np.asarray(found.base_values).reshape(explained.height, -1)[0],
        answers=answers,
        rows=explained,
        n_learned=seen.height,
        background_rows=background.height,
        evaluations=asked,
    )


@dataclass(frozen=True)
class Size:
    """How many rows are explained, each against how many of the background."""

    rows: int
    background: int


def plan_size(n_columns: int) -> Size:
    """As much as `EVALUATIONS` pays for: fewer of both where the columns are many."""
    masks = 2 * n_columns + 1
    background = min(BACKGROUND, max(FEWEST_BACKGROUND, EVALUATIONS // (masks * USUAL_ROWS)))
    return Size(min(MOST_ROWS, max(FEWEST_ROWS, EVALUATIONS // (masks * background))), background)


def drawn(frame: pl.DataFrame, n_rows: int, rng: np.random.Generator) -> pl.DataFrame:
    """So many rows of a frame (or all it has) in their order, drawn by chance.

    Not evenly spread: among hourly rows every 648th is of the same hour of the day.
    """
    if frame.height <= n_rows:
        return frame
    return frame[np.sort(rng.choice(frame.height, n_rows, replace=False))]


def _coded(values: Any) -> tuple[Array, Callable[[Array], Any]]:
    """Values as whole numbers, equal ones the same, and what turns such numbers into values."""
    if isinstance(values, list):
        known = list(dict.fromkeys(values))
        index = {value: code for code, value in enumerate(known)}
        codes = np.array([index[value] for value in values], dtype=np.int64)
        return codes, lambda wanted: [known[code] for code in wanted.tolist()]
    distinct, codes = np.unique(values, return_inverse=True)
    return codes, lambda wanted: distinct[wanted]


def _outputs(answer: Prediction, classes: Sequence[Any] | None) -> Array:
    """[n_rows, n_outputs]: the prediction, the second class's probability, or that of each."""
    return np.column_stack(
        [np.asarray(answer[name], dtype=np.float64) for name in _output_names(classes)]
    )


def _output_names(classes: Sequence[Any] | None) -> tuple[str, ...]:
    if classes is None:
        return ("prediction",)
    explained = classes[1:] if len(classes) == _BINARY else classes
    return tuple(f"probability_{label}" for label in explained)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Shap draws from numpy's shared generator: it is put back to where it was."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
