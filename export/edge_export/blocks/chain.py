"""The chain of blocks beside the whole graph: does running them one after another give the same answer?

"The same" is to the last bit, or, for what onnxruntime's optimizer may reorder, within the rounding of FP32: a sum in
another order differs by about 1e-6 of its value (120 dB), a step of int8 by 1e-2 (40 dB).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from edge_export.blocks.models import block_model
from edge_export.graph import copy_without_weights
from edge_export.graph.outside import is_heavy
from edge_export.run import open_session, run
from edge_export.state import Cut, Feeds, ValueFact

__all__ = ["ROUNDING_DB", "ChainCheck", "near_bits", "run_sessions", "same_bits"]

# Above this signal-to-noise ratio two results differ by the rounding of FP32 sums alone.
ROUNDING_DB = 90.0


class ChainCheck:
    """Compares chains with the whole graph on a few feeds; weights lie once in `folder`, however many cuts are tried.

    `optimize`: with onnxruntime's full optimizer, or as the graphs say. One session is open at a time.
    """

    def __init__(self, model: onnx.ModelProto, feeds: Sequence[Feeds], folder: Path, optimize: bool) -> None:
        self._slim = copy_without_weights(model, folder, "chain.bin")
        self._folder, self._feeds, self._optimize = folder, feeds, optimize
        self._lean = is_heavy(model)
        whole = self._open(self._slim)
        self._expected = [run(whole, feed) for feed in feeds]

    def same(self, cuts: Sequence[Cut], facts: Mapping[str, ValueFact]) -> bool:
        """Tell whether the blocks of `cuts` give every output, on every feed: to the last bit without the optimizer,
        within the rounding of FP32 with it."""
        alike = near_bits if self._optimize else same_bits
        values = [dict(feed) for feed in self._feeds]
        for index, cut in enumerate(cuts):
            session = self._open(block_model(self._slim, cut, facts, index))
            later = {name for after in cuts[index + 1 :] for name in after.inputs}.union(*self._expected)
            for number, known in enumerate(values):
                made = {**known, **run(session, known)}
                values[number] = {name: value for name, value in made.items() if name in later}
        return all(alike(expected, found) for expected, found in zip(self._expected, values, strict=True))

    def _open(self, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
        path = self._folder / "chain.onnx"
        path.write_bytes(model.SerializeToString())
        return open_session(path, self._optimize, keep_arena=False, lean=self._lean)


def run_sessions(sessions: Sequence[onnxruntime.InferenceSession], feeds: Feeds) -> Feeds:
    """Run sessions one after another, each on what came before, and return every value that was made."""
    values = dict(feeds)
    for session in sessions:
        values.update(run(session, values))
    return values


def same_bits(expected: Feeds, found: Feeds) -> bool:
    """Tell whether every expected output was found with the same type, shape and bytes."""
    return all(_same(value, found[name]) for name, value in expected.items())


def near_bits(expected: Feeds, found: Feeds) -> bool:
    """Tell whether every expected output was found to within ROUNDING_DB; what is no float has to be the same."""
    return all(_near(value, found[name]) for name, value in expected.items())


def _near(a: object, b: object) -> bool:
    if _same(a, b):
        return True
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape and a.dtype == b.dtype):
        return False
    if a.dtype.kind != "f":
        return False
    signal = float(np.square(a, dtype=np.float64).sum())
    noise = float(np.square(a.astype(np.float64) - b.astype(np.float64)).sum())
    return noise <= signal * 10 ** (-ROUNDING_DB / 10)  # False for NaN


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return str(a) == str(b)
