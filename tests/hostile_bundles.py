"""Bundles whose graphs are well formed and hurt whoever runs them: sealed again, as an attacker would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from attacks import fresh, reseal
from onnx import NodeProto, TensorProto, helper, numpy_helper

__all__ = ["HURTS", "endless_model", "hurting"]

_LOWEST = np.iinfo(np.int64).min


def _divided() -> tuple[Sequence[NodeProto], Mapping[str, np.ndarray]]:
    """The lowest integer divided by -1, which x86 answers with SIGFPE."""
    nodes = [helper.make_node("Div", ["h_low", "h_minus"], ["h_quotient"]), _to_zero("h_quotient")]
    return nodes, {"h_low": np.array([_LOWEST]), "h_minus": np.array([-1])}


def _zeros() -> tuple[Sequence[NodeProto], Mapping[str, np.ndarray]]:
    """3.3 GB of zeros, which onnxruntime makes when it folds constants."""
    nodes = [
        helper.make_node("ConstantOfShape", ["h_shape"], ["h_zeros"]),
        helper.make_node("ReduceSum", ["h_zeros"], ["h_sum"], keepdims=0),
        helper.make_node("Reshape", ["h_sum", "h_one"], ["h_quotient"]),
        _to_zero("h_quotient"),
    ]
    return nodes, {"h_shape": np.array([825, 1000, 1000]), "h_one": np.array([1])}


def _looped() -> tuple[Sequence[NodeProto], Mapping[str, np.ndarray]]:
    """A loop of 2^62 rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["b_in"], ["b_out"]), helper.make_node("Identity", ["b_on"], ["b_on_out"])],
        "body",
        [
            helper.make_tensor_value_info("b_round", TensorProto.INT64, []),
            helper.make_tensor_value_info("b_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b_in", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("b_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b_out", TensorProto.INT64, [1]),
        ],
    )
    nodes = [helper.make_node("Loop", ["h_rounds", "", "h_one"], ["h_quotient"], body=body), _to_zero("h_quotient")]
    return nodes, {"h_rounds": np.array(1 << 62), "h_one": np.array([1])}


def _to_zero(name: str) -> NodeProto:
    return helper.make_node("Cast", [name], ["h_zero"], to=TensorProto.FLOAT)


HURTS: Mapping[str, Callable[[], tuple[Sequence[NodeProto], Mapping[str, np.ndarray]]]] = {
    "divided": _divided,
    "zeros": _zeros,
    "looped": _looped,
}


def hurting(pristine: Path, folder: Path, kind: str) -> Path:
    """Return a copy of a bundle (of one that `attacks.fresh` copies) whose graphs do it when they are run."""
    bundle = fresh(pristine, folder)
    for name in ("model.onnx", "block-00.onnx"):
        path = bundle / name
        model = onnx.load(str(path), load_external_data=False)
        nodes, weights = HURTS[kind]()
        model.graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in weights.items())
        first = model.graph.input[0].name
        for node in model.graph.node:  # all that read the input read it with what must not be made added
            for place, read in enumerate(node.input):
                if read == first:
                    node.input[place] = "h_input"
        added = helper.make_node("Add", [first, "h_zero"], ["h_input"])
        held = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend([*nodes, added, *held])
        path.write_bytes(model.SerializeToString())
    reseal(bundle)
    return bundle


def endless_model() -> bytes:
    """A model of x, int64 [1], whose y comes after 2^62 rounds of a loop."""
    nodes, weights = _looped()
    graph = helper.make_graph(
        [nodes[0], helper.make_node("Add", ["x", "h_quotient"], ["y"])],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1])],
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
