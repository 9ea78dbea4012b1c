"""Run a graph under plain onnxruntime on seeded inputs: the proof that a rewrite changed nothing.

Nothing here optimizes: sessions are made with graph optimizations off, so what runs is what the file says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from edge_export import run
from edge_runtime.errors import ModelError

__all__ = [
    "INTEGERS",
    "PROTO_LIMIT",
    "Probe",
    "ProbeError",
    "difference",
    "open_session",
    "run_session",
    "seeded_feed",
]

# protobuf cannot serialize a message of 2 GiB or more.
PROTO_LIMIT = (1 << 31) - (1 << 16)
_SEED = 20240229
# Relative to the largest magnitude of an output: reassociating float sums moves it by a few units in the
# last place.
_TOLERANCE = {"float16": 5e-3, "float32": 1e-4, "float64": 1e-9}
_FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64, TensorProto.FLOAT16: np.float16}
# A probe is a test run, not a benchmark: more elements than this in one input mean a mistaken dimension.
_MAX_ELEMENTS = 1 << 28

# Ranges of integer inputs to try in turn: tokens, flags, and nothing but zeros where an index may be no more.
INTEGERS = (100, 2, 1)

Array = NDArray[Any]
Shape = tuple[Union[int, str], ...]


class ProbeError(Exception):
    """onnxruntime refused to load or run the graph; the message is its reason on one line."""


def open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Load the graph as it is, without optimization. Raises ProbeError with onnxruntime's reason."""
    try:
        return run.open_session(model, optimize=False, pack=False)
    except run.OrtError as error:
        raise ProbeError(error.reason) from error


def run_session(session: onnxruntime.InferenceSession, feed: Mapping[str, Array]) -> list[Any]:
    """Run once and return the outputs in order; raises ProbeError with onnxruntime's reason."""
    try:
        return list(run.run(session, feed).values())
    except run.OrtError as error:
        raise ProbeError(error.reason) from error


def seeded_feed(
    inputs: Sequence[onnx.ValueInfoProto],
    shapes: Mapping[str, tuple[int, ...]],
    seed: int = 0,
    integers: int = 100,
) -> dict[str, Array]:
    """One array per graph input, values plausible for its type.

    Floats are 0..1 (pixels, features), uint8 and int8 their whole range, strings "a". Wider integers are 0
    or 1 (indices, counts and flags), in a matrix (tokens, bytes) 0 to `integers` - 1.
    """
    generator = np.random.default_rng(_SEED + seed)
    feed: dict[str, Array] = {}
    for value in inputs:
        shape = shapes[value.name]
        if int(np.prod(shape, dtype=np.float64)) > _MAX_ELEMENTS:
            raise ModelError(
                f"input {value.name!r}: expected at most {_MAX_ELEMENTS} elements, found shape "
                f"{list(shape)}; give a smaller one with --input-shape"
            )
        feed[value.name] = _seeded(generator, value.type.tensor_type.elem_type, shape, value.name, integers)
    return feed


def _seeded(generator: np.random.Generator, kind: int, shape: tuple[int, ...], name: str, integers: int) -> Array:
    if kind in _FLOATS:
        return np.asarray(generator.random(shape)).astype(_FLOATS[kind])
    if kind in (TensorProto.UINT8, TensorProto.INT8):
        low, high, dtype = (0, 256, np.uint8) if kind == TensorProto.UINT8 else (-128, 128, np.int8)
        return np.asarray(generator.integers(low, high, shape)).astype(dtype)
    if kind == TensorProto.STRING:
        return np.full(shape, "a", dtype=object)
    if kind in (
        TensorProto.BOOL,
        TensorProto.INT16,
        TensorProto.UINT16,
        TensorProto.INT32,
        TensorProto.UINT32,
        TensorProto.INT64,
        TensorProto.UINT64,
    ):
        high = integers if len(shape) > 1 and kind != TensorProto.BOOL else min(integers, 2)
        return np.asarray(generator.integers(0, high, shape)).astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    raise ProbeError(f"input {name!r} has element type {TensorProto.DataType.Name(kind)}, which numpy cannot make")


@dataclass(frozen=True)
class Probe:
    """Inputs (one per batch size that is tried) and what the original graph answers to each."""

    feeds: tuple[dict[str, Array], ...]
    expected: tuple[tuple[Any, ...], ...]

    @classmethod
    def record(cls, model: onnx.ModelProto, feeds: Sequence[dict[str, Array]]) -> Probe:
        """Run the original twice: a graph that draws random numbers cannot be compared with anything."""
        session = open_session(model)
        expected = [run_session(session, feed) for feed in feeds]
        for feed, first in zip(feeds, expected, strict=True):
            if problem := difference(first, run_session(session, feed)):
                raise ProbeError(f"the graph answers the same input differently each time ({problem})")
        return cls(tuple(feeds), tuple(tuple(answer) for answer in expected))

    def compare(self, model: onnx.ModelProto) -> str | None:
        """None when `model` answers the same; else what differs, or onnxruntime's reason not to run it."""
        try:
            session = open_session(model)
            for feed, expected in zip(self.feeds, self.expected, strict=True):
                if problem := difference(expected, run_session(session, feed)):
                    return problem
        except ProbeError as error:
            return str(error)
        return None


def difference(expected: Sequence[Any], found: Sequence[Any], factor: float = 1.0) -> str | None:
    """Say how two lists of outputs (tensors, or sequences and maps of them) differ; None when they do not.

    Floats may differ by 1e-4 (FP16: 5e-3, FP64: 1e-9), times `factor`, of the output's largest magnitude.
    Quantized integers of 8 bits may differ by one step; other integers, strings and booleans not at all.
    """
    if len(expected) != len(found):
        return f"{len(expected)} outputs became {len(found)}"
    for index, (first, second) in enumerate(zip(expected, found, strict=True)):
        if problem := _differs(first, second, factor):
            return f"output {index}: {problem}"
    return None


def _differs(first: Any, second: Any, factor: float) -> str | None:
    if isinstance(first, Mapping):
        if not isinstance(second, Mapping) or set(first) != set(second):
            return "the keys of a map differ"
        return difference([first[key] for key in first], [second[key] for key in first], factor)
    if isinstance(first, (list, tuple)):
        return difference(first, second, factor) if isinstance(second, (list, tuple)) else "a sequence became a tensor"
    if first is None or second is None:
        return None if first is second else "an optional value appeared or vanished"
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype}{list(a.shape)} became {b.dtype}{list(b.shape)}"
    if a.size == 0:
        return None
    if a.dtype.kind == "f":
        return _floats_differ(a.astype(np.float64), b.astype(np.float64), _TOLERANCE[a.dtype.name] * factor)
    if a.dtype in (np.uint8, np.int8):
        steps = int(np.abs(a.astype(np.int32) - b.astype(np.int32)).max())
        return f"values differ by {steps} quantization steps" if steps > 1 else None
    return None if np.array_equal(a, b) else "values differ"


def _floats_differ(a: Array, b: Array, tolerance: float) -> str | None:
    special = ~np.isfinite(a)
    if not np.array_equal(special, ~np.isfinite(b)) or not np.array_equal(a[special], b[special], equal_nan=True):
        return "infinities or NaNs differ"
    a, b = a[~special], b[~special]
    if a.size == 0:
        return None
    gap, scale = float(np.abs(a - b).max()), max(float(np.abs(a).max()), 1e-6)
    return f"values differ by {gap:.3g} where the largest is {scale:.3g}" if gap > tolerance * scale else None
