"""From what a model said of pieces of a picture to what that says of the picture."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.bundle.facts import ModelFacts, Verdict
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Raw, Segment
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result
from edge_runtime.station.view.seams import joined
from edge_runtime.station.view.settings import ViewSettings
from edge_runtime.station.view.tiling import Rect
from edge_runtime.vision.settings import Settings
from edge_runtime.vision.verdict import judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Joining", "Piece", "refusals"]

_SEEN = 0.1  # of what was found, the least part beside the mask; with less of it the mask's owner means that place
_VOID = 255


@dataclass(frozen=True)
class Piece:
    """A part of the picture that goes to the model by itself; `core` is what of it no neighbour sees better."""

    rect: Rect
    core: Rect


def refusals(wanted: ViewSettings, facts: ModelFacts) -> Iterator[tuple[str, str]]:
    """Yield what of a station's view, by its key, cannot be asked of a model, and why."""
    spec = facts.postprocess
    if facts.preprocess is None or isinstance(spec, Raw):
        asked = next(field.name for field in dataclasses.fields(wanted) if getattr(wanted, field.name) is not None)
        yield asked, "a model of raw tensors does not say where things are: region, mask and tiles are not for it"
    if wanted.tiles is not None and isinstance(spec, Classify):
        yield "tiles", "a classifier says what a whole picture shows: tiles are not for it; give a region"
    if wanted.tiles is not None and isinstance(spec, Segment) and spec.multilabel:
        yield "tiles", "tiles are not for a model whose classes overlap (multilabel segmentation); give a region"
    if wanted.gate is not None and wanted.gate.scout is not None:
        if not isinstance(spec, Detect):
            yield "gate", "`scout` is for detectors: others do not say how sure they are of what they do not report"
        elif wanted.tiles is None:
            yield "gate", "`scout` chooses tiles, and there are none; add tiles, or leave it out"
    if wanted.mask is not None and isinstance(spec, Anomaly) and (spec.score_output or not spec.has_map):
        yield "mask", "this anomaly model's score is of a whole picture: a mask is not for it; give a region"


class Joining:
    """Puts answers together for one model."""

    def __init__(self, facts: ModelFacts, settings: Settings) -> None:
        self._facts, self._settings = facts, settings

    @property
    def paint(self) -> int | None:
        """What masked pixels are painted with before the model sees them; None: they stay as they are.

        As pictures are padded, which the model knows. Where a map of oddness is the answer, paint would be odd itself.
        """
        spec = self._facts.preprocess
        return None if spec is None or isinstance(self._facts.postprocess, Anomaly) else spec.pad_value

    def whole(
        self,
        shape: tuple[int, ...],
        region: Rect,
        pieces: Sequence[Piece],
        results: Sequence[Result],
        masked: NDArray[np.bool_] | None,
    ) -> Result:
        """Return the answer for a picture of `shape`, from those for its pieces; `masked` is of the whole picture."""
        placed = [_placed(one, piece.rect, shape) for one, piece in zip(results, pieces, strict=True)]
        answer = self._mask(shape, pieces, results, masked)
        timing = Counter[str]()
        for one in results:
            timing.update(one.timing_ms)
        first = dataclasses.replace(results[0], mask=answer, timing_ms=dict(timing))
        if len(results) == 1 and masked is None:
            return dataclasses.replace(first, predictions=placed[0])
        if isinstance(self._facts.postprocess, Classify):  # one piece, painted
            return first
        found = self._predictions(shape, region, pieces, placed, answer)
        if masked is not None:
            found = [one for one in found if _seen(one, masked) > _SEEN]
        score = self._score(results, answer, masked)
        verdict, reasons = judge(self._facts.verdict, self._settings.confidence, found, score)
        if verdict == "OK":
            verdict, reasons = self._doubt(results)
        return dataclasses.replace(first, verdict=verdict, reasons=reasons, predictions=tuple(found), score=score)

    def _doubt(self, results: Sequence[Result]) -> tuple[Verdict, tuple[str, ...]]:
        """The verdict on a picture that would be OK: NO_READ where a piece was not seen, or not all of it was told."""
        for one in results:
            if one.verdict == "NO_READ":
                return "NO_READ", one.reasons
            if one.verdict == "NG" and len(one.predictions) >= self._settings.max_det:
                return "NO_READ", (f"a tile shows more than the {self._settings.max_det} objects that are reported",)
        return "OK", ()

    def _predictions(
        self,
        shape: tuple[int, ...],
        region: Rect,
        pieces: Sequence[Piece],
        placed: Sequence[Sequence[Prediction]],
        answer: NDArray[np.uint8] | None,
    ) -> list[Prediction]:
        if len(pieces) == 1:
            return list(placed[0])
        if isinstance(self._facts.postprocess, Segment) and answer is not None:
            return _regions(answer, [one for each in placed for one in each])
        return joined([(piece.rect, each) for piece, each in zip(pieces, placed, strict=True)], region)

    def _mask(
        self,
        shape: tuple[int, ...],
        pieces: Sequence[Piece],
        results: Sequence[Result],
        masked: NDArray[np.bool_] | None,
    ) -> NDArray[np.uint8] | None:
        """The map of the whole picture: each pixel's class as the best placed tile has it, the largest oddness."""
        spec = self._facts.postprocess
        if not isinstance(spec, (Segment, Anomaly)) or any(one.mask is None for one in results):
            return None
        outside = 0 if isinstance(spec, Anomaly) else spec.background if spec.background >= 0 else _VOID
        whole = np.full(shape[:2], outside, np.uint8)
        for piece, one in zip(pieces, results, strict=True):
            if one.mask is None:
                continue
            rect = piece.rect if isinstance(spec, Anomaly) else piece.core
            rows, columns = slice(rect.top, rect.bottom), slice(rect.left, rect.right)
            part = one.mask[
                rect.top - piece.rect.top : rect.bottom - piece.rect.top,
                rect.left - piece.rect.left : rect.right - piece.rect.left,
            ]
            whole[rows, columns] = np.maximum(whole[rows, columns], part) if isinstance(spec, Anomaly) else part
        if masked is not None:
            whole[masked] = outside
        return whole

    def _score(
        self, results: Sequence[Result], answer: NDArray[np.uint8] | None, masked: NDArray[np.bool_] | None
    ) -> float | None:
        scores = [one.score for one in results if one.score is not None]
        if len(scores) != len(results):
            return None
        if any(not math.isfinite(score) for score in scores):
            return float("nan")
        if masked is None or answer is None:
            return max(scores)
        # The map has 256 levels: half of one more, so that rounding never makes an odd picture a good one.
        return min(max(scores), (int(answer.max()) + 0.5) / 255)


