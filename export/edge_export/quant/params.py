"""From histograms to the quantization parameters of each tensor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.graph import Graph, attribute, default_opset
from edge_export.quant.ranges import ChannelRanges, Elementwise, Histogram, choose_range, params_of_range
from edge_export.run import open_session, run
from edge_export.state import QuantParams

__all__ = ["channel_axis", "reading_function", "search_params"]

# Each value they make depends on one value of each input, and on constants.
_ELEMENTWISE = frozenset(
    {
        *(
            "Sigmoid",
            "Tanh",
            "Erf",
            "HardSigmoid",
            "HardSwish",
            "Softplus",
            "Gelu",
            "Mish",
            "Relu",
            "LeakyRelu",
            "Clip",
        ),
        *(
            "Exp",
            "Neg",
            "Abs",
            "Sqrt",
            "Elu",
            "Selu",
            "Celu",
            "Softsign",
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Pow",
            "Min",
            "Max",
        ),
    }
)


def search_params(
    graph: Graph, ranges: Mapping[str, Histogram], channels: Mapping[str, ChannelRanges] | None = None
) -> dict[str, QuantParams]:
    """Return uint8 parameters for every tensor that has a histogram; `channels` tell which channels are outliers."""
    found = {}
    for name, histogram in ranges.items():
        low, high, method = choose_range(histogram, reading_function(graph, name))
        outliers = channels[name].outliers() if channels and name in channels else ()
        found[name] = params_of_range(low, high, method, outliers)
    return found


def channel_axis(graph: Graph, name: str) -> int | None:
    """Return the axis along which a tensor's readers with weights see its channels; None where none has weights."""
    for node in graph.readers.get(name, []):
        if node.input[0] == name and len(node.input) > 1 and node.input[1] in graph.weights:
            if node.op_type == "Conv":
                return 1
            if node.op_type == "MatMul" or (node.op_type == "Gemm" and not attribute(node, "transA", 0)):
                return -1
    return None


def reading_function(graph: Graph, name: str) -> Elementwise | None:
    """Return what becomes of a tensor's values before anything else sees them, None where nothing elementwise does.

    That is the one value through which all that is made of the tensor by elementwise nodes and scalar constants goes
    on: x * sigmoid(x), x * clip(x / 6 + 0.5, 0, 1), 0.5 x (1 + erf(x / sqrt 2)), a sigmoid.
    """
    if name in graph.outputs:
        return None
    inside: set[str] = {name}  # values made of the tensor alone
    nodes: list[onnx.NodeProto] = []
    exits: list[str] = []
    waiting = [name]
    while waiting:
        value = waiting.pop(0)
        readers = graph.readers.get(value, [])
        if value in graph.outputs or not all(_elementwise(graph, node) for node in readers) or not readers:
            exits.append(value)
            continue
        for node in readers:
            made = node.output[0]
            if made not in inside and all(item in inside or item in graph.weights for item in node.input if item):
                inside.add(made)
                nodes.append(node)
                waiting.append(made)
    # a reader that takes in something else as well sees the value as it is
    for value in inside:
        if value not in exits and any(node.output[0] not in inside for node in graph.readers.get(value, [])):
            exits.append(value)
    if not nodes or len(exits) != 1 or exits[0] == name:
        return None
    return _as_function(graph, name, nodes, exits[0])


def _elementwise(graph: Graph, node: onnx.NodeProto) -> bool:
    scalars = all(int(np.prod(graph.weights[item].dims)) == 1 for item in node.input if item in graph.weights)
    return node.domain in ("", "ai.onnx") and node.op_type in _ELEMENTWISE and scalars


def _as_function(graph: Graph, name: str, nodes: list[onnx.NodeProto], result: str) -> Elementwise:
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes,
            "reader",
            [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)],
            [onnx.helper.make_value_info(result, onnx.TypeProto())],
            [
                graph.weights[item]
                for item in dict.fromkeys(i for node in nodes for i in node.input)
                if item in graph.weights
            ],
        ),
        opset_imports=[onnx.helper.make_opsetid("", default_opset(graph.model))],
        ir_version=graph.model.ir_version,
    )
    session = open_session(model)

    def read(values: NDArray[np.float64]) -> NDArray[np.float64]:
        made = run(session, {name: values.astype(np.float32)})[result]
        return np.asarray(made, np.float64).reshape(values.shape)

    return read
