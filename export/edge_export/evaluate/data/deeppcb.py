"""DeepPCB: pairs of lines `group/X.jpg group_not/X.txt` in test.txt or trainval.txt; X.jpg means X_test.jpg.

A label file has lines `x1 y1 x2 y2 type` in pixels; types 1..6 become classes 0..5
(github.com/tangsanli5201/DeepPCB).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_export.evaluate.data.images import listed_lines, spread
from edge_export.evaluate.data.truth import BoxTruth, Labelled, LabelledSet
from edge_runtime.errors import DataError

__all__ = ["DEEPPCB_NAMES", "find_deeppcb", "is_deeppcb", "open_deeppcb"]

DEEPPCB_NAMES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")


def find_deeppcb(folder: Path) -> Path | None:
    """Return the list to evaluate on, test.txt before trainval.txt; None if neither holds pairs."""
    return next((path for name in ("test.txt", "trainval.txt") if is_deeppcb(path := folder / name)), None)


def is_deeppcb(path: Path) -> bool:
    """Say whether the first line of this file is an image with a label file."""
    first = next(iter(listed_lines(path)), None) if path.is_file() else None
    return first is not None and len(fields := first[1].split()) == 2 and fields[1].endswith(".txt")


def open_deeppcb(path: Path, limit: int, seed: int) -> LabelledSet:
    """Read a DeepPCB list. Raises DataError with file:line for a bad line or a file that is not there."""
    lines = list(listed_lines(path))
    items = []
    for index in spread(len(lines), limit, seed):
        number, text = lines[index]
        fields = text.split()
        if len(fields) != 2:
            raise DataError(f"{path}:{number}: expected `IMAGE.jpg LABELS.txt`, found {text[:60]!r}; mend the line")
        plain, label = path.parent / fields[0], path.parent / fields[1]
        tested = plain.with_name(f"{plain.stem}_test{plain.suffix}")
        image = tested if tested.is_file() else plain
        for wanted in (image, label):
            if not wanted.is_file():
                raise DataError(f"{path}:{number}: {wanted} is not there; unpack the whole data set")
        items.append(Labelled(image, _read_label(label)))
    return LabelledSet(
        task="detect",
        format="DeepPCB",
        items=tuple(items),
        names=DEEPPCB_NAMES,
        description=f"{path.parent.name}/{path.name}: {len(items)} of {len(lines)} images, seed {seed}",
    )


def _read_label(path: Path) -> BoxTruth:
    rows = []
    for number, text in listed_lines(path):
        try:
            x1, y1, x2, y2, kind = (int(value) for value in text.replace(",", " ").split())
        except ValueError:
            x1 = y1 = x2 = y2 = kind = 0
        if not (x1 < x2 and y1 < y2 and 1 <= kind <= len(DEEPPCB_NAMES)):
            raise DataError(f"{path}:{number}: expected `x1 y1 x2 y2 type` with type 1..6, found {text[:60]!r}")
        rows.append([x1, y1, x2, y2, kind])
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    return BoxTruth(table[:, :4].astype(np.float64), table[:, 4] - 1, np.zeros(len(table), dtype=np.bool_))
