"""Operators that move values about, or compute shapes: Reshape, Slice, Concat, Gather, Pad, ..."""

from __future__ import annotations

import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from torch import Tensor

from edge_export.qat.ops.node import Inputs, Node, axes_of, numbers

__all__ = [
    "arg_max",
    "cast",
    "concat",
    "constant",
    "constant_of_shape",
    "depth_to_space",
    "expand",
    "flatten",
    "gather",
    "pad",
    "range_",
    "reshape",
    "shape",
    "slice_",
    "space_to_depth",
    "split",
    "squeeze",
    "tile",
    "top_k",
    "transpose",
    "unsqueeze",
]

_TYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.DOUBLE: torch.float64,
    onnx.TensorProto.BOOL: torch.bool,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.INT8: torch.int8,
    onnx.TensorProto.INT16: torch.int16,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.INT64: torch.int64,
}


def _given(inputs: Inputs, slot: int = 0) -> Tensor:
    value = inputs[slot] if slot < len(inputs) else None
    if value is None:
        raise ValueError(f"input {slot} is not given")
    return value


def _all(inputs: Inputs, slot: int) -> list[int]:
    found = numbers(inputs, slot)
    if found is None:
        raise ValueError(f"input {slot} is not given")
    return found


def reshape(node: Node, inputs: Inputs) -> Tensor:
    """0 copies the input's dimension (unless allowzero), -1 is what is left."""
    x = _given(inputs)
    wanted = _all(inputs, 1)
    if not node.get("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return x.reshape(wanted)


def flatten(node: Node, inputs: Inputs) -> Tensor:
    """To two dimensions, parted before `axis`."""
    x = _given(inputs)
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    rows = 1
    for size in x.shape[:axis]:
        rows *= size
    return x.reshape(rows, -1)


def transpose(node: Node, inputs: Inputs) -> Tensor:
    """Permute the dimensions; reversed without `perm`."""
    x = _given(inputs)
    return x.permute(node.get("perm") or list(range(x.ndim))[::-1])


def squeeze(node: Node, inputs: Inputs) -> Tensor:
    """Drop dimensions of size 1: the given ones, else all."""
    x, axes = _given(inputs), axes_of(node, inputs)
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def unsqueeze(node: Node, inputs: Inputs) -> Tensor:
    """Insert dimensions of size 1 at places in the output."""
    x, axes = _given(inputs), axes_of(node, inputs) or []
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def concat(node: Node, inputs: Inputs) -> Tensor:
    """Join along `axis`."""
    return torch.cat([value for value in inputs if value is not None], node.get("axis", 0))


def split(node: Node, inputs: Inputs) -> tuple[Tensor, ...]:
    """Part along `axis`, by sizes or evenly."""
    x, axis = _given(inputs), node.get("axis", 0)
    sizes = node.get("split") or numbers(inputs, 1)
    if sizes is None:
        size = -(-x.shape[axis] // node.outputs)
        sizes = [min(size, x.shape[axis] - i * size) for i in range(node.outputs)]
    return tuple(torch.split(x, sizes, axis))


def slice_(node: Node, inputs: Inputs) -> Tensor:
    """Starts, ends, axes, steps: inputs since opset 10, attributes before. Steps may be negative."""
    x = _given(inputs)
    starts = node.get("starts") or _all(inputs, 1)
    ends = node.get("ends") or _all(inputs, 2)
    axes = node.get("axes") or numbers(inputs, 3) or list(range(len(starts)))
    steps = numbers(inputs, 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        start, stop, step = slice(start, _stop(end, x.shape[axis], step), step).indices(x.shape[axis])
        if step > 0:
            x = x.narrow(axis, start, max(0, stop - start)) if step == 1 else _take(x, axis, range(start, stop, step))
        else:
            x = _take(x, axis, range(start, stop, step))
    return x


def _stop(end: int, size: int, step: int) -> int | None:
    """Return the end for Python's slice, in which "before the first" has no number when going backwards."""
    return None if step < 0 and end < -size else end


def _take(x: Tensor, axis: int, places: range) -> Tensor:
    return x.index_select(axis, torch.tensor(list(places), dtype=torch.int64, device=x.device))


def gather(node: Node, inputs: Inputs) -> Tensor:
    """Take slices along `axis` by indices of any shape, negative ones from the end."""
    x, index, axis = (
        _given(inputs),
        _given(inputs, 1).long().to(_given(inputs).device),
        node.get("axis", 0) % _given(inputs).ndim,
    )
    index = torch.where(index < 0, index + x.shape[axis], index)
    taken = x.index_select(axis, index.reshape(-1))
    return taken.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def expand(node: Node, inputs: Inputs) -> Tensor:
    """Broadcast to a shape, in both directions."""
    x = _given(inputs)
    return x.expand(torch.broadcast_shapes(x.shape, tuple(_all(inputs, 1))))


def tile(node: Node, inputs: Inputs) -> Tensor:
    """Repeat along each dimension."""
    return _given(inputs).repeat(_all(inputs, 1))


def pad(node: Node, inputs: Inputs) -> Tensor:
    """Constant, reflect and edge; negative pads crop."""
    x = _given(inputs)
    amounts = node.get("pads") or _all(inputs, 1)
    axes = numbers(inputs, 3) or list(range(x.ndim))
    value = inputs[2] if len(inputs) > 2 else None
    fill = float(value) if value is not None and value.numel() else float(node.get("value", 0.0))
    begins, ends = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(axes):
        begins[axis], ends[axis] = amounts[place], amounts[place + len(axes)]
    mode = node.get("mode", "constant")
    if mode == "constant":
        return F.pad(x, [n for i in reversed(range(x.ndim)) for n in (begins[i], ends[i])], value=fill)
    for axis, (before, behind) in enumerate(zip(begins, ends, strict=True)):
        if before or behind:
            places = torch.arange(-before, x.shape[axis] + behind, device=x.device)
            last = x.shape[axis] - 1
            if mode == "reflect":
                places = last - (last - places.abs()).abs()
            elif mode == "edge":
                places = places.clamp(0, last)
            else:
                raise NotImplementedError(f"Pad with mode {mode}")
            x = x.index_select(axis, places)
    return x


def depth_to_space(node: Node, inputs: Inputs) -> Tensor:
    """Channels become pixels; DCR and CRD order."""
    x, size = _given(inputs), int(node.get("blocksize", 1))
    n, c, h, w = x.shape
    if node.get("mode", "DCR") == "CRD":
        return x.reshape(n, c // size**2, size, size, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, -1, h * size, w * size)
    return x.reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, -1, h * size, w * size)


def space_to_depth(node: Node, inputs: Inputs) -> Tensor:
    """Pixels become channels, in DCR order."""
    if node.get("mode", "DCR") != "DCR":
        raise NotImplementedError(f"SpaceToDepth with mode {node.get('mode')}")
    x, size = _given(inputs), int(node.get("blocksize", 1))
    n, c, h, w = x.shape
    parted = x.reshape(n, c, h // size, size, w // size, size)
    return parted.permute(0, 3, 5, 1, 2, 4).reshape(n, c * size**2, h // size, w // size)


def shape(node: Node, inputs: Inputs) -> Tensor:
    """The shape as int64, from `start` to `end`."""
    sizes = list(_given(inputs).shape)
    return torch.tensor(sizes[node.get("start", 0) : node.get("end", len(sizes))], dtype=torch.int64)


def constant(node: Node, inputs: Inputs) -> Tensor:
    """The value of a Constant node."""
    for name, dtype in (("value", None), ("value_float", torch.float32), ("value_floats", torch.float32),
                        ("value_int", torch.int64), ("value_ints", torch.int64)):  # fmt: skip
        if name in node.attributes:
            return torch.as_tensor(node.get(name), dtype=dtype)
    raise NotImplementedError("Constant that is no tensor of numbers")


def constant_of_shape(node: Node, inputs: Inputs) -> Tensor:
    """One value, many times."""
    value = node.get("value", torch.zeros(1))
    return torch.full(_all(inputs, 0), value.item(), dtype=value.dtype)


def range_(node: Node, inputs: Inputs) -> Tensor:
    """From start, below limit, by delta."""
    first = _given(inputs)
    return torch.arange(*[_given(inputs, i).item() for i in range(3)], dtype=first.dtype, device=first.device)


def cast(node: Node, inputs: Inputs) -> Tensor:
    """Change the element type."""
    if node.get("to") not in _TYPES:
        raise NotImplementedError(f"Cast to {onnx.TensorProto.DataType.Name(node.get('to'))}")
    return _given(inputs).to(_TYPES[node.get("to")])


def arg_max(node: Node, inputs: Inputs) -> Tensor:
    """ArgMax and ArgMin; the first of equals."""
    if node.get("select_last_index", 0):
        raise NotImplementedError(f"{node.op} with select_last_index")
    x = _given(inputs)
    find = torch.argmax if node.op == "ArgMax" else torch.argmin
    return find(x, node.get("axis", 0), keepdim=bool(node.get("keepdims", 1)))


def top_k(node: Node, inputs: Inputs) -> tuple[Tensor, ...]:
    """The k largest (or smallest) along `axis`, and where they are."""
    x, k = _given(inputs), int(_all(inputs, 1)[0])
    return tuple(torch.topk(x, k, node.get("axis", -1), bool(node.get("largest", 1)), bool(node.get("sorted", 1))))
