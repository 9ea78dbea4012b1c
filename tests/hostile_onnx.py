"""ONNX files changed as an attacker, or a broken converter, leaves them: sizes that lie, nodes without inputs."""

from __future__ import annotations

import random

import onnx
from onnx import AttributeProto, SparseTensorProto, TensorProto
from tiny_models import convnet

__all__ = ["hostile_onnx"]

_NUMBERS = (-1, 0, 1, 2, 3, 7, 16, 255, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
_TYPES = (
    "Relu", "Conv", "Gemm", "Greater", "Reshape", "Resize", "Concat", "Constant", "If", "Loop", "Add", "Softmax",
    "NonMaxSuppression", "QuantizeLinear", "DequantizeLinear", "Split", "Transpose", "Gather", "Nonsense",
)  # fmt: skip


def hostile_onnx(seed: int) -> tuple[bytes, str]:
    """Return the bytes of a small classifier after a few changes, and what these were."""
    rng = random.Random(seed)
    model = convnet((3, 4, 4), size=8, classes=3)
    said = [rng.choice(_CHANGES)(model, rng) for _ in range(rng.choice((1, 1, 2, 3)))]
    data = bytearray(model.SerializeToString())
    if rng.random() < 0.2:
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        said.append("bytes")
    return bytes(data), "; ".join(said)


def _dims(model, rng):
    tensor = rng.choice(model.graph.initializer)
    dims = list(tensor.dims)
    change = rng.randrange(4)
    if change == 0 and dims:
        dims[rng.randrange(len(dims))] = rng.choice(_NUMBERS)
    elif change == 1:
        dims.append(rng.choice(_NUMBERS))
    else:
        dims = dims[:-1] if change == 2 else []
    del tensor.dims[:]
    tensor.dims.extend(dims)
    return f"dims of {tensor.name}: {dims}"


def _bytes(model, rng):
    tensor = rng.choice(model.graph.initializer)
    tensor.raw_data = tensor.raw_data[: rng.choice((0, 1, 3, len(tensor.raw_data) // 2))]
    return f"bytes of {tensor.name}"


def _type(model, rng):
    tensor = rng.choice(model.graph.initializer)
    tensor.data_type = rng.randrange(30)
    return f"type of {tensor.name}: {tensor.data_type}"


def _typed(model, rng):
    tensor = rng.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * rng.choice((0, 1, 5)))
    return f"float_data of {tensor.name}"


def _sparse(model, rng):
    tensor = rng.choice(model.graph.initializer)
    values = TensorProto(name=tensor.name, data_type=1, dims=[2], float_data=[1.0, 2.0])
    indices = TensorProto(name="i", data_type=7, dims=[2], int64_data=[0, rng.choice(_NUMBERS)])
    model.graph.sparse_initializer.append(SparseTensorProto(values=values, indices=indices, dims=tensor.dims))
    model.graph.initializer.remove(tensor)
    return f"{tensor.name} sparse"


def _inputs(model, rng):
    node = rng.choice(model.graph.node)
    change = rng.randrange(3)
    if change == 0 and node.input:
        node.input.pop()
    elif change == 1:
        del node.input[:]
    else:
        node.input.append(rng.choice(("", "images", "nowhere", node.output[0] if node.output else "x")))
    return f"inputs of {node.name}"


def _outputs(model, rng):
    node = rng.choice(model.graph.node)
    if rng.random() < 0.5:
        del node.output[:]
    else:
        node.output.append(rng.choice(("", "images", "logits", "x")))
    return f"outputs of {node.name}"


def _operator(model, rng):
    node = rng.choice(model.graph.node)
    node.op_type = rng.choice(_TYPES)
    return f"{node.name} is {node.op_type}"


def _attribute(model, rng):
    node = rng.choice(model.graph.node)
    if not node.attribute or rng.random() < 0.3:
        node.attribute.append(AttributeProto(name=rng.choice(("axis", "value", "then_branch", "body", "to", "perm"))))
    attribute = rng.choice(node.attribute)
    attribute.type = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 11))
    attribute.i = rng.choice(_NUMBERS)
    if rng.random() < 0.5:
        del attribute.ints[:]
        attribute.ints.extend(rng.choice(_NUMBERS) for _ in range(rng.randrange(5)))
    return f"attribute {attribute.name} of {node.name}"


def _value(model, rng):
    value = rng.choice([*model.graph.input, *model.graph.output])
    kind = value.type.tensor_type
    change = rng.randrange(4)
    if change == 0:
        kind.elem_type = rng.randrange(30)
    elif change == 1 and kind.shape.dim:
        rng.choice(kind.shape.dim).dim_value = rng.choice(_NUMBERS)
    elif change == 2:
        kind.ClearField("shape")
    else:
        value.name = rng.choice(("", "x", "w0", "\x1b[2J"))
    return f"value {value.name!r}"


def _opset(model, rng):
    model.opset_import[0].version = rng.choice(_NUMBERS)
    model.ir_version = rng.choice(_NUMBERS)
    return "versions"


def _metadata(model, rng):
    key = rng.choice(("names", "stride", "imgsz", "task", "config", "model_type", "labels", "scale_values"))
    text = rng.choice(("{", "[" * 9999, "{0: 'a'}", "1" * 5000, "\x1b[2J", "detect", "[-1, 2]", "nan", "{'a': {}}"))
    model.metadata_props.append(onnx.StringStringEntryProto(key=key, value=text))
    return f"metadata {key}"


_CHANGES = (
    _dims, _dims, _bytes, _type, _typed, _sparse, _inputs, _inputs, _outputs, _operator, _attribute, _value, _opset,
    _metadata,
)  # fmt: skip
