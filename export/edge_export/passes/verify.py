"""Verify: the finished graph against the FP32 one, on samples that no range was taken from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_export.quant.noise import NoiseMeter, decibels
from edge_export.run import run_both
from edge_export.search.targets import RUINED_DB, TARGET_DB
from edge_export.state import Draft, Progress
from edge_runtime.bundle.manifest import Accuracy
from edge_runtime.bundle.postprocess_spec import Raw
from edge_runtime.errors import ModelError

__all__ = ["verify"]

SAMPLES = 16


def verify(draft: Draft, progress: Progress) -> Draft:
    """Add the signal-to-noise ratio and the largest difference of every output to `accuracy`.

    An output far from FP32's becomes a warning. A model that answers with NaN where FP32 does not, or with another
    shape or type, is not written.
    """
    meter = NoiseMeter(draft.facts.postprocess or Raw())
    largest: dict[str, float] = {}
    count = 0
    for expected, found in run_both(draft.reference, draft.model, draft.held_out(SAMPLES)):
        count += 1
        for name, values in expected.items():
            _check(draft, name, values, found[name])
            if isinstance(values, np.ndarray) and values.dtype.kind in "fiub" and values.size:
                gap = _largest_gap(values, found[name])
                largest[name] = max(largest.get(name, 0.0), gap)
        meter.see(expected, found)
    data = f"{draft.holdout.description} ({count} compared)"
    figures = [Accuracy(f"sqnr_db {part}", data, None, round(decibels(r), 2)) for part, r in meter.ratios().items()]
    figures += [Accuracy(f"max_abs_diff {name}", data, None, gap) for name, gap in largest.items() if np.isfinite(gap)]
    levels = {part: decibels(ratio) for part, ratio in meter.ratios().items()}
    return replace(draft, accuracy=(*draft.accuracy, *figures), warnings=(*draft.warnings, *_doubts(draft, levels)))


def _doubts(draft: Draft, levels: dict[str, float]) -> tuple[str, ...]:
    """A warning where outputs are further from FP32 than precision was chosen for."""
    low = {part: level for part, level in levels.items() if level < TARGET_DB}
    if not low:
        return ()
    much = "little is left of the model's answers" if min(low.values()) < RUINED_DB else "answers may differ"
    options = draft.options
    if options.quantize == "int8" and "auto" not in options.keep_fp16:
        advice = "keep sensitive layers at FP16 with --keep-fp16 auto"
    elif options.quantize == "int8":
        advice = "give other --calibrate data or more --samples, or use --quantize fp16"
    else:
        advice = "use --quantize fp32"
    found = ", ".join(f"{part!r} at {level:.1f} dB" for part, level in low.items())
    return (
        f"outputs far from FP32: {found}, the target is {TARGET_DB:.0f} dB ({draft.holdout.description}): {much}; "
        f"{advice}, and measure with --evaluate",
    )


def _largest_gap(expected: NDArray[np.generic], found: NDArray[np.generic]) -> float:
    """Return the largest absolute difference; infinity where the shapes differ (boxes after NMS may)."""
    if expected.shape != found.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        gaps = np.abs(expected.astype(np.float64) - found.astype(np.float64))
    return float(np.nanmax(gaps, initial=0.0))


def _check(draft: Draft, name: str, expected: object, found: object) -> None:
    if not isinstance(expected, np.ndarray) or not isinstance(found, np.ndarray):
        return
    if expected.dtype != found.dtype or expected.ndim != found.ndim:
        raise ModelError(
            f"output {name!r} changed from {expected.dtype} {expected.shape} to {found.dtype} {found.shape}"
        )
    if expected.dtype.kind == "f" and np.isfinite(expected).all() and not np.isfinite(found).all():
        raise ModelError(
            f"output {name!r} holds values that are not finite after conversion; "
            "keep its last layers at FP16 with --keep-fp16, or use --quantize fp32"
        )
