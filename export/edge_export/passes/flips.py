"""Flips: the held-back images whose answer changed, where no labelled images have shown them already."""

from __future__ import annotations

import dataclasses

from edge_export.certificate.flips import Collector
from edge_export.evaluate.data.calibration import ImageCalibration
from edge_export.evaluate.runners import runner_of
from edge_export.state import Draft, Progress
from edge_runtime.vision.settings import Settings

__all__ = ["collect_flips"]

FEW = 8


def collect_flips(draft: Draft, progress: Progress) -> Draft:
    """Fill `flips` from the held-back images; nothing to do for tensors, made-up images and raw answers."""
    held, facts = draft.holdout, draft.facts
    if draft.flips is not None or not isinstance(held, ImageCalibration) or len(draft.inputs) != 1:
        return draft
    if facts.preprocess is None or facts.postprocess is None or facts.postprocess.task == "raw":
        return draft
    told = draft.model_facts()
    collector, settings = Collector(told), Settings.of(told)  # the answers are kept: only what the device reports
    looked = _few(held) if draft.options.effort == "fast" else held
    with progress.step("look for changed answers", 2 * len(looked)) as advance:
        answers = []
        # One session after the other: two of a heavy model are too many.
        fp32 = runner_of(draft, True, settings)
        for image in looked.images():
            answers.append(fp32([image])[0])
            advance()
        del fp32
        bundle = runner_of(draft, False, settings)
        for path, image, answer in zip(looked.paths, looked.images(), answers, strict=True):
            collector.see(path, image, answer, bundle([image])[0])
            advance()
    return dataclasses.replace(draft, flips=collector.result(looked.description))


def _few(held: ImageCalibration) -> ImageCalibration:
    """A few of the images, evenly spread: who asks for a fast export does not wait for pictures."""
    if len(held) <= FEW:
        return held
    paths = tuple(held.paths[index * len(held) // FEW] for index in range(FEW))
    return dataclasses.replace(held, paths=paths, description=f"{FEW} of {held.description}")
