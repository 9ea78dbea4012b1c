"""Whether what a reading finds in real pictures can be true: boxes inside the picture and with area, scores of 0..1
that vary within an answer, classes in range, points in the picture. A misread answer is seldom so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.model.families.family import Answers, Reading
from edge_export.model.words import without_advice
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Segment
from edge_runtime.errors import EngineError
from edge_runtime.results import Result
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.postprocess.candidates import Candidates
from edge_runtime.vision.postprocess.detect import candidates
from edge_runtime.vision.postprocess.readers.table import READERS
from edge_runtime.vision.settings import Settings

__all__ = ["Look", "Opinion", "judge"]

_LEAST = 0.001  # below it a row is padding
_FAINT = 0.05  # from here on a box says something of the reading
_CLEAR = 0.25  # and one of these at least must be there for it to be confirmed
_MOST_LOOKED_AT = 20  # boxes of a picture
_FEWEST = 3  # boxes in all pictures that confirm a reading
_MARGIN = 0.05  # of the input's side: so far a box may reach beyond the picture
_CORNER = 8  # pixels of the input: offsets and logarithms of sizes are smaller
_DENSE = 500  # rows from which most must be empty: cells of a head
_BARRED = 0.3  # of the boxes, in the bars of a letterbox
_FREE = 0.1  # of the boxes, there if their numbers are swapped
_CROWDED = 0.3  # of a dense head's rows


@dataclass(frozen=True)
class Look:
    """One picture as the model answers it in FP32, and where it lies in the input."""

    answers: Answers
    place: Placement


@dataclass(frozen=True)
class Opinion:
    """What pictures say of a reading: why it cannot be ("" where it can), and in how many something was found.

    `unread`: the answers cannot even be read so. `doubt` is what speaks against it without being proof.
    """

    against: str
    found: int = 0
    unread: bool = False
    doubt: str = ""


def judge(facts: ModelFacts, looks: Sequence[Look], reading: Reading | None = None, real: bool = True) -> Opinion:
    """Say what pictures tell of the way that `facts` read a model; `reading` is the row that it comes from.

    Half of the boxes may be odd before it is called wrong; of a mere guess a tenth. Pictures that are not `real` only
    tell what cannot be read at all.
    """
    post, batch = facts.postprocess, facts.batch or 1
    found: list[Candidates] = []
    results: list[Result] = []
    try:
        for look in looks:
            places = [look.place] * batch
            if isinstance(post, Detect):
                found.append(candidates(post, facts, look.answers, places, _LEAST)[0])
            else:
                results.append(interpret(facts, look.answers, places, Settings.of(facts))[0])
    except EngineError as error:
        hint = "; raw ones need --task anomaly --anomaly-range MIN,MAX,THRESHOLD" if isinstance(post, Anomaly) else ""
        return Opinion(without_advice(error) + hint, unread=True)
    if not real:
        return Opinion("")
    # What tells rows of one shape apart is not asked where the file has named the row.
    if reading is not None and not reading.told:
        against = reading.family.fits(reading.match, [look.answers for look in looks])
        if against:
            return Opinion(against)
    if isinstance(post, Detect):
        return _judge_boxes(post, facts, found, looks, 0.1 if reading is not None and not reading.told else 0.5)
    if isinstance(post, Anomaly):
        scores = {result.score for result in results}
        return Opinion("", len(results) if len(scores) > 1 or len(looks) == 1 else 0)
    if isinstance(post, (Classify, Segment)) and post.activation == "none":
        first = looks[0].answers[post.output or facts.outputs[0].name] if looks else np.zeros(0)
        return Opinion("", _varied(post, results, first))
    return Opinion("")


def _varied(post: Classify | Segment, results: Sequence[Result], answer: NDArray[np.generic]) -> int:
    """In how many pictures the graph's own probabilities or indices tell something; 0 where they are alike in all.

    A class of pixels that is taken for the background is the most frequent one. A single channel has no doubt of it.
    """
    if isinstance(post, Classify):
        said = {tuple(round(one.confidence, 4) for one in result.predictions) for result in results}
        return len(results) if len(said) > 1 else 0
    masks = [result.mask for result in results if result.mask is not None]
    counts = sum((np.bincount(mask.ravel(), minlength=256) for mask in masks), np.zeros(256, np.int64))
    channel = 1 if post.axis == "channels-first" else 3
    single = answer.ndim == 4 and answer.shape[channel] == 1 and answer.dtype.kind == "f" and not post.indices
    if post.background >= 0 and not single and counts.argmax() != post.background:
        return 0
    return sum(len(np.unique(mask)) > 1 for mask in masks)


def _judge_boxes(
    post: Detect, facts: ModelFacts, found: Sequence[Candidates], looks: Sequence[Look], odd_share: float
) -> Opinion:
    every = np.concatenate([part.scores for part in found])
    if len(every) >= _MOST_LOOKED_AT and np.ptp(every) < 1e-4:
        return Opinion(f"every score is {every[0]:.3g}: no scores")
    rows = _rows(post, facts, looks[0].answers) if looks else 0
    clear = [int(np.count_nonzero(part.scores >= _CLEAR)) for part in found]
    if rows >= _DENSE and max(clear, default=0) > _CROWDED * rows:
        return Opinion(f"{max(clear)} of its {rows} rows find something in one picture")
    best = [_best(part) for part in found]
    odd = [_odd(part, look.place) for part, look in zip(best, looks, strict=True)]
    count, wrong = sum(map(len, odd)), sum(int(np.count_nonzero(part)) for part in odd)
    if wrong > count * odd_share:
        return Opinion(f"{wrong} of {count} boxes do not lie in the picture with an area{_example(best, odd)}")
    if (
        count >= _FEWEST
        and np.mean(np.concatenate([(np.abs(part.boxes) < _CORNER).all(axis=1) for part in best])) > 0.9
    ):
        return Opinion("its boxes lie in the picture's corner")
    if against := _against_points(best, looks):
        return Opinion(against)
    sure = count >= _FEWEST and any(clear)
    return Opinion("", sum(bool(number) for number in clear) if sure else 0, doubt=_doubt(best, looks))


def _rows(post: Detect, facts: ModelFacts, answers: Answers) -> int:
    """How many rows heads have that are not finished; 0 where that is not told by their first outputs."""
    names = post.outputs or tuple(output.name for output in facts.outputs)
    shapes = [answers[name].shape for name in names[: len(post.strides) if len(names) > 1 and post.strides else 1]]
    if READERS[post.format].finished or any(len(shape) != 3 for shape in shapes):
        return 0
    axis = 2 if post.column_axis == 1 and post.format != "boxes-scores" else 1
    return sum(int(shape[axis]) for shape in shapes)


def _best(found: Candidates) -> Candidates:
    order = np.argsort(-found.scores, kind="stable")[:_MOST_LOOKED_AT]
    return found.take(order[found.scores[order] >= _FAINT])


def _odd(found: Candidates, place: Placement) -> NDArray[np.bool_]:
    """Which boxes have no area, are larger than the picture, or reach out of it."""
    boxes = np.nan_to_num(found.boxes.astype(np.float64), nan=1e9, posinf=1e9, neginf=-1e9)
    side = np.array([place.input_width, place.input_height])
    sizes, centres = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    start = np.array([place.offset_x, place.offset_y])
    end = start + np.array([place.width * place.scale_x, place.height * place.scale_y])
    low, high = np.maximum(start, 0) - _MARGIN * side, np.minimum(end, side) + _MARGIN * side
    flat = (sizes < 1).any(axis=1)
    if found.angles is not None:  # its upright form reaches beyond what it covers
        out = (centres < low).any(axis=1) | (centres > high).any(axis=1) | (np.abs(found.angles) > 2 * np.pi)
        return np.asarray(flat | out | (sizes > 2 * side.max()).any(axis=1))
    # Through a letterbox' bars a box may reach, its centre may not lie there.
    centre = (centres < low).any(axis=1) | (centres > high).any(axis=1)
    reach = (boxes[:, :2] < -_MARGIN * side).any(axis=1) | (boxes[:, 2:] > (1 + _MARGIN) * side).any(axis=1)
    return np.asarray(flat | centre | reach)


def _doubt(best: Sequence[Candidates], looks: Sequence[Look]) -> str:
    """Whether boxes reach into the bars around the pictures, and would not if their y came before their x."""
    read = swapped = count = 0
    for found, look in zip(best, looks, strict=True):
        place = look.place
        start = np.array([place.offset_x, place.offset_y] * 2)
        end = start + np.array([place.width * place.scale_x, place.height * place.scale_y] * 2)
        margin = _MARGIN * np.array([place.input_width, place.input_height] * 2)
        low, high = np.maximum(start, 0) - margin, end + margin
        for order in ([0, 1, 2, 3], [1, 0, 3, 2]):
            out = int(np.count_nonzero(((found.boxes[:, order] < low) | (found.boxes[:, order] > high)).any(axis=1)))
            read, swapped = (read + out, swapped) if order[0] == 0 else (read, swapped + out)
        count += len(found.boxes)
    if count < _FEWEST or read < _BARRED * count or swapped > _FREE * count:
        return ""
    return f"{read} of {count} boxes reach into the bars around the picture, and with y before x (--box yxyx) {swapped}"


def _example(best: Sequence[Candidates], odd: Sequence[NDArray[np.bool_]]) -> str:
    for found, wrong in zip(best, odd, strict=True):
        if wrong.any():
            corners = ", ".join(f"{value:.4g}" for value in found.boxes[int(np.flatnonzero(wrong)[0])])
            return f": one is at {corners} of the input"
    return ""


def _against_points(best: Sequence[Candidates], looks: Sequence[Look]) -> str:
    shares = []
    for found, look in zip(best, looks, strict=True):
        if found.points is not None and found.points.size:
            side = np.array([look.place.input_width, look.place.input_height])
            places = found.points[:, :, :2]
            corner = (np.abs(places) < 2).all(axis=2).mean()
            outside = ((places < -side / 2) | (places > 1.5 * side)).any(axis=2).mean()
            shares.append((corner, outside))
    if not shares:
        return ""
    corner, outside = np.mean(shares, axis=0)
    if corner > 0.9:
        return "its key points lie in the picture's corner"
    return "its key points lie outside of the picture" if outside > 0.1 else ""
