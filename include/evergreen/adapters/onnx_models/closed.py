"""A graph that may be served is closed: it holds all its numbers, and only operators of ONNX.

Written when a model is made, and served only with the digest it had then: what is refused here
never becomes a version.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

from include.evergreen.adapters.onnx_models.graph import MATRIX, ML, PREDICTION, PROBABILITIES

_DOMAINS = {"", "ai.onnx", ML}
#: More than any estimator of ours; a forest of a thousand deep trees has about half of it.
MOST_BYTES = 2**30


def why_not_closed(model: ModelProto) -> str:
    """What of it a service may not load; empty for a graph that may be served."""
    size = model.ByteSize()
    if size > MOST_BYTES:
        return f"it has {size:,} bytes, and at most {MOST_BYTES:,} are served"
    if model.functions:
        return f"it brings {len(model.functions)} functions of its own"
    given = [value.name for value in model.graph.input]
    made = [value.name for value in model.graph.output]
    if given != [MATRIX] or made not in ([PREDICTION], [PROBABILITIES]):
        return f"it makes {made} of {given}"
    for graph in _graphs(model.graph):
        foreign = {node.domain for node in graph.node} - _DOMAINS
        if foreign:
            return f"it needs operators of {', '.join(sorted(foreign))}"
        if any(_is_elsewhere(tensor) for tensor in _tensors(graph)):
            return "its numbers are in another file"
    return ""


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *_single(attribute)):
                yield from _graphs(inner)


def _single(attribute: AttributeProto) -> list[GraphProto]:
    return [attribute.g] if attribute.HasField("g") else []


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            yield attribute.t
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _is_elsewhere(tensor: TensorProto) -> bool:
    return bool(tensor.external_data) or tensor.data_location == TensorProto.EXTERNAL
