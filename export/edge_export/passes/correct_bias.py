"""Correct biases: give each int8 layer's outputs the mean that they have in FP32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_export.quant.repair.accept import repaired
from edge_export.quant.repair.bias import activation_behind, can_shift, channel_means, corrections, output_axis
from edge_export.quant.repair.layerwise import LayerwiseRun
from edge_export.quant.workbench import Workbench
from edge_export.state import Draft, Progress

__all__ = ["SAMPLES", "correct_bias", "measured_shifts"]

SAMPLES = {"good": 16, "best": 64}
BUDGET = 24 << 20  # bytes of activations held in memory; the rest waits in files


def correct_bias(draft: Draft, progress: Progress) -> Draft:
    """Return the draft with `shifts` for its int8 nodes, or as it was where they gain nothing."""
    return repaired(draft, progress, "bias correction", ("good", "best"), _change)


def _change(draft: Draft, progress: Progress) -> tuple[Draft, str] | None:
    shifts = measured_shifts(draft, SAMPLES[draft.options.effort])
    if not shifts:
        return None
    return replace(draft, shifts=shifts), f"biases of {len(shifts)} layers moved"


def measured_shifts(draft: Draft, samples: int) -> dict[str, NDArray[np.float32]]:
    """Return the shift of every able node with a bias, or room for one, measured on calibration samples."""
    with Workbench(replace(draft, shifts={})) as bench:
        items = [item for item in bench.able if can_shift(item)]
        if not items:
            return {}
        feeds = list(draft.samples(samples))
        behind = {str(item.node.output[0]): activation_behind(bench.graph, item) for item in items}
        axes = {str(item.node.output[0]): output_axis(item) for item in items}
        expected = channel_means(draft.model, behind, axes, feeds)
        layerwise = LayerwiseRun(bench.model(bench.all_able("int8")), bench.folder, feeds, BUDGET, "int8")
        return corrections(layerwise, items, behind, expected)
