"""Pictures that show a result: boxes, masks, key points, class labels, and the verdict on a strip above the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge_runtime.bundle.facts import Verdict
from edge_runtime.results import Mask, Point, Prediction, Result
from edge_runtime.vision.contours import contours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

__all__ = ["class_colour", "draw", "verdict_colour"]

Colour = tuple[int, int, int]

# Okabe and Ito, "Color Universal Design" (2008), told apart with every kind of colour vision; here as BGR.
_PALETTE: tuple[Colour, ...] = (
    (0, 159, 230),  # orange
    (233, 180, 86),  # sky blue
    (115, 158, 0),  # bluish green
    (66, 228, 240),  # yellow
    (178, 114, 0),  # blue
    (0, 94, 213),  # vermilion
    (167, 121, 204),  # reddish purple
)
_VERDICTS: dict[Verdict, Colour] = {"OK": (115, 158, 0), "NG": (0, 94, 213), "NO_READ": (90, 90, 90)}
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MASK_WEIGHT = 0.45
_POINT_SEEN = 0.25  # confidence, as Ultralytics draws them


@dataclass(frozen=True)
class _Pen:
    """Sizes that fit an image: text scale, stroke of text and of boxes in pixels, space around text."""

    scale: float
    text: int
    line: int
    pad: int


def class_colour(class_id: int) -> Colour:
    """Return a class's colour, BGR; classes farther on get darker shades of the same seven."""
    colour = _PALETTE[class_id % len(_PALETTE)]
    shade = (1.0, 0.7, 0.5)[class_id // len(_PALETTE) % 3]
    return (int(colour[0] * shade), int(colour[1] * shade), int(colour[2] * shade))


def verdict_colour(verdict: Verdict) -> Colour:
    """Return a verdict's colour, BGR."""
    return _VERDICTS[verdict]


def draw(image: Image, result: Result) -> Image:
    """Return a new picture, higher than `image` by the strip with the verdict, which hides no pixel of it."""
    canvas = image.copy()
    pen = _pen(image.shape[0], image.shape[1])
    if result.mask is not None:
        _blend_mask(canvas, result.mask, result.predictions, heat=result.score is not None)
    # Boxes first: no box may cross a label.
    boxed = [prediction for prediction in result.predictions if prediction.box is not None]
    for prediction in boxed:
        if prediction.mask is not None:
            _fill(canvas, prediction.mask, class_colour(prediction.class_id), pen)
    for prediction in boxed:
        colour = class_colour(prediction.class_id)
        # The rim keeps a yellow box visible on a white board, a blue one on a black board.
        for line, ink in ((pen.line + 2, _ink(colour)), (pen.line, colour)):
            _frame(canvas, prediction, ink, line)
        if prediction.points:
            _skeleton(canvas, prediction.points, result.edges, colour, pen)
    for prediction in boxed:
        x1, y1, _, y2 = _corners(prediction)
        if prediction.oriented is not None:
            x1 = round(min(prediction.oriented.corners(), key=lambda corner: corner[1])[0])
        colour = class_colour(prediction.class_id)
        _label(canvas, f"{prediction.name} {prediction.confidence:.2f}", x1, y1, y2, colour, pen)
    top = pen.pad
    for prediction in result.predictions:
        if prediction.box is None:
            text = f"{prediction.name} {prediction.confidence:.2f}"
            top = _plate(canvas, text, pen.pad, top, class_colour(prediction.class_id), pen) + pen.line
    return cast("Image", np.vstack([_strip(image.shape[1], result, pen), canvas]))


def _pen(height: int, width: int) -> _Pen:
    short = min(height, width)
    scale = min(max(short / 1000, 0.5), 4.0)
    return _Pen(scale, max(1, round(scale * 1.8)), max(1, round(short / 350)), max(3, round(scale * 8)))


def _ink(background: Colour) -> Colour:
    """Return black or white, whichever reads better (luma weights of ITU-R BT.601)."""
    luma = 0.114 * background[0] + 0.587 * background[1] + 0.299 * background[2]
    return (0, 0, 0) if luma > 120 else (255, 255, 255)


def _corners(prediction: Prediction) -> tuple[int, int, int, int]:
    box = prediction.box
    if box is None:
        return 0, 0, 0, 0
    return round(box.x1), round(box.y1), round(box.x2), round(box.y2)


def _frame(canvas: Image, prediction: Prediction, colour: Colour, line: int) -> None:
    if prediction.oriented is None:
        x1, y1, x2, y2 = _corners(prediction)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, line, cv2.LINE_AA)
    else:
        # Far beyond the picture whole numbers of 32 bits would end.
        corners = np.clip(prediction.oriented.corners(), -30_000, 30_000)
        cv2.polylines(canvas, [np.rint(corners).astype(np.int32)], True, colour, line, cv2.LINE_AA)


