"""Reads labelled pictures from a folder: DeepPCB's own layout, or pictures with .txt files beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pcb.dataset import MOST, Batch
from pcb.detect import Floats


@dataclass(frozen=True)
class Picture:
    """One picture and its defects: boxes [n, 4] x1 y1 x2 y2 pixels, labels [n]."""

    path: Path
    boxes: Floats
    labels: NDArray[np.int64]

    def grey(self) -> NDArray[np.uint8]:
        """The picture [H, W]."""
        read = cv2.imread(str(self.path), cv2.IMREAD_GRAYSCALE)
        if read is None:
            raise ValueError(f"{self.path}: not a picture that OpenCV can read")
        return np.asarray(read, np.uint8)


def read_labels(path: Path) -> tuple[Floats, NDArray[np.int64]]:
    """Boxes and labels from a DeepPCB text file (`x1 y1 x2 y2 type`, types from 1)."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if any(len(row) != 5 for row in rows):
        raise ValueError(f"{path}: expected five numbers a line, x1 y1 x2 y2 type")
    table = np.array(rows, dtype=np.float32).reshape(-1, 5)
    return table[:, :4], table[:, 4].astype(np.int64) - 1


def pictures(folder: Path) -> list[Picture]:
    """The labelled pictures of a DeepPCB folder (by its trainval.txt), or each picture with a .txt beside it."""
    found = []
    listing = folder / "trainval.txt"
    if listing.exists():
        for line in listing.read_text().splitlines():
            image, labels = (folder / part for part in line.split())
            found.append(Picture(image.with_name(f"{image.stem}_test.jpg"), *read_labels(labels)))
    else:
        for path in sorted(p for p in folder.iterdir() if p.suffix in (".png", ".jpg")):
            if path.with_suffix(".txt").exists():
                found.append(Picture(path, *read_labels(path.with_suffix(".txt"))))
    if not found:
        raise ValueError(f"{folder}: expected trainval.txt, or pictures with .txt files beside them")
    return found


class Real:
    """Training batches cut from a folder's pictures, by number. The shipped weights never saw one."""

    def __init__(self, folder: Path, seed: int, batch: int, crop: int) -> None:
        self.items, self.seed, self.batch, self.crop = pictures(folder), seed, batch, crop

    def __getitem__(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number, 2])
        images = np.full((self.batch, self.crop, self.crop), 255, np.uint8)
        boxes = np.zeros((self.batch, MOST, 4), np.float32)
        labels = np.full((self.batch, MOST), -1, np.int64)
        for i in range(self.batch):
            item = self.items[int(rng.integers(len(self.items)))]
            grey = item.grey()
            y, x = (int(rng.integers(0, max(1, side - self.crop + 1))) for side in grey.shape)
            cut = grey[y : y + self.crop, x : x + self.crop]
            images[i, : cut.shape[0], : cut.shape[1]] = cut
            moved = item.boxes - np.array([x, y, x, y], np.float32)
            clipped = moved.clip(0, self.crop)
            whole = (item.boxes[:, 2:] - item.boxes[:, :2]).prod(1)
            keep = np.flatnonzero((clipped[:, 2:] - clipped[:, :2]).prod(1) > 0.5 * whole)[:MOST]
            boxes[i, : len(keep)], labels[i, : len(keep)] = clipped[keep], item.labels[keep]
        return Batch(images, boxes, labels)
