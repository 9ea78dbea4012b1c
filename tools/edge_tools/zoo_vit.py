"""Vision transformers with random weights, as Hugging Face's ViTForImageClassification exports (arXiv 2010.11929)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx

from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_tools.zoo_graph import Graph, bell, classifier_properties

__all__ = ["VIT_B16", "VIT_TI16", "VitShape", "build_vit"]

_EPSILON = 1e-6
# Above 1 attention looks at some patches more than at others, as a trained one does; at 1 it averages all of them,
# and noise averages to nothing.
_ATTENTION_GAIN = 2.2


@dataclass(frozen=True)
class VitShape:
    """Dimensions of a vision transformer; `image` and `patch` are sides in pixels."""

    image: int = 224
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp: int = 3072
    classes: int = 1000

    def __post_init__(self) -> None:
        if self.image % self.patch or self.width % self.heads:
            raise ValueError(
                f"image must be a multiple of patch and width of heads, found {self.image}/{self.patch} "
                f"and {self.width}/{self.heads}"
            )


VIT_B16 = VitShape()
VIT_TI16 = VitShape(width=192, heads=3, mlp=768)


def build_vit(name: str, shape: VitShape, seed: int) -> onnx.ModelProto:
    """Return the model: pixel_values [N, 3, image, image] to logits [N, classes]."""
    graph = Graph(name, seed)
    value = _embeddings(graph, shape)
    for index in range(shape.depth):
        value = _layer(graph, shape, f"encoder.layer.{index}", value)
    value = _norm(graph, shape, "layernorm", value)
    value = graph.node(
        "Gather", "/Gather_class_token", [value, graph.tensor("class_index", np.array(0, np.int64))], axis=1
    )
    weight = graph.weight("classifier.weight", (shape.classes, shape.width), 2.0 / math.sqrt(shape.width))
    bias = graph.weight("classifier.bias", (shape.classes,), 0.02)
    logits = graph.node("Gemm", "/classifier/Gemm", [value, weight, bias], transB=1)
    # ViTImageProcessor's defaults.
    pre = Preprocess(
        width=shape.image, height=shape.image, interpolation="pil-bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
    )  # fmt: skip
    return graph.finish(
        ("pixel_values", (3, shape.image, shape.image)),
        ("logits", logits, (shape.classes,)),
        classifier_properties(pre),
    )


def _embeddings(graph: Graph, shape: VitShape) -> str:
    """Patches, the class token before them, and positions: [N, 1 + patches, width]."""
    width, patch = shape.width, shape.patch
    weight = graph.weight("embeddings.projection.weight", (width, 3, patch, patch), 1.0 / math.sqrt(3 * patch * patch))
    bias = graph.weight("embeddings.projection.bias", (width,), 0.02)
    value = graph.node(
        "Conv", "/embeddings/Conv", ["pixel_values", weight, bias], kernel_shape=[patch, patch],
        strides=[patch, patch], pads=[0, 0, 0, 0], dilations=[1, 1], group=1,
    )  # fmt: skip
    patches = (shape.image // patch) ** 2
    value = graph.node("Reshape", "/embeddings/Reshape", [value, graph.integers("flat_shape", [0, width, patches])])
    value = graph.node("Transpose", "/embeddings/Transpose", [value], perm=[0, 2, 1])
    token = graph.weight("embeddings.cls_token", (1, 1, width), 0.1)
    batch = graph.node("Shape", "/embeddings/Shape", [value], start=0, end=1)
    sizes = graph.node("Concat", "/embeddings/Concat", [batch, graph.integers("token_shape", [1, width])], axis=0)
    token = graph.node("Expand", "/embeddings/Expand", [token, sizes])
    value = graph.node("Concat", "/embeddings/Concat_1", [token, value], axis=1)
    positions = graph.weight("embeddings.position_embeddings", (1, patches + 1, width), 0.05)
    return graph.node("Add", "/embeddings/Add", [value, positions])


def _layer(graph: Graph, shape: VitShape, name: str, value: str) -> str:
    """One encoder layer: x + attention(norm(x)), then x + mlp(norm(x))."""
    # What the branches add is damped, so that `depth` layers together add about what was there before.
    damping = 1.0 / math.sqrt(shape.depth)
    width = shape.width
    normed = _norm(graph, shape, f"{name}.layernorm_before", value)
    mixed = _attention(graph, shape, f"{name}.attention", normed)
    mixed = _linear(graph, f"{name}.attention.output", mixed, (width, width), 2.0 * damping)
    value = graph.node("Add", f"/{name}/Add", [mixed, value])
    hidden = _norm(graph, shape, f"{name}.layernorm_after", value)
    hidden = _linear(graph, f"{name}.intermediate", hidden, (width, shape.mlp), 1.0)
    hidden = _gelu(graph, f"{name}.intermediate", hidden)
    hidden = _linear(graph, f"{name}.output", hidden, (shape.mlp, width), 1.5 * damping)
    return graph.node("Add", f"/{name}/Add_1", [hidden, value])


def _attention(graph: Graph, shape: VitShape, name: str, value: str) -> str:
    """softmax(q k^T / sqrt(d)) v in each head, [N, tokens, width] before and after."""
    width, heads = shape.width, shape.heads
    size = width // heads
    split, joined = graph.integers("heads_shape", [0, 0, heads, size]), graph.integers("width_shape", [0, 0, width])
    parts = {}
    for part, gain, order in (
        ("query", _ATTENTION_GAIN, [0, 2, 1, 3]),
        ("key", _ATTENTION_GAIN, [0, 2, 3, 1]),
        ("value", 1.0, [0, 2, 1, 3]),
    ):
        linear = _linear(graph, f"{name}.{part}", value, (width, width), gain)
        shaped = graph.node("Reshape", f"/{name}.{part}/Reshape", [linear, split])
        parts[part] = graph.node("Transpose", f"/{name}.{part}/Transpose", [shaped], perm=order)
    scores = graph.node("MatMul", f"/{name}/MatMul", [parts["query"], parts["key"]])
    scores = graph.node(
        "Div", f"/{name}/Div", [scores, graph.tensor("head_scale", np.array(math.sqrt(size), np.float32))]
    )
    scores = graph.node("Softmax", f"/{name}/Softmax", [scores], axis=-1)
    mixed = graph.node("MatMul", f"/{name}/MatMul_1", [scores, parts["value"]])
    mixed = graph.node("Transpose", f"/{name}/Transpose", [mixed], perm=[0, 2, 1, 3])
    return graph.node("Reshape", f"/{name}/Reshape", [mixed, joined])


def _linear(graph: Graph, name: str, value: str, sizes: tuple[int, int], gain: float) -> str:
    inside, outside = sizes
    # Made as [out, in] and turned, as torch keeps them; centred, because what GELU leaves has a mean.
    made = bell(graph.seed, f"{name}.weight", (outside, inside), gain / math.sqrt(inside), centred=True)
    weight = graph.tensor(f"{name}.weight", made.T)
    bias = graph.weight(f"{name}.bias", (outside,), 0.02)
    product = graph.node("MatMul", f"/{name}/MatMul", [value, weight])
    return graph.node("Add", f"/{name}/Add", [bias, product])


def _norm(graph: Graph, shape: VitShape, name: str, value: str) -> str:
    scale = graph.weight(f"{name}.weight", (shape.width,), 0.1, mean=1.0)
    bias = graph.weight(f"{name}.bias", (shape.width,), 0.05)
    return graph.node(
        "LayerNormalization", f"/{name}/LayerNormalization", [value, scale, bias], axis=-1, epsilon=_EPSILON
    )


def _gelu(graph: Graph, name: str, value: str) -> str:
    """x / 2 * (1 + erf(x / sqrt(2))), the exact form (arXiv 1606.08415), in the five operators of an exporter."""
    root, one, half = (
        graph.tensor(label, np.array(number, np.float32))
        for label, number in (("gelu_root", math.sqrt(2.0)), ("gelu_one", 1.0), ("gelu_half", 0.5))
    )
    inner = graph.node("Div", f"/{name}/Div", [value, root])
    inner = graph.node("Erf", f"/{name}/Erf", [inner])
    inner = graph.node("Add", f"/{name}/Add_1", [inner, one])
    inner = graph.node("Mul", f"/{name}/Mul", [value, inner])
    return graph.node("Mul", f"/{name}/Mul_1", [inner, half])
