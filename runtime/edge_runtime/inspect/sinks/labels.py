"""Labels in YOLO's text format, and cut-outs of what was found."""

from __future__ import annotations

import re
from pathlib import Path

from edge_runtime.files.atomic import write_bytes, write_text
from edge_runtime.inspect.record import Record
from edge_runtime.inspect.sinks.base import Opened, Target
from edge_runtime.inspect.sinks.pictures import encode_image, make_folder
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Prediction, Result

__all__ = ["CropSink", "TextSink", "crop_bounds", "open_crops", "open_labels", "yolo_line"]


def yolo_line(prediction: Prediction, width: int, height: int) -> str:
    """Return `class cx cy w h confidence`, coordinates as fractions of the image.

    A class of the whole image, which has no box, is the box of the whole image.
    """
    box = prediction.box
    x1, y1, x2, y2 = (0.0, 0.0, width, height) if box is None else (box.x1, box.y1, box.x2, box.y2)
    centre_x, centre_y = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
    size = f"{(x2 - x1) / width:.6f} {(y2 - y1) / height:.6f}"
    return f"{prediction.class_id} {centre_x:.6f} {centre_y:.6f} {size} {prediction.confidence:.5f}"


def crop_bounds(prediction: Prediction, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return a prediction's box as whole pixels inside the image; None without a box or outside of it."""
    box = prediction.box
    if box is None:
        return None
    x1, y1 = max(0, int(box.x1)), max(0, int(box.y1))
    x2, y2 = min(width, int(box.x2 + 0.999)), min(height, int(box.y2 + 0.999))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


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
        height, width = frame.image.shape[:2]
        for number, prediction in enumerate(result.predictions):
            bounds = crop_bounds(prediction, width, height)
            if bounds is None:
                continue
            x1, y1, x2, y2 = bounds
            # A label comes from the bundle: it must not lead out of the folder.
            folder = make_folder(self._folder / (re.sub(r"[^\w. -]+", "_", prediction.name).strip(". ") or "unnamed"))
            write_bytes(folder / f"{frame.stem}_{number}.jpg", encode_image(frame.image[y1:y2, x1:x2], ".jpg"))

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
