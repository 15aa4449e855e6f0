"""Trees of scikit-learn as nodes of ONNX, deciding every row as they do.

A number goes left if it is at most the threshold. Rows are float32 and scikit-learn's thresholds
are float64: each is rounded down to a float32, and then no row decides otherwise. A category goes
left if its code is in a set. Missing goes where the node says; so does a code the fit never saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from include.evergreen.adapters.onnx_models.graph import MATRIX, ML, Graph

_LEQ, _MEMBER = 0, 6
_SUM = 1
_BITS = 32
#: A code that no row has: the set of a node to whose left only missing goes may not be empty.
_NO_CODE = -1.0


def floor32(thresholds: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above each threshold."""
    wide = np.asarray(thresholds, dtype=np.float64)
    near = wide.astype(np.float32)
    below = np.nextafter(near, np.float32(-np.inf))
    return np.where(near.astype(np.float64) > wide, below, near)


@dataclass(frozen=True)
class Tree:
    """One tree as arrays by node, the root first. A leaf's `weight` goes to one target.

    `codes[i]` is the set of codes that go left at node i, None where it compares a number.
    """

    target: int
    is_leaf: npt.NDArray[np.bool_]
    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float32]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    missing_left: npt.NDArray[np.bool_]
    weight: npt.NDArray[np.float64]
    codes: Mapping[int, list[int]] = field(default_factory=dict)


def add_trees(graph: Graph, trees: Iterable[Tree], n_targets: int) -> str:
    """A node that sums, by target, the weights of the leaves a row falls into."""
    numbers: dict[str, list[int]] = {
        "nodes_featureids": [], "nodes_truenodeids": [], "nodes_trueleafs": [],
        "nodes_falsenodeids": [], "nodes_falseleafs": [], "nodes_missing_value_tracks_true": [],
        "tree_roots": [], "leaf_targetids": [],
    }  # fmt: skip
    wide: dict[str, list[Any]] = {"modes": [], "splits": [], "weights": [], "members": []}
    for tree in trees:
        _append(tree, numbers, wide)
    tensors: dict[str, Any] = {
        "nodes_modes": _tensor(wide["modes"], np.uint8),
        "nodes_splits": _tensor(wide["splits"], np.float32),
        "leaf_weights": _tensor(wide["weights"], np.float32),
    }
    if wide["members"]:
        tensors["membership_values"] = _tensor(wide["members"], np.float32)
    return graph.add(
        "TreeEnsemble",
        [MATRIX],
        domain=ML,
        n_targets=n_targets,
        aggregate_function=_SUM,
        post_transform=0,
        **tensors,
        **numbers,
    )


def _append(tree: Tree, numbers: dict[str, list[int]], wide: dict[str, list[Any]]) -> None:
    """Inner nodes and leaves are numbered apart, each over the whole ensemble."""
    first_node, first_leaf = len(wide["modes"]), len(wide["weights"])
    number = np.where(
        tree.is_leaf,
        first_leaf + np.cumsum(tree.is_leaf) - 1,
        first_node + np.cumsum(~tree.is_leaf) - 1,
    )
    inner = np.flatnonzero(~tree.is_leaf)
    numbers["tree_roots"].append(first_node)
    wide["weights"] += tree.weight[tree.is_leaf].tolist()
    numbers["leaf_targetids"] += [tree.target] * int(tree.is_leaf.sum())
    if inner.size == 0:
        _append_single_leaf(first_leaf, numbers, wide)
        return
    numbers["nodes_featureids"] += tree.feature[inner].tolist()
    for side, towards in (("true", tree.left[inner]), ("false", tree.right[inner])):
        numbers[f"nodes_{side}nodeids"] += number[towards].tolist()
        numbers[f"nodes_{side}leafs"] += tree.is_leaf[towards].astype(int).tolist()
    numbers["nodes_missing_value_tracks_true"] += tree.missing_left[inner].astype(int).tolist()
    sets = [tree.codes.get(int(node)) for node in inner]
    wide["modes"] += [_LEQ if codes is None else _MEMBER for codes in sets]
    wide["splits"] += np.where([codes is None for codes in sets], tree.threshold[inner], 0).tolist()
    for codes in sets:
        if codes is not None:
            members: list[float] = [*codes] or [_NO_CODE]
            wide["members"] += [*members, np.nan]


