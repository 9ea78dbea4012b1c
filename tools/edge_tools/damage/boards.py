"""Boards with a defect whose place is known, and the same boards without it.

A folder holds NAME.png with NAME.txt (a line per defect, `x1 y1 x2 y2 type`) and, where the generator was given
--templates, NAME_temp.png without the defects. Then a board gets one defect alone: whatever hides it hides all that is
wrong. Without templates a picture is taken as it is, and one without labels stands for a board without defects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge_runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Board", "Box", "candidates", "coloured", "overlap"]

_DARK, _LIGHT, _NOISE = 34, 222, 2.5  # levels of copper and of the base under a camera, and of its noise


@dataclass(frozen=True)
class Box:
    """Pixels from the upper left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, eq=False)
class Board:
    """A board that is NG, uint8 [height, width] gray, where, and one of the same size that is OK."""

    name: str
    picture: NDArray[np.uint8]
    boxes: tuple[Box, ...]
    clean: NDArray[np.uint8]


def candidates(folder: Path, seed: int) -> list[Board]:
    """Return what a folder offers, in an order that hangs on the seed: with templates a board for each defect.

    The first of every picture come first, then the second of every one. Raises DataError for a folder without any.
    """
    rng = np.random.default_rng(seed)
    listed = sorted(path for path in folder.glob("*.png") if path.with_suffix(".txt").exists())
    bare = [path for path in listed if not _boxes(path)]
    found: list[list[Board]] = []
    for path in listed:
        boxes = _boxes(path)
        template = path.with_name(f"{path.stem}_temp.png")
        if boxes and template.exists():
            found.append(list(_alone(path, template, [boxes[i] for i in rng.permutation(len(boxes))], rng)))
        elif boxes and bare:
            clean = _seen(_gray(bare[-1]), rng)
            found.append([Board(path.stem, _seen(_gray(path), rng), tuple(boxes), clean)])
    if not found:
        raise DataError(f"{folder}: expected NAME.png with NAME.txt (and NAME_temp.png, or pictures without defects)")
    deepest = max(len(boards) for boards in found)
    return [boards[depth] for depth in range(deepest) for boards in found if depth < len(boards)]


def _alone(path: Path, template: Path, boxes: Sequence[Box], rng: np.random.Generator) -> Iterator[Board]:
    defects, clean = _gray(path), _gray(template)
    for number, box in enumerate(boxes[:3]):
        one = clean.copy()
        place = np.s_[int(box.y1) : int(box.y2) + 1, int(box.x1) : int(box.x2) + 1]
        one[place] = defects[place]
        yield Board(f"{path.stem}-{number}", _seen(one, rng), (box,), _seen(clean, rng))


def _boxes(path: Path) -> list[Box]:
    lines = path.with_suffix(".txt").read_text().splitlines()
    return [Box(*(float(word) for word in line.split()[:4])) for line in lines if line.strip()]


def _gray(path: Path) -> NDArray[np.uint8]:
    read = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if read is None:
        raise DataError(f"{path}: no picture that OpenCV reads")
    return cast("NDArray[np.uint8]", read)


def _seen(exact: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture of two exact levels as a camera would give it."""
    levels = _DARK + exact.astype(np.float32) * ((_LIGHT - _DARK) / 255)
    return cast("NDArray[np.uint8]", (levels + rng.normal(0, _NOISE, exact.shape)).clip(0, 255).astype(np.uint8))


def coloured(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a greenish board [height, width, 3], BGR, about as light as the gray one."""
    level = gray.astype(np.int16)
    tinted = np.stack([level - 8, level + 6, level - 10], axis=2)
    flat = gray.max(axis=1) == gray.min(axis=1)  # rows that a decoder filled have no colour
    tinted[flat] = level[flat][..., None]
    return cast("NDArray[np.uint8]", tinted.clip(0, 255).astype(np.uint8))


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over the union."""
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = [(box.x2 - box.x1) * (box.y2 - box.y1) for box in (one, other)]
    return both / (sum(areas) - both)
