"""A record's objects in the words of COCO and of YOLO. Pure.

Coordinates of records are those of the original picture; what is written is of the picture that was kept, which may
have been decoded smaller. Classes of a whole picture have no place, and are no labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.inspect.rle import mask_of
from edge_runtime.results import OrientedBox
from edge_runtime.vision.contours import outline

__all__ = ["Kept", "annotation", "yolo_line"]

_SEEN = 0.5  # of a key point: less is not seen
Found = Mapping[str, Any]  # a prediction of a record


@dataclass(frozen=True)
class Kept:
    """The size of a kept picture in pixels, and of the original."""

    width: int
    height: int
    original: tuple[int, int]  # width, height

    @property
    def scale(self) -> tuple[float, float]:
        """By what coordinates of the original become those of the kept picture."""
        return self.width / self.original[0], self.height / self.original[1]


def annotation(found: Found, kept: Kept) -> dict[str, Any] | None:
    """Return COCO's keys of an object but for its ids; None for what has no box."""
    box = _box(found, kept)
    if box is None:
        return None
    x1, y1, x2, y2 = box
    told: dict[str, Any] = {
        "bbox": _rounded((x1, y1, x2 - x1, y2 - y1)),
        "area": round((x2 - x1) * (y2 - y1), 2),
        "iscrowd": 0,
        "score": found["confidence"],
    }
    if "area" in found:
        told["area"] = round(found["area"] * kept.width * kept.height, 2)
    if "mask" in found:
        told["segmentation"] = dict(found["mask"])
    elif "oriented" in found:
        told["segmentation"] = [_rounded([value for corner in _corners(found, kept) for value in corner])]
    if points := _points(found, kept):
        told["keypoints"] = [value for x, y, seen in points for value in (round(x, 2), round(y, 2), 2 * seen)]
        told["num_keypoints"] = sum(seen for _, _, seen in points)
    return told


def yolo_line(found: Found, kept: Kept, class_id: int) -> str | None:
    """Return Ultralytics' line for training: a box, with key points where there are some, or a polygon, in fractions.

    None for what has no box.
    """
    box = _box(found, kept)
    if box is None:
        return None
    polygon: Sequence[Sequence[float]] = ()
    if "mask" in found:
        height, width = found["mask"]["size"]
        polygon = outline(mask_of(found["mask"]["counts"], height, width)).tolist()
    elif "oriented" in found:
        polygon = _corners(found, kept)
    if len(polygon) > 2:
        values = [value for x, y in polygon for value in (x / kept.width, y / kept.height)]
    else:
        x1, y1, x2, y2 = box
        values = [(x1 + x2) / 2 / kept.width, (y1 + y2) / 2 / kept.height]
        values += [(x2 - x1) / kept.width, (y2 - y1) / kept.height]
    words = [f"{value:.6f}" for value in values]
    if len(polygon) < 3:
        for x, y, seen in _points(found, kept):
            words += [f"{x / kept.width:.6f}", f"{y / kept.height:.6f}", str(2 * seen)]
    return f"{class_id} {' '.join(words)}"


def _box(found: Found, kept: Kept) -> tuple[float, float, float, float] | None:
    """x1 y1 x2 y2 in the kept picture."""
    box = found.get("box")
    if box is None:
        return None
    across, down = kept.scale
    return box["x1"] * across, box["y1"] * down, box["x2"] * across, box["y2"] * down


def _corners(found: Found, kept: Kept) -> list[tuple[float, float]]:
    turned = found["oriented"]
    across, down = kept.scale
    box = OrientedBox(*(float(turned[name]) for name in ("cx", "cy", "w", "h", "angle")))
    return [(x * across, y * down) for x, y in box.corners()]


def _points(found: Found, kept: Kept) -> list[tuple[float, float, int]]:
    """x, y and whether it is seen, of each key point; one that is not seen is nowhere, as COCO has it."""
    points = found.get("keypoints")
    if points is None:
        return []
    across, down = kept.scale
    told = zip(points["x"], points["y"], points["visible"], strict=True)
    return [(x * across, y * down, 1) if seen >= _SEEN else (0.0, 0.0, 0) for x, y, seen in told]


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 2) if math.isfinite(value) else 0.0 for value in values]
