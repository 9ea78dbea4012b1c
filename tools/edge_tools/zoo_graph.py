"""A small ONNX graph builder for models of random weights: nodes, seeded tensors, and the finished file.

Weights come from the raw words of PCG64 and exact integer arithmetic, because numpy promises the stream of a bit
generator for ever but that of `standard_normal` only within a version (NEP 19), and the C library's logarithm
behind it differs in the last bit between machines. So the same seed gives the same bytes everywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_export.model.metadata.own import KEY
from edge_runtime.bundle.postprocess_spec import Classify
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.files.schema import to_json

__all__ = ["IR_VERSION", "OPSET", "Graph", "bell", "classifier_properties", "notice"]

OPSET = 17  # the first with LayerNormalization
IR_VERSION = 9

_PRODUCER = "edge_tools.zoo"
_BIAS_STD = 0.1  # of convolutions: about what batch normalisation leaves in them
_WORDS = 4  # uniform 16-bit numbers in each sample
_SIGMA = math.sqrt(_WORDS * (65536**2 - 1) / 12)  # of their sum

Attribute = int | float | str | Sequence[int]


def notice(seed: int) -> str:
    """Return the sentence that every model carries."""
    return f"random weights (seed {seed}), for measuring size and speed only: its answers mean nothing"


def bell(seed: int, name: str, shape: Sequence[int], std: float, *, centred: bool = False) -> NDArray[np.float32]:
    """Return bell-shaped samples of mean 0: sums of four uniform numbers (Irwin-Hall), within 3.47 `std` of 0.

    The stream depends on `seed` and `name` alone. `centred` takes the mean of each row of the first dimension
    out, so that a filter does not answer to what all of its inputs have in common.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    count = math.prod(shape)
    words = np.random.PCG64(int.from_bytes(digest, "little")).random_raw(count).astype("<u8", copy=False).view("<u2")
    total = words[0::_WORDS].astype(np.int32)
    for index in range(1, _WORDS):
        total += words[index::_WORDS]
    total -= _WORDS * 65535 // 2
    if centred:
        rows = total.reshape(shape[0], -1)
        rows -= (rows.sum(axis=1, dtype=np.int64, keepdims=True) // rows.shape[1]).astype(np.int32)
    # One rounding, from integers that float32 holds exactly: no machine can differ.
    values: NDArray[np.float32] = total.astype(np.float32) * np.float32(std / _SIGMA)
    return values.reshape(shape)


def classifier_properties(preprocess: Preprocess) -> dict[str, str]:
    """Return the metadata of a classifier of logits, in our own key."""
    facts = {"preprocess": to_json(preprocess), "postprocess": to_json(Classify())}
    return {KEY: json.dumps(facts, sort_keys=True)}


class Graph:
    """Nodes and tensors of one model in the order in which they are added. Names are ONNX names."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.seed = seed
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, name: str, inputs: Sequence[str], **attributes: Attribute) -> str:
        """Add an operator with one output, named `name`_output as torch's exporter does, and return that name."""
        return self.nodes(kind, name, inputs, 1, **attributes)[0]

    def nodes(self, kind: str, name: str, inputs: Sequence[str], count: int, **attributes: Attribute) -> list[str]:
        """Add an operator with `count` outputs."""
        outputs = [f"{name}_output_{index}" for index in range(count)]
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, name=name, **attributes))
        return outputs

    def tensor(self, name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """Add a constant; the same name means the same constant."""
        if name not in self._tensors:
            self._tensors[name] = numpy_helper.from_array(np.asarray(values, order="C"), name)
        return name

    def integers(self, name: str, values: Sequence[int]) -> str:
        """Add a constant of int64 with one dimension, as shapes and axes are."""
        return self.tensor(name, np.array(values, np.int64))

    def weight(self, name: str, shape: Sequence[int], std: float, *, mean: float = 0.0, centred: bool = False) -> str:
        """Add random weights; see `bell`."""
        values = bell(self.seed, name, shape, std, centred=centred)
        return self.tensor(name, values if mean == 0.0 else values + np.float32(mean))

    def conv(
        self,
        name: str,
        source: str,
        channels: tuple[int, int],
        kernel: int,
        stride: int = 1,
        *,
        gain: float,
        centred: bool = True,
        bias_mean: float = 0.0,
    ) -> str:
        """Add a Conv (in, out channels) with bias and half padding; weights of variance gain^2 / fan-in (He et al.)."""
        inside, outside = channels
        shape = (outside, inside, kernel, kernel)
        std = gain / math.sqrt(inside * kernel * kernel)
        weight = self.weight(f"{name}.weight", shape, std, centred=centred)
        bias = self.weight(f"{name}.bias", (outside,), _BIAS_STD, mean=bias_mean)
        return self.node(
            "Conv", f"/{name}/Conv", [source, weight, bias], kernel_shape=[kernel, kernel],
            strides=[stride, stride], pads=[kernel // 2] * 4, dilations=[1, 1], group=1,
        )  # fmt: skip

    def finish(
        self,
        image: tuple[str, Sequence[int]],
        output: tuple[str, str, Sequence[int]],
        properties: Mapping[str, str],
    ) -> onnx.ModelProto:
        """Return the model: `image` is the input's name and shape less the batch, `output` the new name of the last
        operator's value, that value and its shape less the batch. Both get a free batch dimension "N". `properties`
        are metadata that tells an exporter how the input is prepared and the output read.
        """
        name, value, shape = output
        for node in self._nodes:
            if value in node.output:  # its last operator writes the output itself
                node.output[list(node.output).index(value)] = name
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [helper.make_tensor_value_info(image[0], TensorProto.FLOAT, ["N", *image[1]])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])],
            list(self._tensors.values()),
            doc_string=notice(self.seed),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name=_PRODUCER,
            doc_string=notice(self.seed),
        )
        helper.set_model_props(model, {"description": notice(self.seed), **properties})
        return model
