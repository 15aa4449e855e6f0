"""The parts of a graph that all models share: its input, its output, and what comes in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from include.evergreen.effects import read

#: Names of a graph's input [n_rows, n_features] and of its one output.
MATRIX, PREDICTION, PROBABILITIES = "matrix", "prediction", "probabilities"
ML = "ai.onnx.ml"
_IR_VERSION, _OPSET, _ML_OPSET = 10, 21, 5


class Graph:
    """A graph under construction: nodes in the order they run, and the constants they use."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    @read
    def add(self, kind: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Append a node; the name of what it computes."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(kind, list(inputs), [name], domain=domain, **attributes)
        )
        return name

    @read
    def constant(self, values: npt.ArrayLike, kind: type = np.float32) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    @read
    def finish(self, last: str, *, output: str, n_features: int, n_outputs: int) -> bytes:
        """The model whose one output is what the node `last` computes: [n_rows, n_outputs]."""
        self._nodes.append(helper.make_node("Identity", [last], [output]))
        shape = [("rows", n_features), ("rows", n_outputs)]
        given, made = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(sizes))
            for name, sizes in zip((MATRIX, output), shape, strict=True)
        )
        graph = helper.make_graph(self._nodes, "model", [given], [made], self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(ML, _ML_OPSET)]
        model: ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        checker.check_model(model)
        return bytes(model.SerializeToString())


def probabilities_of(graph: Graph, raw: str, n_classes: int) -> str:
    """From the raw scores of a classifier (one column where there are two classes) to shares."""
    if n_classes > 2:  # noqa: PLR2004 - two classes have one score
        return graph.add("Softmax", [raw], axis=1)
    return both_shares(graph, graph.add("Sigmoid", [raw]))


def both_shares(graph: Graph, second: str) -> str:
    """[n_rows, 2] from the share of the second of two classes."""
    first = graph.add("Sub", [graph.constant([1.0]), second])
    return graph.add("Concat", [first, second], axis=1)


def renamed(model: ModelProto, output: str) -> ModelProto:
    """A converted model with its last output, alone, under our name."""
    last = model.graph.output[-1]
    for node in model.graph.node:
        node.output[:] = [output if name == last.name else name for name in node.output]
        node.input[:] = [output if name == last.name else name for name in node.input]
    last.name = output
    del model.graph.output[:-1]
    checker.check_model(model)
    return model
