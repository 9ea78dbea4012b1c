"""A draft of a small model, as far as the repairs need one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from tiny_models import make

from edge_export.passes.calibrate import calibrate
from edge_export.pipeline import QuietProgress
from edge_export.state import Draft, ExportOptions, KnownFacts


@dataclass(frozen=True)
class Arrays:
    """Samples for the input `name`: the first axis of `arrays` counts them."""

    arrays: np.ndarray
    name: str = "images"
    description: str = "made up"
    notes: tuple = ()

    def __len__(self):
        return len(self.arrays)

    def __iter__(self):
        return ({self.name: array[None]} for array in self.arrays)


def calibrated(model, given, held, effort="best", name="images", **options):
    """A calibrated draft of `model` (its shapes inferred) with the samples `given` and `held`."""
    model = onnx.shape_inference.infer_shapes(model)
    asked = ExportOptions("m.onnx", Path("m.edge"), calibrate=Path("photos"), effort=effort, **options)
    draft = Draft(asked, None, KnownFacts(), model, model, Arrays(given, name), Arrays(held, name))
    return calibrate(draft, QuietProgress())


def uneven_convnet(seed=0, spread=30.0):
    """Three 1x1 Convs, ReLUs between, whose channels reach differently far; images [1, 4, 8, 8], out [1, 6, 8, 8].

    What the first makes large the second makes small again, so that int8 suffers and equalization can help.
    """
    rng = np.random.default_rng(seed)
    factors = [spread ** rng.uniform(-1, 1, 16) for _ in range(2)]
    shapes = ((16, 4), (16, 16), (6, 16))
    weights, nodes, last = {}, [], "images"
    for i, shape in enumerate(shapes):
        values = rng.standard_normal(shape) / np.sqrt(shape[1])
        values = values * factors[i][:, None] if i < 2 else values
        values = values / factors[i - 1][None, :] if i else values
        bias = rng.standard_normal(shape[0]) * 0.1 * (factors[i] if i < 2 else 1.0)
        weights[f"w{i}"], weights[f"b{i}"] = values.astype(np.float32)[:, :, None, None], bias.astype(np.float32)
        output = f"c{i}" if i < 2 else "out"
        nodes.append(helper.make_node("Conv", [last, f"w{i}", f"b{i}"], [output], name=f"conv{i}", kernel_shape=[1, 1]))
        if i < 2:
            nodes.append(helper.make_node("Relu", [output], [f"r{i}"], name=f"relu{i}"))
            last = f"r{i}"
    return make(nodes, weights, {"images": [1, 4, 8, 8]}, {"out": [1, 6, 8, 8]})


def noise(count, shape=(4, 8, 8), seed=1):
    """Normal noise, `count` samples."""
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)
