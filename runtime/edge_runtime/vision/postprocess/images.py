"""Which part of a batch's outputs is an image's: told by the first dimension, by a column, or by counts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import EngineError
from edge_runtime.vision.postprocess.candidates import Question, misshaped
from edge_runtime.vision.postprocess.readers.table import READERS
from edge_runtime.vision.postprocess.tensors import floats, output_of, split

__all__ = ["by_image", "lie_together", "rows_by_image", "rows_of_all_images", "together"]

Floats = NDArray[np.float32]
_WHOLE = 0.01  # how far from a whole number an image's may be that FP16 or int8 has rounded
Outputs = Mapping[str, NDArray[np.generic]]


def by_image(ask: Question, outputs: Outputs, count: int) -> list[list[Floats]]:
    """For each of `count` images its part of every output that is read."""
    ranks = (*READERS[ask.spec.format].ranks, *(0 for _ in ask.names))
    tensors = [_floats(split(outputs, name, count, rank), name) for name, rank in zip(ask.names, ranks, strict=False)]
    return [[tensor[index] for tensor in tensors] for index in range(count)]


def lie_together(ask: Question, outputs: Outputs) -> bool:
    """Whether the rows of all images lie in outputs without a batch dimension, as [M, .]."""
    ranks = READERS[ask.spec.format].ranks
    return "batch" in ask.spec.columns or (bool(ranks) and output_of(outputs, ask.names[0]).ndim < ranks[0])


def rows_of_all_images(facts: ModelFacts, outputs: Outputs) -> tuple[str, ...]:
    """The outputs whose first dimension is no batch, but the objects of all images; () for other models."""
    spec = facts.postprocess
    if not isinstance(spec, Detect):
        return ()
    names = spec.outputs or tuple(output.name for output in facts.outputs)
    ranks = READERS[spec.format].ranks
    if "batch" not in spec.columns and not (ranks and names and output_of(outputs, names[0]).ndim < ranks[0]):
        return ()
    prototypes = spec.masks.output if spec.masks and spec.masks.kind == "prototypes" else ""
    beside = (spec.points.output if spec.points else "", spec.masks.output if spec.masks else "")
    return tuple(name for name in (*names, *beside) if name != prototypes)


def rows_by_image(ask: Question, outputs: Outputs, count: int, images: int) -> list[NDArray[np.int64]] | None:
    """For each of `count` images the numbers of its rows among those of all `images`; None where nothing tells them."""
    rows = output_of(outputs, ask.names[0])
    if "batch" in ask.spec.columns:
        return _by_column(ask, together(ask, outputs), count, images)
    if ask.spec.format != "final" or len(ask.names) < 2 or rows.ndim > 2:
        return None
    counts = output_of(outputs, ask.names[1]).reshape(-1).astype(np.int64)
    ends = np.cumsum(counts)
    if len(counts) < count or (counts < 0).any() or ends[-1] > len(rows):
        raise EngineError(
            f"expected how many of {len(rows)} rows each of {count} images has in output {ask.names[1]!r}, found "
            f"{counts[:8].tolist()}; export again with the right --outputs"
        )
    return [np.arange(end - found, end) for found, end in zip(counts.tolist(), ends.tolist(), strict=True)][:count]


def together(ask: Question, outputs: Outputs, place: int = 0) -> Floats:
    """The rows of all images, [M, .], in the output at `place`: OpenVINO's DetectionOutput gives [1, 1, M, 7]."""
    rows = _floats(output_of(outputs, ask.names[place]), ask.names[place])
    while rows.ndim > 2 and len(rows) == 1:
        rows = rows[0]
    return rows


def _by_column(ask: Question, rows: Floats, count: int, images: int) -> list[NDArray[np.int64]]:
    column = sum(ask.spec.values_of(part) for part in itertools.takewhile(lambda part: part != "batch", ask.spec.row))
    if rows.ndim != 2 or rows.shape[1] <= column:
        raise misshaped(ask, rows, f"[M, {ask.spec.row_values}]")
    numbers = np.rint(rows[:, column])
    if (np.abs(numbers - rows[:, column]) > _WHOLE).any() or (numbers >= images).any():
        raise EngineError(
            f"expected the numbers of {images} images in column {column} of output {ask.names[0]!r}, found "
            f"{rows[:, column].max():.4g}; export again with the right --columns"
        )
    return [np.flatnonzero(numbers == index) for index in range(count)]


def _floats(array: NDArray[np.generic], name: str) -> Floats:
    # Class ids and counts may be integers of any width, and a model with NMS inside may give no row at all.
    return array.astype(np.float32) if array.dtype.kind in "iu" or not array.size else floats(array, name)
