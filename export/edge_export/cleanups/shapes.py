"""Fill the dimensions that the file leaves open: a batch that is proved to be one stays "batch", others get
numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

import numpy as np
import onnx

from edge_export.probe import INTEGERS, ProbeError, difference, open_session, run_session, seeded_feed
from edge_runtime.errors import ModelError, UsageError

__all__ = ["BATCH", "Dim", "Shapes", "declared_shape", "fill_shapes", "set_shape", "write_shapes"]

BATCH = "batch"
# two separate runs and one run of two add the same numbers in another order
_BATCH_TOLERANCE = 5.0

Dim = Union[int, str, None]
Shape = tuple[Union[int, str], ...]


@dataclass(frozen=True)
class Shapes:
    """The shape of every graph input; "batch" stands for a dimension that may vary."""

    inputs: dict[str, Shape] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def free(self) -> frozenset[str]:
        """Names of the inputs that carry the batch."""
        return frozenset(name for name, shape in self.inputs.items() if BATCH in shape)

    def numbers(self, batch: int = 1) -> dict[str, tuple[int, ...]]:
        """The same with a number for the batch."""
        return {name: tuple(batch if isinstance(d, str) else d for d in shape) for name, shape in self.inputs.items()}


def declared_shape(value: onnx.ValueInfoProto) -> tuple[Dim, ...] | None:
    """What the file says: a number, a name, None for neither; None alone when not even the rank is known.

    0 and -1 are how several exporters write "not known".
    """
    if not value.type.tensor_type.HasField("shape"):
        return None
    dims: list[Dim] = []
    for dim in value.type.tensor_type.shape.dim:
        if dim.HasField("dim_value"):
            dims.append(dim.dim_value if dim.dim_value > 0 else None)
        else:
            dims.append(dim.dim_param or None)
    return tuple(dims)


def fill_shapes(model: onnx.ModelProto, wanted: Mapping[str, Shape]) -> Shapes:
    """Decide every input's shape: what the file fixes, what `wanted` gives, and the batch by trying it.

    A free first dimension is a batch when the graph takes 2 items and answers each of them as it answers it
    alone; it then stays symbolic, also when `wanted` says 1 there. Otherwise it becomes 1. Raises ModelError
    naming the input and the dimension that nothing fills, UsageError for a `wanted` that contradicts the
    file.
    """
    inputs = list(model.graph.input)
    _check_names(inputs, wanted)
    named: dict[str, int] = {}
    partial = {value.name: _merge(value, wanted.get(value.name), named) for value in inputs}
    firsts = {dims[0] for dims in partial.values() if dims and isinstance(dims[0], str) and dims[0] not in named}
    shapes: dict[str, Shape] = {}
    for value in inputs:
        shapes[value.name] = _resolve(value.name, partial[value.name], named, firsts)
    if not any(BATCH in shape for shape in shapes.values()):
        return Shapes(shapes, ())
    demanded = any(isinstance(dim, str) for shape in wanted.values() for dim in shape)
    problem = _not_a_batch(model, shapes)
    if problem is None:
        return Shapes(shapes, ())
    if demanded:
        raise ModelError(
            "--input-shape asks for a free batch, but the graph does not treat its items one by one: "
            f"{problem}; give a number instead of a name"
        )
    fixed = Shapes(shapes, ()).numbers(1)
    return Shapes(dict(fixed), (f"the batch is fixed to 1: {problem}",))


def write_shapes(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> onnx.ModelProto:
    """Return a copy whose inputs have these shapes and whose inner shapes, now wrong, are forgotten."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    changed = False
    for value in result.graph.input:
        old = declared_shape(value)
        new = shapes[value.name]
        if old == new:
            continue
        changed = True
        set_shape(value, new)
    if changed:
        del result.graph.value_info[:]
        for value in result.graph.output:
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")
    return result


def set_shape(value: onnx.ValueInfoProto, shape: Sequence[int | str]) -> None:
    """Write a tensor's shape; strings are names of free dimensions."""
    kind = value.type.tensor_type
    kind.ClearField("shape")
    kind.shape.SetInParent()
    for dim in shape:
        entry = kind.shape.dim.add()
        if isinstance(dim, str):
            entry.dim_param = dim
        else:
            entry.dim_value = dim


def _check_names(inputs: Sequence[onnx.ValueInfoProto], wanted: Mapping[str, Shape]) -> None:
    names = [value.name for value in inputs]
    for name, shape in wanted.items():
        if name not in names:
            raise UsageError(
                f"--input-shape {name}: the model has no such input; its inputs are {', '.join(names) or 'none'}"
            )
        if any(isinstance(dim, int) and dim < 1 for dim in shape):
            raise UsageError(f"--input-shape {name}: dimensions must be 1 or more, found {list(shape)}")


