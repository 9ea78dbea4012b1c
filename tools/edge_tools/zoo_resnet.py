"""Residual networks with random weights, batch normalisation folded into Conv as exporters leave them.

The shape is torchvision's: arXiv 1512.03385 with the stride in the 3x3 convolution ("v1.5").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_tools.zoo_graph import Graph, classifier_properties

__all__ = ["RESNET18", "RESNET50", "ResnetShape", "build_resnet"]

# Filters are centred, and half a normal distribution has variance 0.34 about its mean: 1 / sqrt(0.34) keeps it.
_GAIN = 1.71
_DAMPING = 0.5


@dataclass(frozen=True)
class ResnetShape:
    """Dimensions of a residual network: `blocks` per stage, `width` channels in the first, doubled at each stage."""

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    bottleneck: bool = True
    image: int = 224
    classes: int = 1000

    @property
    def expansion(self) -> int:
        """Channels that leave a block for each of its width."""
        return 4 if self.bottleneck else 1


RESNET50 = ResnetShape()
RESNET18 = ResnetShape(blocks=(2, 2, 2, 2), bottleneck=False)


def build_resnet(name: str, shape: ResnetShape, seed: int) -> onnx.ModelProto:
    """Return the model: input [N, 3, image, image] to logits [N, classes]."""
    graph = Graph(name, seed)
    # The first filters must answer to flat areas too, or a smooth image is the same as an empty one.
    value = graph.conv("conv1", "input", (3, shape.width), 7, 2, gain=_GAIN, centred=False)
    value = graph.node("Relu", "/relu/Relu", [value])
    value = graph.node("MaxPool", "/maxpool/MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = shape.width
    for stage, blocks in enumerate(shape.blocks):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            value = _block(graph, shape, f"layer{stage + 1}.{block}", value, (channels, shape.width << stage), stride)
            channels = (shape.width << stage) * shape.expansion
    value = graph.node("GlobalAveragePool", "/avgpool/GlobalAveragePool", [value])
    value = graph.node("Flatten", "/Flatten", [value], axis=1)
    weight = graph.weight("fc.weight", (shape.classes, channels), 2.0 / math.sqrt(channels), centred=True)
    bias = graph.weight("fc.bias", (shape.classes,), 0.02)
    logits = graph.node("Gemm", "/fc/Gemm", [value, weight, bias], transB=1)
    # torchvision's ImageNet preset.
    pre = Preprocess(
        width=shape.image,
        height=shape.image,
        fit="crop",
        resize_short=shape.image * 8 // 7,
        interpolation="pil-bilinear",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    return graph.finish(
        ("input", (3, shape.image, shape.image)), ("logits", logits, (shape.classes,)), classifier_properties(pre)
    )


def _block(graph: Graph, shape: ResnetShape, name: str, source: str, channels: tuple[int, int], stride: int) -> str:
    """relu(shortcut(x) + branch(x)); `channels` are those of x and the branch's width."""
    inside, width = channels
    outside = width * shape.expansion
    if shape.bottleneck:
        steps = [(inside, width, 1, 1), (width, width, 3, stride), (width, outside, 1, 1)]
    else:
        steps = [(inside, width, 3, stride), (width, outside, 3, 1)]
    value = source
    for index, (before, after, kernel, step) in enumerate(steps, start=1):
        last = index == len(steps)
        gain = _GAIN * (_DAMPING if last else 1.0)
        value = graph.conv(f"{name}.conv{index}", value, (before, after), kernel, step, gain=gain)
        if not last:
            value = graph.node("Relu", f"/{name}/relu{index}/Relu", [value])
    shortcut = source
    if stride != 1 or inside != outside:
        shortcut = graph.conv(f"{name}.downsample", source, (inside, outside), 1, stride, gain=_GAIN)
    value = graph.node("Add", f"/{name}/Add", [value, shortcut])
    return graph.node("Relu", f"/{name}/relu/Relu", [value])
