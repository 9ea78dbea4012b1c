"""Labels in YOLO's text format, and cut-outs of what was found."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.files.atomic import write_bytes, write_text
from edge_runtime.inspect.record import Record
from edge_runtime.inspect.sinks.base import Opened, Target
from edge_runtime.inspect.sinks.pictures import encode_image, make_folder
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Prediction, Result
from edge_runtime.vision.contours import outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

__all__ = ["CropSink", "TextSink", "crop_bounds", "cut_out", "open_crops", "open_labels", "yolo_line"]


def yolo_line(prediction: Prediction, width: int, height: int) -> str:
    """Return `class cx cy w h confidence`, coordinates as fractions of the image: Ultralytics' form with confidences.

    A class of the whole image, which has no box, is the box of the whole image. An object with a mask has its outline's
    x y x y ... instead of the box, one that is turned its four corners; key points follow as x y confidence each.
    """
    box = prediction.box
    x1, y1, x2, y2 = (0.0, 0.0, width, height) if box is None else (box.x1, box.y1, box.x2, box.y2)
    where: tuple[float, ...] = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    polygon: Sequence[Sequence[float]] = ()
    if prediction.mask is not None:
        polygon = outline(prediction.mask).tolist()
        if len(polygon) < 3:  # no area: the box's corners, as readers of polygons want three points at least
            polygon = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    elif prediction.oriented is not None:
        polygon = prediction.oriented.corners()
    if polygon:
        where = tuple(value for x, y in polygon for value in (x / width, y / height))
    words = [f"{value:.6f}" for value in where]
    for point in prediction.points:
        words += [f"{point.x / width:.6f}", f"{point.y / height:.6f}", f"{point.confidence:.5f}"]
    return f"{prediction.class_id} {' '.join(words)} {prediction.confidence:.5f}"


def crop_bounds(prediction: Prediction, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return a prediction's box as whole pixels inside the image; None without a box or outside of it."""
    box = prediction.box
    if box is None:
        return None
    x1, y1 = max(0, int(box.x1)), max(0, int(box.y1))
    x2, y2 = min(width, int(box.x2 + 0.999)), min(height, int(box.y2 + 0.999))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def cut_out(image: Image, prediction: Prediction) -> Image | None:
    """Return the part of an image in a prediction's box, a turned one set upright; None without a box inside of it."""
    height, width = image.shape[:2]
    bounds = crop_bounds(prediction, width, height)
    turned = prediction.oriented
    if bounds is None or turned is None:
        return None if bounds is None else image[bounds[1] : bounds[3], bounds[0] : bounds[2]]
    longest = math.ceil(math.hypot(width, height))
    across, down = (min(max(1, round(side)), longest) for side in (turned.width, turned.height))
    cos, sin = math.cos(turned.angle), math.sin(turned.angle)
    # The centre of the cut-out's pixels (u, v) lies at the box's centre.
    u, v = (across - 1) / 2, (down - 1) / 2
    back = np.array(
        [[cos, -sin, turned.x - 0.5 - cos * u + sin * v], [sin, cos, turned.y - 0.5 - sin * u - cos * v]], np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, back, (across, down), flags=flags), np.uint8)


class TextSink:
    """Writes NAME.txt for each frame; an empty file says that it was looked at and nothing found."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder)

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Write one file; none for a frame that was not read."""
        if frame.image is None:
            return
        height, width = frame.image.shape[:2]
        lines = [yolo_line(prediction, width, height) + "\n" for prediction in result.predictions]
        write_text(self._folder / f"{frame.stem}.txt", "".join(lines))

    def close(self) -> None:
        """Every file is already complete."""


class CropSink:
    """Writes CLASS/NAME_i.jpg for the ith prediction that has a box."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder)

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Write the cut-outs of one frame."""
        if frame.image is None:
            return
        for number, prediction in enumerate(result.predictions):
            cut = cut_out(frame.image, prediction)
            if cut is None:
                continue
            # A label comes from the bundle: it must not lead out of the folder.
            folder = make_folder(self._folder / (re.sub(r"[^\w. -]+", "_", prediction.name).strip(". ") or "unnamed"))
            write_bytes(folder / f"{frame.stem}_{number}.jpg", encode_image(cut, ".jpg"))

    def close(self) -> None:
        """Every file is already complete."""


def open_labels(target: Target) -> Opened | None:
    """Open what --save-txt asks for."""
    if not target.settings.labels:
        return None
    folder = target.folder() / "labels"
    return Opened(TextSink(folder), "labels", folder)


def open_crops(target: Target) -> Opened | None:
    """Open what --save-crop asks for."""
    if not target.settings.crops:
        return None
    folder = target.folder() / "crops"
    return Opened(CropSink(folder), "crops", folder)