def _merge(value: onnx.ValueInfoProto, wanted: Shape | None, named: dict[str, int]) -> tuple[Dim, ...]:
    """One input's dimensions from file and flag; learns what numbers the flag gives to the file's names."""
    declared = declared_shape(value)
    if wanted is None:
        if declared is None:
            raise ModelError(
                f"input {value.name!r}: the model does not say its shape, not even how many dimensions it "
                f"has; give it with --input-shape {value.name}:1,3,224,224"
            )
        return tuple(BATCH if i == 0 and dim is None else dim for i, dim in enumerate(declared))
    if declared is not None and len(declared) != len(wanted):
        raise UsageError(
            f"--input-shape {value.name}: the model's input has {len(declared)} dimensions "
            f"{_words(declared)}, found {len(wanted)} in {list(wanted)}"
        )
    have = declared or (None,) * len(wanted)
    return tuple(_fill(value.name, have, index, want, named) for index, want in enumerate(wanted))


def _fill(name: str, declared: tuple[Dim, ...], index: int, want: int | str, named: dict[str, int]) -> Dim:
    """One dimension: the file's number, the flag's number, or BATCH (or the file's name for it)."""
    have, flag = declared[index], f"--input-shape {name}: dimension {index}"
    if isinstance(have, int):
        if isinstance(want, int) and want != have:
            raise UsageError(
                f"{flag} is {have} in the model and cannot become {want}; export the model again at "
                f"that size, or give {_words(declared)}"
            )
        return have
    if index == 0 and (isinstance(want, str) or want == 1):
        # a name, or 1, leaves the batch open; `_not_a_batch` has the last word
        return have or BATCH
    if isinstance(want, str):
        raise UsageError(f"{flag} needs a number, found {want!r}; only the first dimension, the batch, may stay free")
    if isinstance(have, str) and named.setdefault(have, want) != want:
        raise UsageError(f"{flag}, {have!r} in the model, was given as {named[have]} elsewhere, found {want}")
    return want


def _resolve(name: str, dims: tuple[Dim, ...], named: Mapping[str, int], batches: set[str]) -> Shape:
    shape: list[int | str] = []
    for index, dim in enumerate(dims):
        if isinstance(dim, int):
            shape.append(dim)
        elif dim is not None and dim in named:
            shape.append(named[dim])
        elif dim is not None and (index == 0 or dim in batches):
            shape.append(BATCH)
        else:
            example = ",".join(_example(d, i, batches, _is_image(dims)) for i, d in enumerate(dims))
            raise ModelError(
                f"input {name!r} {_words(dims)}: dimension {index} is free and nothing fills it; "
                f"give it with --input-shape {name}:{example}"
                + ("" if _is_image(dims) else " (a number for each word), or an .npz of real tensors with --calibrate")
            )
    return tuple(shape)


def _is_image(dims: Sequence[Dim]) -> bool:
    return len(dims) == 4 and any(dims[axis] in (1, 3) or _is_channels(dims[axis]) for axis in (1, 3))


def _is_channels(dim: Dim) -> bool:
    """transformers' exporters name the channels of an image instead of saying that they are three."""
    return isinstance(dim, str) and "channel" in dim.lower()


def _example(dim: Dim, index: int, batches: set[str], image: bool) -> str:
    if isinstance(dim, int):
        return str(dim)
    if index == 0 or dim in batches or "batch" in str(dim).lower():
        return "1"
    if _is_channels(dim):
        return "3"
    return "224" if image else re.sub(r"\W", "", dim or "").upper() or "SIZE"


def _not_a_batch(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> str | None:
    """Why the free dimension is not a batch; None when one run of two items equals two runs of one."""
    free = {name for name, shape in shapes.items() if BATCH in shape}
    if odd := sorted(name for name in free if BATCH in shapes[name][1:]):
        return f"input {odd[0]!r} does not have it first"
    if not model.graph.output:
        return "the graph has no outputs"
    inputs = list(model.graph.input)
    single = Shapes(dict(shapes), ()).numbers(1)
    problem = ""
    for integers in INTEGERS:
        try:
            first = seeded_feed(inputs, single, seed=0, integers=integers)
            second = seeded_feed(inputs, single, seed=1, integers=integers)
            second = {name: second[name] if name in free else first[name] for name in first}
            session = open_session(write_shapes(model, shapes))
            alone = [run_session(session, first), run_session(session, second)]
            break
        except ProbeError as error:
            problem = f"one item alone does not run ({error})"
    else:
        return problem
    both = {name: np.concatenate([first[name], second[name]]) if name in free else first[name] for name in first}
    try:
        together = run_session(session, both)
    except ProbeError as error:
        return f"two items do not run ({error})"
    for index, output in enumerate(together):
        if not isinstance(output, np.ndarray) or output.ndim == 0 or output.shape[0] != 2:
            return f"output {model.graph.output[index].name!r} does not have the batch as its first dimension"
    for item in range(2):
        gap = difference(alone[item], [o[item : item + 1] for o in together], _BATCH_TOLERANCE)
        if gap is not None:
            return f"an item is answered differently beside another one ({gap})"
    return None


def _words(dims: Sequence[Dim]) -> str:
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in dims) + "]"
