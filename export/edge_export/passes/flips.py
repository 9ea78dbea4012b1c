"""Flips: the held-back images whose answer changed, and how far the finished bundle agrees with FP32 on them, where no
labelled images have shown that already.
"""

from __future__ import annotations

import dataclasses
import math

from edge_export.certificate.figures import agreement_in_words, worst_agreement
from edge_export.certificate.flips import Collector
from edge_export.evaluate.data.calibration import ImageCalibration
from edge_export.evaluate.metrics.answers import FIDELITY
from edge_export.evaluate.runners import runner_of
from edge_export.evaluate.scores import Options, faithful_scores, faithful_tally
from edge_export.search.targets import RUINED_SHARE
from edge_export.state import Draft, Progress
from edge_runtime.bundle.manifest import Accuracy
from edge_runtime.vision.settings import Settings

__all__ = ["collect_flips"]

FEW = 8


def collect_flips(draft: Draft, progress: Progress) -> Draft:
    """Fill `flips` from the held-back images, and add the agreement with FP32 on them to `accuracy`; nothing to do for
    tensors, made-up images and raw answers. Where most answers are not FP32's, that is a warning.
    """
    held, facts = draft.holdout, draft.facts
    if draft.flips is not None or not isinstance(held, ImageCalibration) or len(draft.inputs) != 1:
        return draft
    if facts.preprocess is None or facts.postprocess is None or facts.postprocess.task not in FIDELITY:
        return draft
    told = draft.model_facts()
    collector, settings = Collector(told), Settings.of(told)  # the answers are kept: only what the device reports
    options = Options.of(told, draft.options.seed)
    faithful = faithful_tally(options.task, options)
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
            found = bundle([image])[0]
            collector.see(path, image, answer, found)
            faithful.see(answer, found)
            advance()
    scores = faithful_scores(faithful, len(looked), draft.options.seed)
    # That two models which see nothing agree is no agreement; --evaluate has more images, or the model's own weights.
    told_of = () if draft.blind or worst_agreement(draft.accuracy) else scores
    rows = tuple(score.row(looked.description) for score in told_of if math.isfinite(score.value))
    return dataclasses.replace(
        draft,
        flips=collector.result(looked.description),
        accuracy=(*draft.accuracy, *rows),
        warnings=(*draft.warnings, *_doubts(draft, (*draft.accuracy, *rows))),
    )


def _doubts(draft: Draft, rows: tuple[Accuracy, ...]) -> tuple[str, ...]:
    """A warning where most answers are not FP32's."""
    row = worst_agreement(rows)
    if draft.params is None or row is None or row.bundle >= RUINED_SHARE:
        return ()
    if draft.options.effort == "fast":
        advice = "give --effort good or best, more --calibrate pictures of the real scene, or --quantize fp16"
    else:
        advice = "give more --calibrate pictures of the real scene, or --quantize fp16"
    return (f"most answers are not FP32's: {agreement_in_words(row)}; {advice}, and measure with --evaluate",)


def _few(held: ImageCalibration) -> ImageCalibration:
    """A few of the images, evenly spread: who asks for a fast export does not wait for pictures."""
    if len(held) <= FEW:
        return held
    paths = tuple(held.paths[index * len(held) // FEW] for index in range(FEW))
    return dataclasses.replace(held, paths=paths, description=f"{FEW} of {held.description}")
