"""Weights outside their graphs: in files of one temporary folder, so that a copy of a graph copies no weights.

A graph in memory names such a file by its absolute path. onnxruntime maps the file, and `tensor_array` does; pages of
it are in memory only while something reads them.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

__all__ = [
    "Spot",
    "WeightFolder",
    "inside",
    "is_heavy",
    "loadable",
    "outside_spot",
    "point_outside",
    "stored_size",
    "tensor_array",
    "without_initializers",
]

# Smaller tensors stay in the graph, and so do integers: these may be shapes, which are looked at.
THRESHOLD = 1024
_ALIGNMENT = 64
_TYPES = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.UINT8})
# With more weights than this, how often a session holds them decides what an export needs.
_HEAVY = 48 << 20
# One map for each file: a map of its own for each tensor would hold a file descriptor each.
_maps: weakref.WeakValueDictionary[Path, np.memmap[tuple[int], np.dtype[np.uint8]]] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class Spot:
    """Where a tensor outside its graph lies: `length` bytes at `offset` of `file`."""

    file: Path
    offset: int
    length: int


class WeightFolder:
    """A temporary folder for weights; it is removed with the last reference to this object, or when Python exits."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="edgeline-weights-"))
        self._files = 0
        self._remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder; graphs whose weights lie in it cannot be used any more."""
        self._remove()

    def move_out(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """Return a copy of a model whose big float and 8-bit initializers lie in this folder, equal ones once.

        It is the model itself where all of them do already.
        """
        if not any(_is_big(weight) and outside_spot(weight) is None for weight in model.graph.initializer):
            return model
        slim = without_initializers(model)
        self._files += 1
        path = self.path / f"weights-{self._files}.bin"
        places: dict[tuple[int, bytes], int] = {}
        end = 0
        with path.open("wb") as stream:
            for weight in model.graph.initializer:
                if not _is_big(weight) or outside_spot(weight) is not None:
                    slim.graph.initializer.append(weight)
                    continue
                data = tensor_array(weight).tobytes()
                key = (len(data), hashlib.sha256(data).digest())
                if key not in places:
                    stream.write(b"\0" * (-end % _ALIGNMENT))
                    places[key] = end + -end % _ALIGNMENT
                    stream.write(data)
                    end = places[key] + len(data)
                outside = slim.graph.initializer.add(name=weight.name, data_type=weight.data_type, dims=weight.dims)
                point_outside(outside, str(path), places[key], len(data))
        return slim


def _is_big(weight: onnx.TensorProto) -> bool:
    return weight.data_type in _TYPES and stored_size(weight) >= THRESHOLD


def stored_size(weight: onnx.TensorProto) -> int:
    """Return the bytes of an initializer of a type that `WeightFolder` moves; of others what they take in the graph."""
    if weight.data_type not in _TYPES:
        return int(weight.ByteSize())
    return int(math.prod(weight.dims) * onnx.helper.tensor_dtype_to_np_dtype(weight.data_type).itemsize)


def is_heavy(model: onnx.ModelProto) -> bool:
    """Tell whether a model has so many weights that sessions for a few runs had better not copy them."""
    spots = (outside_spot(weight) for weight in model.graph.initializer)
    return sum(spot.length for spot in spots if spot is not None) > _HEAVY


def outside_spot(weight: onnx.TensorProto) -> Spot | None:
    """Return where the data of an initializer lies, None where it is in the graph itself."""
    if weight.data_location != TensorProto.EXTERNAL:
        return None
    entries = {entry.key: entry.value for entry in weight.external_data}
    return Spot(Path(entries["location"]), int(entries["offset"]), int(entries["length"]))


def point_outside(weight: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    """Turn an initializer into a reference to `length` bytes at `offset` of the file `location`."""
    name, kind, dims = weight.name, weight.data_type, list(weight.dims)
    weight.Clear()
    weight.name, weight.data_type = name, kind
    weight.dims.extend(dims)
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        weight.external_data.add(key=key, value=value)


def tensor_array(weight: onnx.TensorProto) -> NDArray[np.generic]:
    """Return the value of an initializer, read-only, from the graph or from outside."""
    spot = outside_spot(weight)
    if spot is None:
        return np.asarray(numpy_helper.to_array(weight))
    mapped = _maps.get(spot.file)
    if mapped is None:
        mapped = np.memmap(spot.file, np.uint8, "r")
        _maps[spot.file] = mapped
    dtype = onnx.helper.tensor_dtype_to_np_dtype(weight.data_type)
    part = mapped[spot.offset : spot.offset + spot.length]
    return np.asarray(part.view(dtype).reshape(tuple(weight.dims)))


def inside(weight: onnx.TensorProto) -> onnx.TensorProto:
    """Return an initializer with its data in it."""
    return weight if outside_spot(weight) is None else numpy_helper.from_array(tensor_array(weight), weight.name)


@contextlib.contextmanager
def loadable(model: onnx.ModelProto | Path) -> Iterator[str | bytes]:
    """Give what onnxruntime loads: a path, or a whole graph; the file of a graph with weights outside lies beside them
    while it is loaded."""
    if isinstance(model, Path):
        yield str(model)
        return
    spots = [spot for spot in map(outside_spot, model.graph.initializer) if spot is not None]
    if not spots:
        yield model.SerializeToString()
        return
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for weight in copy.graph.initializer:
        if (spot := outside_spot(weight)) is not None:
            point_outside(weight, spot.file.name, spot.offset, spot.length)
    with tempfile.NamedTemporaryFile(dir=spots[0].file.parent, suffix=".onnx") as stream:
        stream.write(copy.SerializeToString())
        stream.flush()
        yield stream.name


def without_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy all of a model but its weights: these are never in memory twice."""
    slim = onnx.ModelProto()
    for source, target, skipped in ((model, slim, "graph"), (model.graph, slim.graph, "initializer")):
        for field_, value in source.ListFields():
            if field_.name == skipped:
                continue
            if field_.is_repeated:
                getattr(target, field_.name).extend(value)
            elif field_.type == field_.TYPE_MESSAGE:
                getattr(target, field_.name).CopyFrom(value)
            else:
                setattr(target, field_.name, value)
    return slim
