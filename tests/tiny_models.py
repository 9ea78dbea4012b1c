"""Small ONNX models made from a seed, for every test that needs one."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
from onnx import helper, numpy_helper


def make(nodes, weights, inputs, outputs, opset=17):
    """Build a checked model; `inputs`/`outputs` map names to float32 shapes."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def convnet(channels=(3, 8, 16, 16), size=16, classes=5, seed=0, residual=True):
    """A small ResNet-like classifier: conv-relu stages, a residual add, global pooling, Gemm.

    Input images [batch, 3, size, size], output logits [batch, classes].
    """
    rng = np.random.default_rng(seed)
    nodes, weights = [], {}
    last = "images"
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        weights[f"w{i}"] = (rng.standard_normal((after, before, 3, 3)) * np.sqrt(2 / (9 * before))).astype(np.float32)
        weights[f"b{i}"] = (rng.standard_normal(after) * 0.1).astype(np.float32)
        nodes.append(
            helper.make_node(
                "Conv", [last, f"w{i}", f"b{i}"], [f"c{i}"], name=f"conv{i}", pads=[1] * 4, kernel_shape=[3, 3]
            )
        )
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"], name=f"relu{i}"))
        if residual and before == after:
            nodes.append(helper.make_node("Add", [f"r{i}", last], [f"a{i}"], name=f"add{i}"))
            last = f"a{i}"
        else:
            last = f"r{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"], name="pool"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"))
    weights["fc"] = (rng.standard_normal((classes, channels[-1])) * 0.3).astype(np.float32)
    weights["fcb"] = (rng.standard_normal(classes) * 0.1).astype(np.float32)
    nodes.append(helper.make_node("Gemm", ["flat", "fc", "fcb"], ["logits"], name="gemm", transB=1))
    return make(nodes, weights, {"images": ["batch", 3, size, size]}, {"logits": ["batch", classes]})


def samples(count=6, size=16, seed=1):
    """Calibration samples for `convnet`."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 3, size, size)).astype(np.float32)


def save(model, path):
    """Write a model and return its path."""
    path.write_bytes(model.SerializeToString())
    return path


def sqnr_db(expected, found):
    """10 log10(signal / noise)."""
    noise = np.square(expected.astype(np.float64) - found).sum()
    return 10 * np.log10(np.square(expected.astype(np.float64)).sum() / max(noise, 1e-30))
