"""What is run while tuning: the bundle's graphs, and golden samples as inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_devices.profile import ProviderChoice
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.tune.rig import Subject
from edge_runtime.verify.golden import load_golden, read_golden

__all__ = ["batch_of", "make_subject"]

_SAMPLES = 8


def make_subject(
    bundle: Bundle, prepared: Path | None, providers: tuple[ProviderChoice, ...] = (), keep: Path | None = None
) -> Subject:
    """Return the bundle as a rig runs it; `providers` beside the CPU may `keep` files in a folder.

    Raises BundleError for golden samples that cannot be read.
    """
    manifest = bundle.manifest
    base, free = batch_of(manifest.inputs)
    samples = []
    arrays = load_golden(bundle.file("golden.npz"))
    for sample in read_golden(arrays, manifest.inputs[0], manifest.preprocess):
        if all(spec.name in sample.feeds for spec in manifest.inputs):
            samples.append({spec.name: sample.feeds[spec.name] for spec in manifest.inputs})
        if len(samples) == _SAMPLES:
            break
    if not samples:  # a bundle of a graph that nobody had inputs for
        samples.append({spec.name: _blank(spec) for spec in manifest.inputs})
    weight_bytes = manifest.model.weight_bytes
    return Subject(bundle.file("model.onnx"), prepared, providers, keep, tuple(samples), base, free, weight_bytes)


def batch_of(inputs: Sequence[TensorSpec]) -> tuple[int, bool]:
    """Return the smallest batch of a model with these inputs, and whether it may be larger."""
    first = [spec.shape[0] if spec.shape else 1 for spec in inputs]
    fixed = [size for size in first if isinstance(size, int)]
    return (fixed[0] if fixed else 1), not fixed


def _blank(spec: TensorSpec) -> NDArray[np.generic]:
    return np.ones([size if isinstance(size, int) else 1 for size in spec.shape], np.dtype(spec.dtype))
