"""What is run while tuning: the bundle's graphs, and golden samples as inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_devices.profile import ProviderChoice
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.tune.rig import Subject
from edge_runtime.verify.golden import load_golden, read_golden

__all__ = ["make_subject"]

_SAMPLES = 8


def make_subject(
    bundle: Bundle, prepared: Path | None, providers: tuple[ProviderChoice, ...] = (), keep: Path | None = None
) -> Subject:
    """Return the bundle as a rig runs it; `providers` beside the CPU may `keep` files in a folder.

    Raises BundleError for golden samples that cannot be read.
    """
    manifest = bundle.manifest
    samples = []
    arrays = load_golden(bundle.file("golden.npz"), bundle.manifest.files["golden.npz"].sha256)
    for sample in read_golden(arrays, manifest.inputs[0], manifest.preprocess):
        if all(spec.name in sample.feeds for spec in manifest.inputs):
            samples.append({spec.name: sample.feeds[spec.name] for spec in manifest.inputs})
        if len(samples) == _SAMPLES:
            break
    if not samples:  # a bundle of a graph that nobody had inputs for
        samples.append({spec.name: _blank(spec) for spec in manifest.inputs})
    base, free, weight_bytes = manifest.batch or 1, manifest.batch is None, manifest.model.weight_bytes
    return Subject(bundle.file("model.onnx"), prepared, providers, keep, tuple(samples), base, free, weight_bytes)


def _blank(spec: TensorSpec) -> NDArray[np.generic]:
    return np.ones(spec.least_shape, np.dtype(spec.dtype))
