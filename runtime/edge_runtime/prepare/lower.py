"""Lowering: onnxruntime's optimizer runs once, here, and what it made is kept for every later start."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from edge_devices import wants_signed
from edge_runtime.blocks.prepared import StoredWeights
from edge_runtime.blocks.sums import note_graph
from edge_runtime.bundle.external_data import ExternalTensor, external_tensors
from edge_runtime.errors import ModelError
from edge_runtime.files.atomic import crc32_file, sync_path, writing
from edge_runtime.ort.process import block_options, import_onnxruntime, load_session, one_line
from edge_runtime.prepare.named_once import named_once
from edge_runtime.prepare.uint8_to_int8 import uint8_to_int8

__all__ = ["lower"]

_LOG = logging.getLogger(__name__)

# Smaller tensors stay in the graph: as a file of their own bytes they gain nothing.
_OUTSIDE_BYTES = 1024


def lower(
    source: Path, target: Path, threads: int, signed: bool | None = None, packed: bool = False
) -> StoredWeights | None:
    """Write the graph at `source`, optimized for this CPU, as `target` (NAME.onnx) and its weights as NAME.bin.

    Constants are folded (FP16 weights behind a Cast become FP32), nodes fused, convolution weights reordered to the
    CPU's vector width; `signed`: values inside the graph become int8 instead of uint8, None where this CPU likes it.
    `packed`: beside a weight lies the form that its kernel packs it into, where onnxruntime can save that. Without, the
    graph's checksum is noted beside it (blocks/sums.py). Returns its weights, None when all lie in the graph. Raises
    ModelError, OutputError.
    """
    weights = target.with_suffix(".bin")
    signed_model = _signed(source) if (wants_signed() if signed is None else signed) else None
    if signed_model is None:
        tensors = _optimize(source, source, target, threads, packed)
    else:
        try:
            tensors = _optimize(signed_model, source, target, threads, packed)
        except ModelError as error:
            _LOG.debug("%s stays uint8: %s", source, error)
            tensors = _optimize(source, source, target, threads, packed)
    with writing(weights):
        sync_path(target)
        if not packed:  # that one is cut
            note_graph(target)
        # The file also has the tensors of subgraphs, and in some versions no padding behind the last tensor.
        size = max((tensor.offset + tensor.length for tensor in tensors), default=0)
        size = max(size, weights.stat().st_size if weights.exists() else 0)
        if size == 0:
            weights.unlink(missing_ok=True)
            return None
        with weights.open("r+b") as stream:
            os.ftruncate(stream.fileno(), size)
        sync_path(weights)
        return StoredWeights(weights.name, size, crc32_file(weights))


def _signed(source: Path) -> bytes | None:
    """The graph with int8 values; None where nothing changes, and for a file that onnxruntime is to complain of."""
    try:
        model = source.read_bytes()
        found = uint8_to_int8(model)
    except (OSError, ValueError) as error:
        _LOG.debug("%s stays as it is: %s", source, error)
        return None
    return None if found is model else found


def _optimize(graph: Path | bytes, source: Path, target: Path, threads: int, packed: bool) -> list[ExternalTensor]:
    """Let onnxruntime write `target` and its weights from `graph`: `source` or what was made of it."""
    runtime = import_onnxruntime()
    weights = target.with_suffix(".bin")
    options = _options(runtime, threads, target, weights.name, packed)
    if isinstance(graph, bytes):
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(source.parent))
    with writing(weights):
        weights.unlink(missing_ok=True)  # of an attempt that was given up
    load_session(graph, options, str(source), doing="optimize")
    try:
        written = target.read_bytes()
        lowered = named_once(written)
        tensors = external_tensors(lowered)
    except (OSError, ValueError) as error:
        raise ModelError(f"onnxruntime {runtime.__version__} cannot optimize {source}: {one_line(error)}") from error
    if lowered is not written:
        with writing(target):
            target.write_bytes(lowered)
    return tensors


def _options(runtime: Any, threads: int, target: Path, weights: str, packed: bool) -> Any:
    options = block_options(runtime, threads, packed=packed, optimized=False)
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(target)
    for key, value in {
        "session.optimized_model_external_initializers_file_name": weights,
        "session.optimized_model_external_initializers_min_size_in_bytes": str(_OUTSIDE_BYTES),
    }.items():
        options.add_session_config_entry(key, value)
    if packed:
        options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    return options
