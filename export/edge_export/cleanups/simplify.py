"""Constant folding, dead code, BatchNorm into Conv: onnxslim does it, and is believed only after a test
run.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import onnxslim
from onnxslim.third_party.onnx_graphsurgeon.ir.tensor import LazyValues

from edge_export.cleanups.proof import Proof
from edge_export.cleanups.repair import sort_nodes
from edge_export.graph.outside import inside, is_heavy, outside_spot, tensor_array
from edge_export.run import one_line

__all__ = ["simplify"]

# Folding must not blow up a file: a constant above this size stays computed when the whole grows by more than
# the factor below.
_LARGE_CONSTANT = 1 << 16
_GROWTH = 1.05
# onnxslim's gentler half, tried when the whole changes a result.
_STEPS: tuple[tuple[str, ...], ...] = ((), ("graph_fusion", "subexpression_elimination", "weight_tying"))


def simplify(model: onnx.ModelProto, proof: Proof) -> tuple[onnx.ModelProto, list[str]]:
    """Return the simplified graph, or the model as it was with a note when that cannot be proved the same.

    What is made of weights is moved to where the proof says.
    """
    if proof.probe is None:
        return model, []
    if not is_heavy(model):  # onnxslim does not look outside everywhere
        model = _with_weights(model)
    problem = ""
    for skipped in _STEPS:
        for threshold in (None, _LARGE_CONSTANT):
            try:
                slim = _slim(model, skipped, threshold)
            except Exception as error:  # noqa: BLE001 - onnxslim raises whatever its rewrites trip over
                problem = one_line(error, 160) or type(error).__name__
                break
            if threshold is None and _bytes(slim) > _GROWTH * _bytes(model) + _LARGE_CONSTANT:
                continue
            _keep_interface(model, slim)
            if proof.weights is not None:
                slim = proof.weights.move_out(slim)
            problem = proof.probe.compare(slim) or ""
            if not problem:
                note = f"{len(model.graph.node)} nodes became {len(slim.graph.node)}"
                if skipped:
                    note += ", by constant folding alone"
                return slim, [note]
            break
    return model, [f"the graph was not simplified: onnxslim fails on it ({problem})"]


def _slim(model: onnx.ModelProto, skipped: tuple[str, ...], threshold: int | None) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with _quiet(), _reading_outside():
        slim = onnxslim.slim(copy, skip_optimizations=list(skipped) or None, size_threshold=threshold)
    for weight in slim.graph.initializer:
        if weight.HasField("raw_data"):  # what was made of a weight outside says that it lies there too
            weight.ClearField("data_location")
    return slim


def _with_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for weight in copy.graph.initializer:
        weight.CopyFrom(inside(weight))
    return copy


def _bytes(model: onnx.ModelProto) -> int:
    """Return the size of a model with the weights that lie outside."""
    spots = (outside_spot(weight) for weight in model.graph.initializer)
    return int(model.ByteSize()) + sum(spot.length for spot in spots if spot is not None)


@contextlib.contextmanager
def _reading_outside() -> Iterator[None]:
    """onnxslim looks for weights outside a graph in the working directory; it gets them from where they are."""
    original = LazyValues.load
    LazyValues.load = lambda self: np.array(tensor_array(self.tensor))
    try:
        yield
    finally:
        LazyValues.load = original


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """onnxslim writes to stdout, warns, and sets up logging of its own; all of that stays away."""
    logger = logging.getLogger("onnxslim")
    previous = logging.root.manager.disable
    silence = io.StringIO()
    with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(previous)
            logger.handlers.clear()


def _keep_interface(original: onnx.ModelProto, slim: onnx.ModelProto) -> None:
    """Inputs and outputs stay as they were, also those that folding left without a reader."""
    for field in ("input", "output"):
        values = getattr(slim.graph, field)
        del values[:]
        values.extend(getattr(original.graph, field))
    if not slim.metadata_props:
        slim.metadata_props.extend(original.metadata_props)
    slim.ir_version = original.ir_version
    slim.graph.name = original.graph.name or "graph"
    sort_nodes(slim.graph)
