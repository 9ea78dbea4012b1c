"""Rehearse: one image through the manifest's own pre- and post-processing, as the device will do it.

What a flag says wrongly (a size, an axis, a format, labels) is found here and not at the camera.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.calibration import ImageCalibration, SmoothImages
from edge_export.model.flags import NO_VERDICT
from edge_export.model.interface import outputs_read
from edge_export.model.metadata import GUESS, GUESSED_OUTPUTS
from edge_export.model.words import without_advice, written
from edge_export.run import ProtoSession, open_session
from edge_export.state import Draft, Progress
from edge_runtime.bundle.facts import VerdictRule
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Segment
from edge_runtime.errors import DataError, EngineError, ModelError, UsageError
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.candidates import Question
from edge_runtime.vision.postprocess.images import by_image
from edge_runtime.vision.postprocess.readers.by_stride import count_classes
from edge_runtime.vision.runner import VisionRunner
from edge_runtime.vision.settings import Settings

__all__ = ["rehearse"]

# The flags to look at when the answers of a task cannot be read.
_FAMILY = {
    "classify": "--task, --outputs, --activation, --first-class",
    "detect": "--task, --family, --format, --outputs, --columns, --axis, --strides, --objectness, --activation, "
    "--background, --size",
    "segment": "--task, --outputs, --axis, --activation",
    "anomaly": "--task, --map-output, --score-output, --anomaly-range",
    "raw": "--size, --layout, --dtype",
}
_ROW_FORMATS = ("yolo", "yolo-objectness", "grid", "final")


def rehearse(draft: Draft, progress: Progress) -> Draft:
    """Run one image through the finished graph and read the answer; nothing to do for a model that takes tensors.

    Raises UsageError where flags do not fit the model. What was merely guessed of the answers is dropped instead:
    the model then answers with raw tensors.
    """
    facts = draft.facts
    if facts.preprocess is None or len(draft.inputs) != 1:
        return draft
    session = ProtoSession(open_session(draft.model))
    told = draft.model_facts()
    try:
        VisionRunner(told, session, Settings.of(told))([_image(draft)])
    except (EngineError, DataError, ModelError) as error:
        task, reason = told.postprocess.task, without_advice(error)
        if facts.origin.get("postprocess") == GUESS:
            return _without_guess(draft, reason)
        raise UsageError(
            f"the model's answer to an image cannot be read as {task} ({written(facts, draft.options.flags)}): "
            f"{reason}; look at {_FAMILY[task]}"
        ) from error
    return _check_labels(draft, _classes(draft, session.outputs))


def _image(draft: Draft) -> NDArray[np.uint8]:
    if isinstance(draft.calibration, (ImageCalibration, SmoothImages)):
        return next(draft.calibration.images())
    spec = draft.facts.preprocess
    return np.full((spec.height, spec.width, 3) if spec is not None else (64, 64, 3), 128, np.uint8)


def _without_guess(draft: Draft, reason: str) -> Draft:
    """The draft as of a model that answers with raw tensors; what was noted of the guess goes with it."""
    kept = (note for note in draft.notes if not note.startswith((GUESSED_OUTPUTS, NO_VERDICT)))
    note = f"the outputs are given as they are, no guess of what they mean fits; set --task and its flags: {reason}"
    facts = dataclasses.replace(draft.facts, postprocess=None, verdict=None, unconfirmed=None)
    return dataclasses.replace(draft, facts=facts, notes=(*kept, note))


def _check_labels(draft: Draft, counts: tuple[int, ...]) -> Draft:
    """Compare the names that are known with the classes that the model scores (`counts`; empty: it does not tell)."""
    facts = draft.facts
    labels = facts.labels or ()
    _check_rule(facts.verdict, labels, counts)
    if not counts or not labels or len(labels) in counts:
        return draft
    words = f"{len(labels)} labels for {counts[0]} classes"
    if _is_given(facts.origin.get("labels", "")):
        raise UsageError(
            f"{words}: the model scores {counts[0]}; give --labels with one name for each, in the order of their ids"
            + (", or set --first-class, --background or --axis" if facts.postprocess else "")
        )
    return dataclasses.replace(draft, notes=(*draft.notes, f"{words}: the model's file names them wrongly"))


def _is_given(origin: str) -> bool:
    return origin == "flag" or origin.startswith("file ")


def _check_rule(rule: VerdictRule | None, labels: tuple[str, ...], counts: tuple[int, ...]) -> None:
    for name in (*rule.classes, *rule.ok_classes) if rule is not None and not labels and counts else ():
        found = re.fullmatch(r"class_(\d+)", name)
        if found and int(found[1]) >= max(counts):
            raise UsageError(f"the verdict names {name}, but the model scores the classes 0 to {max(counts) - 1}")


def _classes(draft: Draft, outputs: Mapping[str, NDArray[np.generic]]) -> tuple[int, ...]:
    """The numbers of labels that fit the scores, the likeliest first; () where the outputs do not tell."""
    post = draft.facts.postprocess
    named = post.outputs if isinstance(post, Detect) else outputs_read(post)
    names = named or tuple(spec.name for spec in draft.outputs)
    if isinstance(post, Classify) and post.binary:
        return (2,)
    if isinstance(post, Classify):
        return (outputs[names[0]].size // (draft.inputs[0].batch or 1) - post.first_class,)
    if isinstance(post, Segment):
        scores = outputs[names[0]]
        if scores.ndim != 4 or scores.dtype.kind in "iu":
            return ()
        count = int(scores.shape[1 if post.axis == "channels-first" else 3])
        return (2, 1) if count == 1 else (count,)  # a single channel tells foreground from background
    if isinstance(post, Detect) and _by_stride(post) and draft.facts.preprocess is not None:
        size = draft.facts.preprocess
        place = Placement(size.width, size.height, size.width, size.height, 1.0, 1.0, 0.0, 0.0)
        ask = Question(post, names, 0, 0.0, place)
        return (count_classes(ask, by_image(ask, outputs, draft.inputs[0].batch or 1)[0]) - post.first_class,)
    return _detected(post, [outputs[name] for name in names]) if isinstance(post, Detect) else ()


def _by_stride(post: Detect) -> bool:
    """Whether a detector's outputs are its heads."""
    cut = bool(post.columns) or len(post.outputs) > 1
    return post.format in ("anchors", "fastest-v2", "distances") or (post.format == "grid" and cut)


def _detected(post: Detect, tensors: list[NDArray[np.generic]]) -> tuple[int, ...]:
    background = int(post.background != "none")
    if post.format == "boxes-scores":
        rows, columns = tensors[1].shape[-2:]
        turned = columns == tensors[0].shape[1] != rows
        return ((rows if turned else columns) - background - post.first_class,)
    if post.format == "fastest":
        return (tensors[0].shape[-3] - 5,)
    if post.format not in _ROW_FORMATS or "classes" not in post.row:  # finished boxes hold ids only
        return ()
    before = post.row_values + background + post.first_class
    rows, columns = tensors[0].shape[-2:]
    # The reader turns the axes where only the other order fits the labels.
    return (rows - before, columns - before) if post.column_axis == 1 else (columns - before, rows - before)
