"""Training batches, each a pure function of (seed, number): crops of made-up boards with fresh defects.

Boards are dear to draw and defects cheap, so a batch takes its crops from a window of `boards` consecutive
board numbers that moves on by `fresh` boards per batch; every crop gets new defects, a turn and a flip.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcb import board, defects, scan
from pcb.canvas import Mask

SHARES = (0.18, 0.24, 0.17, 0.16, 0.12, 0.13)  # of the six defects; many a short finds no room
MOST = 24  # boxes per crop; the rest of a row is padding with label -1


@dataclass(frozen=True)
class Recipe:
    """How batches are made. `crop` in pixels.

    Half of each batch is new; the other half is the new half of `lag` batches before, turned and flipped:
    making crops costs about what learning from them does.
    """

    seed: int = 0
    batch: int = 32
    crop: int = 320
    boards: int = 64
    fresh: int = 1
    lag: int = 6


@dataclass(frozen=True)
class Batch:
    """images [N, crop, crop] uint8; boxes [N, MOST, 4] x1 y1 x2 y2 pixels; labels [N, MOST], -1 for none."""

    images: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


def scanned(number: int) -> Mask:
    """Board `number`, drawn and scanned, without defects."""
    rng = np.random.default_rng([number, 0x5CA4])
    return scan.binarise(board.draw(number), rng, scan.Scanner.random(rng))


def turned(batch: Batch, rng: np.random.Generator) -> Batch:
    """The batch with each picture, and its boxes, mirrored and transposed at random."""
    images, boxes = batch.images.copy(), batch.boxes.copy()
    side = images.shape[1]
    for i in range(len(images)):
        mirror, transpose = rng.random(2) < 0.5
        if mirror:
            images[i] = images[i, :, ::-1]
            boxes[i] = boxes[i][:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (side, 0, side, 0)
        if transpose:
            images[i] = images[i].T.copy()
            boxes[i] = boxes[i][:, [1, 0, 3, 2]]
    return Batch(images, boxes, batch.labels)


class Generated:
    """Batches by number; keeps the boards of the current window and the last few halves."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._boards: OrderedDict[int, Mask] = OrderedDict()
        self._halves: dict[int, Batch] = {}

    def _board(self, number: int) -> Mask:
        if number not in self._boards:
            self._boards[number] = scanned(number)
            while len(self._boards) > self.recipe.boards + self.recipe.fresh:
                self._boards.popitem(last=False)
        return self._boards[number]

    def _crop(self, rng: np.random.Generator, source: Mask) -> Mask:
        """A crop, turned and flipped; bare ones are mostly passed over."""
        size = self.recipe.crop
        for _ in range(6):
            y, x = rng.integers(0, np.array(source.shape) - size + 1)
            view = source[y : y + size, x : x + size]
            if 0.06 < view.mean() < 0.96 or rng.random() < 0.12:
                break
        view = np.rot90(view, int(rng.integers(4)))
        return np.ascontiguousarray(view.T if rng.random() < 0.5 else view)

    def _half(self, number: int) -> Batch:
        """The new half of batch `number`."""
        if number in self._halves:
            return self._halves[number]
        recipe = self.recipe
        count = recipe.batch // 2
        rng = np.random.default_rng([recipe.seed, number + recipe.lag])
        first = recipe.seed * 10_000_000 + (number + recipe.lag) * recipe.fresh
        size = recipe.crop
        images = np.zeros((count, size, size), np.uint8)
        boxes = np.zeros((count, MOST, 4), np.float32)
        labels = np.full((count, MOST), -1, np.int64)
        for fresh in range(recipe.boards):
            self._board(first + fresh)
        most = min(MOST, max(2, round(17 * (size / 320) ** 2)))
        for i in range(count):
            clean = self._crop(rng, self._board(first + int(rng.integers(recipe.boards))))
            wanted = 0 if rng.random() < 0.06 else int(rng.integers(1, most))
            planted, found = defects.plant(clean, rng, rng.choice(len(defects.NAMES), wanted, p=SHARES).tolist())
            images[i] = scan.picture(planted, 0 if rng.random() < 0.4 else int(rng.integers(70, 99)))
            for j, defect in enumerate(found):
                boxes[i, j] = defect.x1, defect.y1, defect.x2, defect.y2
                labels[i, j] = defect.label
        self._halves[number] = Batch(images, boxes, labels)
        return self._halves[number]

    def __getitem__(self, number: int) -> Batch:
        needed = range(number - self.recipe.lag, number + 1)  # in order, so that no board is drawn twice
        self._halves = {earlier: self._half(earlier) for earlier in needed}
        old, new = self._halves[needed[0]], self._halves[number]
        old = turned(old, np.random.default_rng([self.recipe.seed, number, 1]))
        return Batch(
            np.concatenate([old.images, new.images]),
            np.concatenate([old.boxes, new.boxes]),
            np.concatenate([old.labels, new.labels]),
        )
