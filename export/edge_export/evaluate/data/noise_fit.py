"""Noise that a model can run on: its integers may be rows of a small table, which most integers lie outside of."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx

from edge_export.evaluate.data.calibration import RandomCalibration
from edge_export.probe import INTEGERS
from edge_export.run import OrtError, open_session, run
from edge_export.state import Feeds
from edge_runtime.errors import DataError

__all__ = ["fit_noise"]


def fit_noise(noise: RandomCalibration, model: onnx.ModelProto) -> RandomCalibration:
    """Return the noise with the widest range of integers, of those tried, on which the model runs at both ends.

    Noise without integers wider than a pixel stays as it is. Raises DataError where the model runs on none of it.
    """
    if not any(_is_wide(spec.dtype) for spec in noise.inputs):
        return noise
    session = open_session(model, optimize=False, pack=False)
    reason = ""
    for high in (noise.integer_high, *INTEGERS):
        fitted = dataclasses.replace(noise, integer_high=high, count=1)
        sample = next(iter(fitted))
        try:
            for one in (sample, _at_the_top(sample, high)):
                run(session, one)
        except OrtError as error:
            reason = reason or error.reason
        else:
            return dataclasses.replace(noise, integer_high=high)
    try:
        run(session, next(iter(noise)))
    except OrtError as error:
        raise DataError(
            f"the model runs on no random input that was tried ({reason}); give --calibrate an .npz of real tensors"
        ) from error
    return noise


def _is_wide(dtype: str) -> bool:
    return np.dtype(dtype).kind in "iu" and np.dtype(dtype).itemsize > 1


def _at_the_top(sample: Feeds, high: int) -> Feeds:
    """The sample with every wide integer as large as it may be drawn."""
    return {
        name: np.full_like(values, high - 1) if _is_wide(values.dtype.name) else values
        for name, values in sample.items()
    }
