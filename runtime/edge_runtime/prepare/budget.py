"""What a bundle may take of memory, storage and processor time on its first contact with native code.

Generous by an order of magnitude for what a bundle of that size can want, and no more: a graph of a few kilobytes can
ask for 3 GB of zeros, or for 2^62 rounds of a loop. All of it is known from sizes, before a graph is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_runtime.bundle.manifest import Manifest

__all__ = ["STACK_BYTES", "Budget", "budget_of"]

STACK_BYTES = 64 << 20  # of address space for a thread: its stack, and the C library's heap for it

# int4 weights become FP32 ones, kernels pack them once more, and the whole graph is held beside what is written.
_WEIGHT_TIMES, _FILE_TIMES = 24, 16
_LEAST_BYTES, _LEAST_FILE = 1 << 30, 64 << 20
# The values between the layers of a segmenter that keeps its full resolution, against its inputs and outputs.
_VALUE_TIMES = 128
_LEAST_SECONDS, _MOST_SECONDS = 8.0, 3600.0
# Multiplications a second of the slowest core: a network uses each weight once for each pixel at most.
_PRODUCTS_PER_SECOND = 1e9


@dataclass(frozen=True)
class Budget:
    """Bytes of a process's own memory, bytes of a file that it writes, seconds of processor time for one run."""

    memory_bytes: int
    file_bytes: int
    seconds: float


def budget_of(manifest: Manifest, batch: int = 1) -> Budget:
    """Return what the bundle may take, `batch` images at a time."""
    weights = manifest.files["weights.bin"].size + manifest.files["model.onnx"].size
    values = pixels = 0
    for spec in (*manifest.inputs, *manifest.outputs):
        count = math.prod(spec.least_shape)
        values += count * np.dtype(spec.dtype).itemsize
        pixels = max(pixels, count)
    products = float(weights) * pixels * batch
    return Budget(
        _LEAST_BYTES + _WEIGHT_TIMES * weights + _VALUE_TIMES * values * batch,
        _LEAST_FILE + _FILE_TIMES * weights,
        min(_LEAST_SECONDS + products / _PRODUCTS_PER_SECOND, _MOST_SECONDS),
    )
