"""Open samples: what gives ranges, and what is held out to judge by."""

from __future__ import annotations

import dataclasses

from edge_export.evaluate.data.calibration import RandomCalibration, SmoothImages, choose_images, open_calibration
from edge_export.evaluate.data.holdout import hold_out, with_holdout
from edge_export.evaluate.data.images import find_images
from edge_export.evaluate.data.labelled import NoLabelsError, open_labelled
from edge_export.evaluate.data.noise_fit import fit_noise
from edge_export.state import CalibrationSet, Draft, Progress
from edge_runtime.vision.preprocess import Preprocessor

__all__ = ["open_samples"]

UNCALIBRATED_SAMPLES = 4


def open_samples(draft: Draft, progress: Progress) -> Draft:
    """Fill `calibration` and `holdout`: from --calibrate, else made up. Raises DataError where nothing is usable."""
    samples = _opened(draft)
    if isinstance(samples, RandomCalibration):
        samples = fit_noise(samples, draft.model)
    calibration, holdout = hold_out(samples, draft.options.samples)
    notes = calibration.notes if draft.options.calibrate else ()
    return dataclasses.replace(draft, calibration=calibration, holdout=holdout, notes=(*draft.notes, *notes))


def _opened(draft: Draft) -> CalibrationSet:
    options, inputs, preprocess = draft.options, draft.inputs, draft.facts.preprocess
    if options.calibrate is not None:
        return open_calibration(options.calibrate, inputs, preprocess, with_holdout(options.samples), options.seed)
    # Without data the blocks and the written file can still be checked; int8 refuses (see the calibrate pass).
    count = options.samples if options.random_calibration else UNCALIBRATED_SAMPLES
    if preprocess is None or len(inputs) != 1:
        return RandomCalibration(inputs, options.seed, count=count)
    preprocessor = Preprocessor(preprocess)
    if options.evaluate is not None:
        try:
            labelled = open_labelled(options.evaluate, options.evaluate_limit, options.seed)
            paths = [item.path for item in labelled.items]
        except NoLabelsError:
            paths = find_images(options.evaluate)
            if not paths:
                raise
        return choose_images(options.evaluate, paths, inputs[0], preprocessor, count, options.seed)
    return SmoothImages(inputs[0], preprocessor, options.seed, count)