def _placed(result: Result, rect: Rect, shape: tuple[int, ...]) -> tuple[Prediction, ...]:
    """The predictions of a piece where they are in the picture."""
    share = rect.width * rect.height / (shape[0] * shape[1])
    return tuple(_moved(one, rect.left, rect.top, share) for one in result.predictions)


def _moved(one: Prediction, right: int, down: int, share: float) -> Prediction:
    box, turned, mask = one.box, one.oriented, one.mask
    return dataclasses.replace(
        one,
        box=None if box is None else Box(box.x1 + right, box.y1 + down, box.x2 + right, box.y2 + down),
        area=None if one.area is None else one.area * share,
        oriented=None
        if turned is None
        else OrientedBox(turned.x + right, turned.y + down, turned.width, turned.height, turned.angle),
        points=tuple(Point(point.x + right, point.y + down, point.confidence) for point in one.points),
        mask=None if mask is None else Mask(mask.left + right, mask.top + down, mask.inside),
    )


def _seen(one: Prediction, masked: NDArray[np.bool_]) -> float:
    """Which part of what was found lies beside the mask, 0..1. What has no place is everywhere."""
    if one.mask is not None and one.mask.inside.any():
        height, width = one.mask.inside.shape
        under = masked[one.mask.top : one.mask.top + height, one.mask.left : one.mask.left + width]
        inside = one.mask.inside[: under.shape[0], : under.shape[1]]
        return float(np.count_nonzero(inside & ~under)) / max(int(np.count_nonzero(inside)), 1)
    if one.box is None:
        return 1.0
    height, width = masked.shape
    left, top = max(min(math.floor(one.box.x1), width - 1), 0), max(min(math.floor(one.box.y1), height - 1), 0)
    right, bottom = max(math.ceil(one.box.x2), left + 1), max(math.ceil(one.box.y2), top + 1)
    under = masked[top:bottom, left:right]
    if one.oriented is None:
        return 1.0 - float(np.count_nonzero(under)) / under.size
    turned = np.zeros(under.shape, np.uint8)
    corners = np.array([[(x - left, y - top) for x, y in one.oriented.corners()]])
    cv2.fillPoly(turned, [np.rint(corners[0]).astype(np.int32)], 1)
    return float(np.count_nonzero((turned > 0) & ~under)) / max(int(np.count_nonzero(turned)), 1)


def _regions(classes: NDArray[np.uint8], parts: Sequence[Prediction]) -> list[Prediction]:
    """The connected regions of a map put together, largest first: those that a tile found, or a part of them."""
    found = []
    for class_id in sorted({one.class_id for one in parts}):
        own = [one for one in parts if one.class_id == class_id and one.box is not None]
        _, numbers, stats, _ = cv2.connectedComponentsWithStats((classes == class_id).view(np.uint8), connectivity=8)
        surest: dict[int, Prediction] = {}
        for one in own:
            for number in _touched(one, numbers):
                if number not in surest or surest[number].confidence < one.confidence:
                    surest[number] = one
        for number, one in surest.items():
            left, top, width, height, size = (int(value) for value in stats[number])
            box = Box(float(left), float(top), float(left + width), float(top + height))
            found.append(dataclasses.replace(one, box=box, area=size / classes.size))
    return sorted(found, key=lambda one: -(one.area or 0.0))


def _touched(one: Prediction, numbers: NDArray[np.int32]) -> list[int]:
    box = one.box
    if box is None:
        return []
    inside = numbers[max(math.floor(box.y1), 0) : math.ceil(box.y2), max(math.floor(box.x1), 0) : math.ceil(box.x2)]
    return [int(number) for number in np.unique(inside) if number]
