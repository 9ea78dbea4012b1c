"""Weights stored compressed, where unpacking them is faster than reading them whole from this storage."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_runtime.blocks.arena import Arena
from edge_runtime.blocks.prepared import PreparedBlock, StoredWeights
from edge_runtime.blocks.storage import FileStorage, import_zstandard, room
from edge_runtime.files.atomic import write_bytes
from edge_runtime.plan.measurements import Speeds

__all__ = ["Compressed", "compress"]

_LEVEL = 3  # beyond it, packing takes much longer and weights get hardly smaller
_SAMPLE = 1 << 20
# What unpacking has to gain: below this, measuring errors decide.
_GAIN = 0.9
_RUNS = 3


@dataclass(frozen=True)
class Compressed:
    """A block with the name of its compressed weights, their bytes and the time to unpack them; 0 for none."""

    block: PreparedBlock
    bytes: int = 0
    ms: float = 0.0


def compress(block: PreparedBlock, folder: Path, speeds: Speeds) -> Compressed:
    """Write the block's weights compressed, measure, and keep the file if it would load faster than the plain one."""
    weights = block.weights
    if weights is None or importlib.util.find_spec("zstandard") is None:
        return Compressed(block)
    fresh = not weights.packed
    if fresh:
        packed = _write(weights, folder, speeds)
        if packed is None:
            return Compressed(block)
        block = replace(block, weights=packed)
        weights = packed
    ms = _unpack_ms(weights, folder)
    plain = weights.size / speeds.read_bytes_per_s + weights.size / speeds.cached_bytes_per_s
    if weights.packed_bytes / speeds.read_bytes_per_s + ms / 1000 > _GAIN * plain:
        if not fresh:  # older measurements, perhaps in use, rely on the file
            return Compressed(block)
        (folder / weights.packed).unlink(missing_ok=True)
        return Compressed(replace(block, weights=replace(weights, packed="", packed_bytes=0)))
    return Compressed(block, weights.packed_bytes, ms)


def _write(weights: StoredWeights, folder: Path, speeds: Speeds) -> StoredWeights | None:
    """Compress a sample, and the whole if storage alone would gain by it."""
    compressor = import_zstandard().ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
    data = (
        np.memmap(folder / weights.file, np.uint8, "r", shape=weights.size) if weights.size else np.zeros(0, np.uint8)
    )
    middle = max(weights.size - _SAMPLE, 0) // 2
    sample = data[middle : middle + _SAMPLE].tobytes()
    if not sample or len(compressor.compress(sample)) > _GAIN * len(sample):
        return None
    payload = compressor.compress(data.data)
    path = folder / f"{weights.file}.zst"
    write_bytes(path, payload)
    return replace(weights, packed=path.name, packed_bytes=len(payload))


def _unpack_ms(weights: StoredWeights, folder: Path) -> float:
    into = Arena(room(weights.size)).view(0, "uint8", (room(weights.size),)).view(np.uint8)
    storage = FileStorage(folder)
    times = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        storage.unpack(weights, into)
        times.append(time.perf_counter() - started)
    return min(times) * 1000
