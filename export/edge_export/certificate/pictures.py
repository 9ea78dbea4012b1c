"""Answers drawn on small pictures, with what another model answers otherwise marked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result
from edge_runtime.vision.draw import draw

__all__ = ["LONG_SIDE", "answer_jpeg"]

Image = NDArray[np.uint8]  # height x width x 3, BGR

LONG_SIDE = 320
_QUALITY = 80
_RIM, _MARK = (255, 255, 255), (190, 0, 200)  # BGR; magenta is none of the colours of classes


def answer_jpeg(
    image: Image, result: Result, judged: bool, marked: Sequence[Box] = (), pixels: NDArray[np.bool_] | None = None
) -> bytes:
    """Draw an answer on the image made small: on a large one its labels would be unreadable afterwards.

    `marked` boxes get a ring, and `pixels` ([height, width] of the image) its colour: the other model says otherwise
    there. The line with the verdict is left out where the model does not judge.
    """
    height, width = image.shape[:2]
    factor = min(1.0, LONG_SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1.0 else image
    mask = None if result.mask is None else _nearest(result.mask, size)
    shown = tuple(_scaled(p, factor, size) for p in _shown(result))
    drawn = draw(np.asarray(small, np.uint8), dataclasses.replace(result, predictions=shown, mask=mask))
    canvas = drawn[-size[1] :]  # below the line with the verdict
    if pixels is not None:
        canvas[_nearest(pixels.astype(np.uint8), size) > 0] = _MARK
    for box in marked:
        _ring(canvas, box, factor)
    return bytes(cv2.imencode(".jpg", drawn if judged else canvas, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())


def _shown(result: Result) -> Sequence[Prediction]:
    """What fits on a small picture: the first of many classes of an image, and each class of a mask once, unboxed."""
    if result.mask is not None and result.score is None:
        classes = {p.class_id: dataclasses.replace(p, box=None) for p in reversed(result.predictions)}
        return [classes[class_id] for class_id in sorted(classes)]
    boxed = any(p.box is not None for p in result.predictions)
    return result.predictions if boxed else result.predictions[:1]


def _nearest(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _ring(canvas: Image, box: Box, factor: float) -> None:
    """Draw an ellipse around a box, in place; the light rim sets it off from dark and bright pixels alike."""
    middle = (round((box.x1 + box.x2) / 2 * factor), round((box.y1 + box.y2) / 2 * factor))
    axes = (_half(box.x2 - box.x1, factor), _half(box.y2 - box.y1, factor))
    for colour, line in ((_RIM, 5), (_MARK, 2)):
        cv2.ellipse(canvas, middle, axes, 0, 0, 360, colour, line, cv2.LINE_AA)


def _half(side: float, factor: float) -> int:
    return round(side / 2 * factor * 1.25 + 8)


def _scaled(seen: Prediction, factor: float, size: tuple[int, int]) -> Prediction:
    """An object as it lies in a picture made small by `factor` to `size` (width, height)."""
    box, turned, mask = seen.box, seen.oriented, seen.mask
    return dataclasses.replace(
        seen,
        box=box and Box(box.x1 * factor, box.y1 * factor, box.x2 * factor, box.y2 * factor),
        oriented=turned
        and OrientedBox(
            turned.x * factor, turned.y * factor, turned.width * factor, turned.height * factor, turned.angle
        ),
        points=tuple(Point(point.x * factor, point.y * factor, point.confidence) for point in seen.points),
        mask=mask and _small_mask(mask, factor, size),
    )


def _small_mask(mask: Mask, factor: float, size: tuple[int, int]) -> Mask:
    """The mask's pixels after the picture is made small, from the nearest of its own."""
    if factor == 1.0 or not mask.inside.size:
        return mask
    left, top = min(int(mask.left * factor), size[0] - 1), min(int(mask.top * factor), size[1] - 1)
    height, width = mask.inside.shape
    wanted = (
        max(1, min(size[0] - left, round(width * factor))),
        max(1, min(size[1] - top, round(height * factor))),
    )
    return Mask(left, top, _nearest(mask.inside.astype(np.uint8), wanted) > 0)
