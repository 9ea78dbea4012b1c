"""What is known to be true of an image: plain data that each label format produces and each metric reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Union

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.outlines import Outline

__all__ = ["BoxTruth", "ClassTruth", "Labelled", "LabelledSet", "MaskTruth", "Part", "Truth"]

Task = Literal["classify", "detect", "segment"]
# What a detector may give of each object besides its box.
Part = Literal["masks", "points", "oriented"]


@dataclass(frozen=True)
class ClassTruth:
    """The one class of a whole image, as an index into the data's own class list."""

    class_id: int


@dataclass(frozen=True)
class BoxTruth:
    """The objects of an image. `boxes` float64 [n, 4]: x1 y1 x2 y2, in pixels of the original image, or in
    fractions of its width and height when `normalized`. `classes` int64 [n]. `crowd` bool [n]: regions that
    count neither for nor against a detector (COCO's iscrowd).

    What the labels hold besides, in the same units, else () or None: `outlines`, one for each object, are those of
    masks or of turned boxes; `points` float64 [n, K, 3] x y visibility, 0 where a point is not labelled; `areas`
    float64 [n] of the objects, always in pixels; `difficult` bool [n], objects that count neither way (DOTA).
    """

    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    normalized: bool = False
    outlines: tuple[Outline, ...] = ()
    points: NDArray[np.float64] | None = None
    areas: NDArray[np.float64] | None = None
    difficult: NDArray[np.bool_] | None = None

    def scale(self, width: int, height: int) -> tuple[float, float]:
        """What x and y are multiplied with to give pixels of an image of this size."""
        return (float(width), float(height)) if self.normalized else (1.0, 1.0)

    def pixels(self, width: int, height: int) -> NDArray[np.float64]:
        """Return the boxes in pixels of an image of this size."""
        if not self.normalized:
            return self.boxes
        return self.boxes * np.array([width, height, width, height], dtype=np.float64)


@dataclass(frozen=True)
class MaskTruth:
    """A mask file: one class index per pixel (uint8), 255 for "do not judge"; read only when it is needed."""

    path: Path


Truth = Union[ClassTruth, BoxTruth, MaskTruth]


@dataclass(frozen=True)
class Labelled:
    """One image file and what is true of it."""

    path: Path
    truth: Truth


@dataclass(frozen=True)
class LabelledSet:
    """Labelled images, already limited. `names` are the data's class names by index, () where it has none.

    `description` says which images of how many; `notes` what was odd (missing label files, skipped lines).
    """

    task: Task
    format: str
    items: tuple[Labelled, ...]
    names: tuple[str, ...]
    description: str
    notes: tuple[str, ...] = field(default=())
