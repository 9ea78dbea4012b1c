"""See: whether FP32 itself finds anything in the pictures that there are; a model that does not judges nothing.

Two models that see nothing agree on everything: the figures of that are left out, and so is the verdict rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.calibration import ImageCalibration
from edge_export.evaluate.data.images import find_images, read_image, spread
from edge_export.run import ProtoSession, open_session
from edge_export.state import Draft, Progress
from edge_runtime.results import Result
from edge_runtime.vision.runner import VisionRunner
from edge_runtime.vision.settings import Settings

__all__ = ["look_whether_fp32_sees"]

_MOST = 256  # evaluation pictures: a model that has seen nothing in so many is taken for blind


def look_whether_fp32_sees(draft: Draft, progress: Progress) -> Draft:
    """Take the verdict rule and the agreement from a model that finds nothing in any calibration or evaluation picture.

    Looks until something is found, mostly at one picture. Classes are always found; an anomaly score counts as found
    where two pictures differ in it. Nothing to do without pictures, or where nothing is judged or agreed on.
    """
    facts = draft.model_facts()
    finds = _FINDS.get(facts.postprocess.task)
    if finds is None or facts.preprocess is None or len(draft.inputs) != 1:
        return draft
    runner = VisionRunner(facts, ProtoSession(open_session(draft.reference)), Settings.of(facts))
    looked, scores = 0, set[float]()
    with progress.step("look whether FP32 finds anything", 1) as advance:
        for image in _pictures(draft):
            result = runner([image])[0]
            looked += 1
            if result.score is not None:
                scores.add(float(result.score))
            if finds(result, facts.thresholds.confidence, scores):
                return draft
        advance()
    if looked == 0 or (facts.postprocess.task == "anomaly" and looked == 1):
        return draft
    return _blind(draft, looked, facts.thresholds.confidence)


def _blind(draft: Draft, looked: int, confidence: float) -> Draft:
    pictures = "the one picture" if looked == 1 else f"any of the {looked} pictures"
    warning = (
        f"FP32 itself finds nothing in {pictures} of calibration and evaluation (confidence from {confidence:g}): its "
        "answers may be misread, and that the bundle agrees proves nothing; it has no verdict rule, edge-run says "
        "NO_READ. Give pictures with something to find, or the flags that read this model: --format, --box, --scale, "
        "--colour, --conf"
    )
    return dataclasses.replace(
        draft,
        blind=True,
        facts=dataclasses.replace(draft.facts, verdict=None, unconfirmed=None),
        accuracy=tuple(row for row in draft.accuracy if row.metric not in _AGREEMENTS),
        stages=tuple(dataclasses.replace(stage, agreement=None) for stage in draft.stages),
        warnings=(warning, *draft.warnings),
    )


def _pictures(draft: Draft) -> Iterator[NDArray[np.uint8]]:
    """The calibration pictures, then those of --evaluate; none that were made up."""
    for one in (draft.holdout, draft.calibration):
        if isinstance(one, ImageCalibration):
            yield from one.images()
    folder = draft.options.evaluate
    if folder is None or not folder.is_dir():
        return
    paths = find_images(folder)
    for index in spread(len(paths), draft.options.evaluate_limit or _MOST, draft.options.seed):
        image = read_image(paths[index])
        if image is not None:
            yield image


def _found_any(result: Result, confidence: float, _scores: set[float]) -> bool:
    return any(prediction.confidence >= confidence for prediction in result.predictions)


def _found_scores(_result: Result, _confidence: float, scores: set[float]) -> bool:
    return len(scores) > 1


_FINDS: dict[str, Callable[[Result, float, set[float]], bool]] = {
    "detect": _found_any,
    "segment": _found_any,
    "anomaly": _found_scores,
}
_AGREEMENTS = ("agreement", "box_f1", "mask_f1", "points_f1", "oriented_f1", "mask_miou", "same_verdict")
