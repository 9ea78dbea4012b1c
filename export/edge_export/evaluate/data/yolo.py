"""YOLO labels: images/**/NAME.jpg with labels/**/NAME.txt, one object on a line, in fractions of the image:

- `class cx cy w h`, a box;
- `class x1 y1 x2 y2 x3 y3 ...`, an outline, four corners of a turned box among them: its box is the one around it;
- `class cx cy w h px1 py1 [v1] px2 py2 [v2] ...`, a box with key points, where data.yaml has `kpt_shape: [K, 2 or 3]`.

An image without a label file has no objects (Ultralytics' convention); such images are counted and reported.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.images import find_images, listed_lines, spread
from edge_export.evaluate.data.outlines import Polygons
from edge_export.evaluate.data.truth import BoxTruth, Labelled, LabelledSet, Part
from edge_export.evaluate.data.yolo_yaml import read_points_shape, read_yolo_names
from edge_runtime.errors import DataError

__all__ = ["is_yolo", "open_yolo"]

PointsShape = tuple[int, int]  # points, values of each
_FARTHEST = 2.0  # of a turned box' corner, in sides of the image: a diagonal beyond it


@dataclass(frozen=True)
class _Object:
    class_id: int
    box: list[float]  # x1 y1 x2 y2
    ring: NDArray[np.float64] | None = None  # [n, 2]
    points: NDArray[np.float64] | None = None  # [K, 3]


def is_yolo(folder: Path) -> bool:
    """Say whether the folder holds images/ and labels/ with text files in it."""
    labels = folder / "labels"
    return (folder / "images").is_dir() and labels.is_dir() and next(labels.rglob("*.txt"), None) is not None


def open_yolo(folder: Path, limit: int, seed: int, parts: Collection[Part] = ()) -> LabelledSet:
    """Read a YOLO data set and its `parts`. Raises DataError with file:line for a line that is not a label."""
    images = find_images(folder / "images")
    if not images:
        raise DataError(f"no images in {folder / 'images'}; a YOLO data set has images/ beside labels/")
    chosen = [images[index] for index in spread(len(images), limit, seed)]
    shape = read_points_shape(folder)
    missing = 0
    items = []
    for image in chosen:
        label = (folder / "labels" / image.relative_to(folder / "images")).with_suffix(".txt")
        missing += not label.is_file()
        objects = _read_label(label, shape) if label.is_file() else []
        items.append(Labelled(image, _truth(objects, shape, parts)))
    notes = (f"{missing} of {len(items)} images have no label file: taken as showing no object",) if missing else ()
    if missing == len(items):
        raise DataError(
            f"none of the {len(items)} images in {folder / 'images'} has a label file in "
            f"{folder / 'labels'}; "
            "expected labels/SUB/NAME.txt for images/SUB/NAME.jpg"
        )
    return LabelledSet(
        task="detect",
        format="YOLO labels",
        items=tuple(items),
        names=read_yolo_names(folder),
        description=f"{folder.name}: {len(items)} of {len(images)} images, seed {seed}",
        notes=notes,
    )


def _truth(objects: list[_Object], shape: PointsShape | None, parts: Collection[Part]) -> BoxTruth:
    points = None
    if shape is not None and "points" in parts:
        none = np.zeros((shape[0], 3))
        points = np.array([none if one.points is None else one.points for one in objects]).reshape(-1, shape[0], 3)
    outlines: tuple[Polygons, ...] = ()
    if {"masks", "oriented"} & set(parts) and any(one.ring is not None for one in objects):
        outlines = tuple(Polygons(() if one.ring is None else (one.ring,)) for one in objects)
    return BoxTruth(
        np.array([one.box for one in objects], dtype=np.float64).reshape(-1, 4),
        np.array([one.class_id for one in objects], dtype=np.int64),
        np.zeros(len(objects), dtype=np.bool_),
        normalized=True,
        outlines=outlines,
        points=points,
    )


def _read_label(path: Path, shape: PointsShape | None) -> list[_Object]:
    objects = []
    for number, text in listed_lines(path):
        fields = text.split()
        try:
            class_id, values = int(fields[0]), [float(value) for value in fields[1:]]
        except ValueError:
            class_id, values = -1, []
        found = _object(class_id, values, shape) if class_id >= 0 else None
        if found is None:
            pose = f" or {4 + shape[0] * shape[1]} values as kpt_shape says" if shape else ""
            hint = (
                "" if shape or len(values) < 6 or len(values) % 2 == 0 else " (key points need kpt_shape in data.yaml)"
            )
            raise DataError(
                f"{path}:{number}: expected `class cx cy w h` or a polygon `class x y x y x y ...`{pose} with "
                f"fractions 0..1, found {text[:60]!r}{hint}; mend the line or remove it"
            )
        objects.append(found)
    return objects


def _object(class_id: int, values: list[float], shape: PointsShape | None) -> _Object | None:
    """What a line says; None where it says nothing that is known."""
    if shape is not None and len(values) == 4 + shape[0] * shape[1]:
        table = np.array(values[4:]).reshape(shape)
        # A point outside of the image is not there (Ultralytics, instance.py and dataset.py).
        seen = table[:, 2] if shape[1] == 3 else (table >= 0).all(axis=1).astype(float)
        good = _fractions(values[:4]) and np.isfinite(table).all() and (np.abs(table[seen > 0, :2]) <= 1.01).all()
        points = np.concatenate([table[:, :2], seen[:, None]], axis=1)
        return _Object(class_id, _around_centre(values), points=points) if good else None
    if not _fractions(values) and not _turned_at_the_edge(values):
        return None
    if len(values) == 4:
        return _Object(class_id, _around_centre(values))
    if len(values) < 6 or len(values) % 2:
        return None
    ring = np.array(values).reshape(-1, 2)
    around = [*ring.min(axis=0).tolist(), *ring.max(axis=0).tolist()]
    return _Object(class_id, around if _fractions(values) else np.clip(around, 0, 1).tolist(), ring)


def _turned_at_the_edge(values: list[float]) -> bool:
    """Four corners around a centre in the image: a turned box's may lie outside, and `--save-txt` writes them so."""
    corners = np.array(values)
    if len(values) != 8 or not (np.abs(corners) <= _FARTHEST).all():
        return False
    return _fractions(corners.reshape(4, 2).mean(axis=0).tolist())


def _fractions(values: list[float]) -> bool:
    return all(-0.01 <= value <= 1.01 for value in values)


def _around_centre(values: list[float]) -> list[float]:
    cx, cy, width, height = values[:4]
    return [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2]