def _append_single_leaf(
    leaf: int, numbers: dict[str, list[int]], wide: dict[str, list[Any]]
) -> None:
    """A tree needs a node: one both of whose sides are its leaf."""
    numbers["nodes_featureids"].append(0)
    for side in ("true", "false"):
        numbers[f"nodes_{side}nodeids"].append(leaf)
        numbers[f"nodes_{side}leafs"].append(1)
    numbers["nodes_missing_value_tracks_true"].append(0)
    wide["modes"].append(_LEQ)
    wide["splits"].append(0.0)


def _tensor(values: list[Any], kind: type) -> Any:
    return numpy_helper.from_array(np.asarray(values, dtype=kind), "")


# --- scikit-learn's two kinds of trees ----------------------------------------------------------


def boosted_trees(estimator: Any, codes: Mapping[int, int]) -> list[Tree]:
    """The trees of a fitted HistGradientBoosting estimator; their leaves sum to its raw score.

    Args:
        estimator: fitted.
        codes: how many codes a categorical column of the matrix has, by its index.
    """
    columns = _ColumnsSeen(estimator, codes)
    return [
        _boosted_tree(predictor, target, columns)
        for round_ in estimator._predictors
        for target, predictor in enumerate(round_)
    ]


class _ColumnsSeen:
    """The columns as the trees see them: categories first and numbered anew."""

    def __init__(self, estimator: Any, codes: Mapping[int, int]) -> None:
        n_features = estimator.n_features_in_
        is_categorical = estimator.is_categorical_
        if is_categorical is None:
            is_categorical = np.zeros(n_features, dtype=bool)
        categorical = np.flatnonzero(is_categorical)
        self.order = np.concatenate([categorical, np.flatnonzero(~is_categorical)])
        self._codes = codes
        self._known: dict[int, list[float]] = {}
        if categorical.size:
            encoder = estimator._preprocessor.named_transformers_["encoder"]
            for index, known in zip(categorical.tolist(), encoder.categories_, strict=True):
                self._known[index] = known.tolist()

    def codes_left(self, column: int, bits: npt.NDArray[np.uint32], *, unknown: bool) -> list[int]:
        """Which codes go left, where those the fit knows do if their bit is set."""
        place = {known: number for number, known in enumerate(self._known[column])}
        left = []
        for code in range(self._codes[column]):
            number = place.get(float(code))
            if number is None:
                goes_left = unknown
            else:
                goes_left = bool((int(bits[number // _BITS]) >> (number % _BITS)) & 1)
            if goes_left:
                left.append(code)
        return left


def _boosted_tree(predictor: Any, target: int, columns: _ColumnsSeen) -> Tree:
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    feature = columns.order[nodes["feature_idx"]]
    missing_left = nodes["missing_go_to_left"].astype(bool)
    bitsets = predictor.raw_left_cat_bitsets
    codes = {
        int(index): columns.codes_left(
            int(feature[index]),
            bitsets[nodes["bitset_idx"][index]],
            unknown=bool(missing_left[index]),
        )
        for index in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~is_leaf)
    }
    return Tree(
        target,
        is_leaf,
        feature.astype(np.int64),
        floor32(nodes["num_threshold"]),
        nodes["left"].astype(np.int64),
        nodes["right"].astype(np.int64),
        missing_left,
        nodes["value"].astype(np.float64),
        codes,
    )


def forest_trees(estimator: Any, column: int) -> list[Tree]:
    """The trees of a fitted random forest; their leaves sum to its mean of one output column.

    Args:
        estimator: fitted.
        column: 0 for a regression, the index of a class for its share.
    """
    members = [member.tree_ for member in estimator.estimators_]
    return [_forest_tree(tree, column, len(members)) for tree in members]


def _forest_tree(tree: Any, column: int, n_trees: int) -> Tree:
    values = tree.value[:, 0, 0 if tree.value.shape[2] == 1 else column]
    return Tree(
        0,
        tree.children_left == -1,
        tree.feature.astype(np.int64),
        floor32(tree.threshold),
        tree.children_left.astype(np.int64),
        tree.children_right.astype(np.int64),
        tree.missing_go_to_left.astype(bool),
        values.astype(np.float64) / n_trees,
    )
