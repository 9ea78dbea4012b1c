"""DOTA labels: images/NAME.png with labelTxt/NAME.txt, one turned box on a line, in pixels, after lines such as
`gsd:0.5`: `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` (captain-whu.github.io/DOTA).

A difficult object counts neither for nor against a detector, as in DOTA's own evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_export.evaluate.data.images import find_images, listed_lines, spread
from edge_export.evaluate.data.outlines import Polygons
from edge_export.evaluate.data.truth import BoxTruth, Labelled, LabelledSet
from edge_runtime.errors import DataError

__all__ = ["is_dota", "open_dota"]

_LABELS = "labelTxt"
# The order that detectors trained on DOTA answer in: 15 classes, one more in version 1.5, two more in version 2.
_NAMES = (
    "plane", "ship", "storage-tank", "baseball-diamond", "tennis-court", "basketball-court", "ground-track-field",
    "harbor", "bridge", "large-vehicle", "small-vehicle", "helicopter", "roundabout", "soccer-ball-field",
    "swimming-pool", "container-crane", "airport", "helipad",
)  # fmt: skip
_VERSIONS = (15, 16, 18)


@dataclass(frozen=True)
class _Object:
    corners: list[float]
    name: str
    difficult: bool


def is_dota(folder: Path) -> bool:
    """Say whether the folder holds images/ and labelTxt/ with text files in it."""
    labels = folder / _LABELS
    return (folder / "images").is_dir() and labels.is_dir() and next(labels.glob("*.txt"), None) is not None


def open_dota(folder: Path, limit: int, seed: int) -> LabelledSet:
    """Read a DOTA data set. Raises DataError with file:line for a line that is no label."""
    images = [path for path in find_images(folder / "images") if _label(folder, path).is_file()]
    if not images:
        raise DataError(f"no image in {folder / 'images'} has a label of its name in {folder / _LABELS}")
    chosen = [images[index] for index in spread(len(images), limit, seed)]
    objects = {image: _read_label(_label(folder, image)) for image in chosen}
    names = _names({one.name for listed in objects.values() for one in listed})
    return LabelledSet(
        task="detect",
        format="DOTA labels",
        items=tuple(Labelled(image, _truth(listed, names)) for image, listed in objects.items()),
        names=names,
        description=f"{folder.name}: {len(chosen)} of {len(images)} images, seed {seed}",
    )


def _label(folder: Path, image: Path) -> Path:
    return folder / _LABELS / f"{image.stem}.txt"


def _names(seen: set[str]) -> tuple[str, ...]:
    """DOTA's own order where the names are DOTA's, else that of the alphabet."""
    known = next((count for count in _VERSIONS if seen <= set(_NAMES[:count])), 0)
    return _NAMES[:known] or tuple(sorted(seen))


def _read_label(path: Path) -> list[_Object]:
    objects = []
    for number, text in listed_lines(path):
        if text.split(":")[0] in ("imagesource", "gsd"):
            continue
        fields = text.split()
        corners = _corners(fields[:8])
        if corners is None or len(fields) not in (9, 10):
            raise DataError(
                f"{path}:{number}: expected `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` in pixels, found {text[:60]!r}; "
                "mend the line or remove it"
            )
        objects.append(_Object(corners, fields[8], fields[9:] not in ([], ["0"])))
    return objects


def _corners(fields: Sequence[str]) -> list[float] | None:
    try:
        corners = [float(value) for value in fields]
    except ValueError:
        return None
    return corners if len(corners) == 8 and all(map(math.isfinite, corners)) else None


def _truth(objects: Sequence[_Object], names: Sequence[str]) -> BoxTruth:
    corners = np.array([one.corners for one in objects], dtype=np.float64).reshape(-1, 4, 2)
    return BoxTruth(
        np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1),
        np.array([names.index(one.name) for one in objects], dtype=np.int64),
        np.zeros(len(objects), dtype=np.bool_),
        outlines=tuple(Polygons((ring,)) for ring in corners),
        difficult=np.array([one.difficult for one in objects], dtype=np.bool_),
    )
