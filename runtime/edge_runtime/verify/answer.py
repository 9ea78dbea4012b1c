"""What a model's outputs mean, in a few numbers, and whether two such answers are the same.

golden.npz keeps it of every sample (`answer_00`, ...), in pixels of the model's input:
    detect     float32 [boxes, 6]: x1 y1 x2 y2 confidence class, best first, from MARGIN below the threshold on; with
               turned boxes, key points or masks the rows are longer (objects.py)
    classify   float32 [classes, 2]: confidence and class, best first
    segment    uint8 [rows, columns]: the class of every nth pixel
    anomaly    float32 [1]: the score
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Postprocess
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import BundleError
from edge_runtime.results import Result
from edge_runtime.verify.objects import overlaps, packed_objects, unlike
from edge_runtime.vision.class_names import class_name
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.settings import Settings

__all__ = ["MARGIN", "WORDS", "Likeness", "compare_answers", "read_answer"]

Array = NDArray[np.generic]
Floats = NDArray[np.float32]

# How far a confidence or a score may move by rounding: noise of 20 dB on a score of 1. An answer has changed where more
# than this on both sides is needed to explain it.
MARGIN = 0.1
# What is the same or not, by task.
WORDS = {"detect": "boxes", "classify": "classes", "segment": "pixels", "anomaly": "verdicts"}
_SAME_BOX = 0.5  # IoU
_MASK_SIDE = 128


@dataclass(frozen=True)
class Likeness:
    """The `share` (0..1) of two answers that is the same, and what has plainly changed, in words; "" for nothing."""

    share: float
    change: str


def read_answer(facts: ModelFacts, outputs: Mapping[str, Array]) -> Array | None:
    """Return what the outputs for one image mean; None for a model that takes or gives mere tensors.

    A graph with a fixed batch was given the image in every place. Raises EngineError for outputs that cannot be read.
    """
    spec, task = facts.preprocess, facts.postprocess.task
    if spec is None or len(facts.inputs) != 1 or task not in WORDS:
        return None
    settings = Settings.of(facts)
    settings = dataclasses.replace(settings, confidence=max(settings.confidence - MARGIN, 0.001))
    post = facts.postprocess
    if isinstance(post, Classify):  # the runner-up tells how sure the best one is
        facts = dataclasses.replace(facts, postprocess=dataclasses.replace(post, top_k=5))
    places = [_whole(spec)] * (facts.batch or 1)
    return _packed(post, interpret(facts, outputs, places, settings)[0])


def _whole(spec: Preprocess) -> Placement:
    return Placement(spec.width, spec.height, spec.width, spec.height, 1.0, 1.0, 0.0, 0.0)


def _packed(post: Postprocess, result: Result) -> Array:
    if isinstance(post, Detect):
        return packed_objects(post, result.predictions)
    if post.task == "classify":
        return np.array([(p.confidence, p.class_id) for p in result.predictions], np.float32).reshape(-1, 2)
    if post.task == "segment" and result.mask is not None:
        step = -(-max(result.mask.shape) // _MASK_SIDE)
        return np.ascontiguousarray(result.mask[::step, ::step])
    return np.array([result.score], np.float32)


def compare_answers(facts: ModelFacts, recorded: Array, found: Array) -> Likeness:
    """Compare two of read_answer's results. `recorded` comes from a file, so that its shape is checked."""
    task = facts.postprocess.task
    free = (
        0 if task in ("segment", "anomaly") else 1
    )  # dimensions that may differ: there may be another number of boxes
    if recorded.ndim != found.ndim or recorded.shape[free:] != found.shape[free:] or recorded.dtype != found.dtype:
        return Likeness(0.0, f"the answer was {_kind(recorded)}, here it is {_kind(found)}")
    if not np.isfinite(recorded).all():
        raise BundleError("golden.npz holds an answer that is no number; copy the bundle again")
    expected, given = np.asarray(recorded, np.float32), np.asarray(found, np.float32)
    if isinstance(facts.postprocess, Detect):
        return _boxes(facts, facts.postprocess, expected, given)
    if task == "classify":
        return _classes(facts, expected, given)
    if task == "segment":
        return _pixels(recorded, found)
    return _score(facts, expected, given)


def _boxes(facts: ModelFacts, post: Detect, expected: Floats, given: Floats) -> Likeness:
    """F1 of the objects that are reported; a change is one well above the threshold that has no counterpart at all."""
    threshold = facts.thresholds.confidence
    change = _lost(facts, post, expected, given, "is not found here")
    change = change or _lost(facts, post, given, expected, "is found here only")
    left, right = expected[expected[:, 4] >= threshold], given[given[:, 4] >= threshold]
    free, pairs = np.ones(len(right), np.bool_), 0
    for box in left:
        for place in _counterparts(post, box, right):
            if free[place] and right[place, 5] == box[5] and not unlike(post, box, right[place]):
                free[place] = False
                pairs += 1
                break
    total = len(left) + len(right)
    return Likeness(2.0 * pairs / total if total else 1.0, change)


def _counterparts(post: Detect, box: Floats, others: Floats) -> list[int]:
    """Which of the others lie where `box` does, the nearest first."""
    overlap = overlaps(post, box, others)
    return [place for place in np.argsort(-overlap, kind="stable").tolist() if overlap[place] >= _SAME_BOX]


def _lost(facts: ModelFacts, post: Detect, boxes: Floats, others: Floats, words: str) -> str:
    # Whatever class it has there: of two that are as likely, rounding takes either.
    for box in boxes[boxes[:, 4] >= facts.thresholds.confidence + MARGIN]:
        found = [unlike(post, box, others[place]) for place in _counterparts(post, box, others)]
        if not found or all(found):
            name = class_name(facts.labels, int(box[5]))
            what = f"{found[0]} here" if found else words
            return f"{name} {box[4]:.2f} at {box[0]:.0f},{box[1]:.0f} {what}"
    return ""


def _classes(facts: ModelFacts, expected: Floats, given: Floats) -> Likeness:
    """The best class is the same; a change is one that neither margin explains."""
    if not len(expected) or not len(given):
        return Likeness(float(len(expected) == len(given)), "")
    was, now = expected[0], given[0]
    if was[1] == now[1]:
        return Likeness(1.0, "")
    before = expected[expected[:, 1] == now[1], 0]  # the new best one's confidence, not above the last that is listed
    gap = float(was[0]) - float(before[0] if before.size else expected[-1, 0])
    names = [class_name(facts.labels, int(row[1])) for row in (was, now)]
    clear = gap > 2 * MARGIN
    return Likeness(0.0, f"{names[0]} {was[0]:.2f} is {names[1]} {now[0]:.2f} here" if clear else "")


def _kind(array: Array) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _pixels(recorded: Array, found: Array) -> Likeness:
    share = float((recorded == found).mean()) if found.size else 1.0
    return Likeness(share, f"{1 - share:.0%} of the pixels have another class" if share < 1 - 2 * MARGIN else "")


def _score(facts: ModelFacts, expected: Floats, given: Floats) -> Likeness:
    threshold, was, now = facts.thresholds.confidence, float(expected[0]), float(given[0])
    same = (was >= threshold) == (now >= threshold)
    clear = not same and abs(was - now) > 2 * MARGIN
    return Likeness(float(same), f"the anomaly score {was:.2f} is {now:.2f} here" if clear else "")