def _fill(canvas: Image, mask: Mask, colour: Colour, pen: _Pen) -> None:
    """Colour an object's pixels, in place, and draw the line around them."""
    height, width = mask.inside.shape
    part = canvas[mask.top : mask.top + height, mask.left : mask.left + width]
    inside = mask.inside[: part.shape[0], : part.shape[1]]
    part[inside] = (part[inside] * (1 - _MASK_WEIGHT) + np.array(colour) * _MASK_WEIGHT).astype(np.uint8)
    lines = contours(mask)
    for line, ink in ((pen.line + 2, _ink(colour)), (pen.line, colour)):
        cv2.drawContours(canvas, lines, -1, ink, line, cv2.LINE_AA)


def _skeleton(
    canvas: Image, points: Sequence[Point], edges: Sequence[tuple[int, int]], colour: Colour, pen: _Pen
) -> None:
    """Draw the key points that are seen, and lines between them."""
    places = [(round(point.x), round(point.y)) if point.confidence >= _POINT_SEEN else None for point in points]
    for width, ink in ((pen.line + 2, _ink(colour)), (pen.line, colour)):
        for first, second in edges:
            start, end = places[first], places[second]
            if start is not None and end is not None:
                cv2.line(canvas, start, end, ink, width, cv2.LINE_AA)
    for place in places:
        if place is not None:
            cv2.circle(canvas, place, pen.line * 3 + 1, _ink(colour), cv2.FILLED, cv2.LINE_AA)
            cv2.circle(canvas, place, pen.line * 3, colour, cv2.FILLED, cv2.LINE_AA)


def _text_size(text: str, pen: _Pen) -> tuple[int, int]:
    (width, height), below = cv2.getTextSize(text, _FONT, pen.scale, pen.text)
    return width + 2 * pen.pad, height + below + pen.pad


def _label(canvas: Image, text: str, x: int, above: int, below: int, colour: Colour, pen: _Pen) -> None:
    """Write a label on top of a box, under it where there is no room, inside the image in any case."""
    width, height = _text_size(text, pen)
    top = above - height if above >= height else below
    top = min(max(top, 0), max(canvas.shape[0] - height, 0))
    left = min(max(x, 0), max(canvas.shape[1] - width, 0))
    _plate(canvas, text, left, top, colour, pen)


def _plate(canvas: Image, text: str, left: int, top: int, colour: Colour, pen: _Pen) -> int:
    """Write text on a filled rectangle; returns the rectangle's lower edge."""
    width, height = _text_size(text, pen)
    cv2.rectangle(canvas, (left, top), (left + width, top + height), colour, cv2.FILLED)
    (_, letters), _ = cv2.getTextSize(text, _FONT, pen.scale, pen.text)
    place = (left + pen.pad, top + pen.pad // 2 + letters)
    cv2.putText(canvas, text, place, _FONT, pen.scale, _ink(colour), pen.text, cv2.LINE_AA)
    return top + height


def _strip(width: int, result: Result, pen: _Pen) -> Image:
    colour = verdict_colour(result.verdict)
    text = result.verdict.replace("_", " ")
    reasons = ", ".join(result.reasons)
    if result.score is not None:
        reasons = f"score {result.score:.3f}  {reasons}"
    text = f"{text}  {reasons}".strip()
    while len(text) > 4 and _text_size(text, pen)[0] > width:
        text = text.removesuffix("...")[:-1] + "..."
    strip = np.full((_text_size(text, pen)[1] + pen.pad, width, 3), colour, np.uint8)
    _plate(strip, text, 0, pen.pad // 2, colour, pen)
    return strip


def _blend_mask(canvas: Image, mask: NDArray[np.uint8], predictions: Sequence[Prediction], heat: bool) -> None:
    """Colour the reported classes of a segmentation, or lay an anomaly map over the image, in place."""
    if heat:
        weight = mask[..., None].astype(np.float32) / 255 * 0.7
        colours = cv2.applyColorMap(mask, cv2.COLORMAP_INFERNO)
        canvas[:] = (canvas * (1 - weight) + colours * weight).astype(np.uint8)
        return
    for class_id in sorted({prediction.class_id for prediction in predictions}):
        inside = mask == class_id
        tint = np.array(class_colour(class_id)) * _MASK_WEIGHT
        canvas[inside] = (canvas[inside] * (1 - _MASK_WEIGHT) + tint).astype(np.uint8)
