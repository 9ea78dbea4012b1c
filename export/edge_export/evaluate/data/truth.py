"""What is known to be true of an image: plain data that each label format produces and each metric reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Union

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoxTruth", "ClassTruth", "Labelled", "LabelledSet", "MaskTruth", "Truth"]

Task = Literal["classify", "detect", "segment"]


@dataclass(frozen=True)
class ClassTruth:
    """The one class of a whole image, as an index into the data's own class list."""

    class_id: int


@dataclass(frozen=True)
class BoxTruth:
    """The objects of an image. `boxes` float64 [n, 4]: x1 y1 x2 y2, in pixels of the original image, or in
    fractions of its width and height when `normalized`. `classes` int64 [n]. `crowd` bool [n]: regions that
    count neither for nor against a detector (COCO's iscrowd).
    """

    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    normalized: bool = False

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
