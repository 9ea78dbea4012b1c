"""What columns of scores, objectness, ids and angles look like in real pictures: `fits` of rows alike in shape.

Each function is for a row whose first output is [N, columns, rows] (`turned`) or [N, rows, columns].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_export.model.families.family import Answers, Match

__all__ = ["all_ones", "angles", "no_ids", "no_objectness", "objectness", "offsets"]

Fits = Callable[[Match, Sequence[Answers]], str]
_HIGH, _FAINT = 0.25, 0.05
_OFTEN = 0.15  # of the rows without anything: so often a class is high there, if it is none without an objectness
_FEWEST = 3  # rows that say something
_FEW_ROWS = 1000  # so many finished boxes may be
_FLAT = 0.01
_BESIDE = 0.15  # of the picture's side


def _columns(match: Match, pictures: Sequence[Answers], turned: bool) -> NDArray[np.float32]:
    """All rows of all pictures, [rows, columns]."""
    arrays = [np.asarray(answers[match.names[0]], np.float32) for answers in pictures]
    found = [(np.moveaxis(array, 1, -1) if turned else array).reshape(-1, array.shape[1 if turned else -1])
             for array in arrays]  # fmt: skip
    return np.concatenate(found)


def _is_objectness(rows: NDArray[np.float32]) -> bool | None:
    """Whether some class of the columns from 5 on is high wherever column 4 is.

    None where that cannot be told: it is nowhere high, or the classes are all high in the same rows and nowhere else,
    so that column 4 may be one of them. (Behind an objectness, classes are as high where nothing is: in 30 % of the
    rows of a trained YOLOX, in 90 % and more of random ones; scores without one in 6 % at the most.)
    """
    if not _is_high_somewhere(rows):
        return None
    if not _beside(rows[:, 4:], 0):
        return False
    elsewhere = rows[rows[:, 4] < _FAINT, 5:].max(axis=1, initial=0) >= _HIGH
    if len(elsewhere) and elsewhere.mean() >= _OFTEN:
        return True
    scores = rows[:, 5:]
    seen = np.flatnonzero(np.count_nonzero(scores >= _HIGH, axis=0) >= _FEWEST)
    return None if sum(_beside(scores, column) for column in map(int, seen)) * 2 > len(seen) else True


def _beside(scores: NDArray[np.float32], column: int) -> bool:
    """Whether another column of scores is high wherever one is (in most rows)."""
    others = np.delete(scores[scores[:, column] >= _HIGH], column, axis=1)
    return bool(np.median(others.max(axis=1, initial=0)) >= _HIGH)


def _is_high_somewhere(rows: NDArray[np.float32]) -> bool:
    """Whether column 4 is, and there are classes behind it."""
    return rows.shape[1] >= 6 and bool(np.count_nonzero(rows[:, 4] >= _HIGH) >= _FEWEST)


def all_ones(match: Match, pictures: Sequence[Answers]) -> str:
    """YOLOv6 writes 1 where others have an objectness."""
    return "" if np.allclose(_columns(match, pictures, False)[:, 4], 1, atol=1e-3) else "the objectness is not always 1"


def objectness(match: Match, pictures: Sequence[Answers]) -> str:
    """Where an objectness is high, a class is: else the column is that of a class, too."""
    rows = _columns(match, pictures, False)
    if np.allclose(rows[:, 4], 1, atol=1e-3):
        return "the objectness is 1 everywhere"
    found = _is_objectness(rows)
    if found is None and _is_high_somewhere(rows):
        return "its classes are high together: whether the number before them is an objectness, or a class, is not told"
    return "where the objectness is high, no class is" if found is False else ""


def offsets(match: Match, pictures: Sequence[Answers]) -> str:
    """Offsets within a cell have nothing to do with where in the picture it lies; boxes of 0..1 lie near their cell."""
    image = match.shown.image
    if image is None or not image.width:
        return ""
    strides = (8, 16, 32)
    sides = [(-(-image.width // stride), -(-image.height // stride)) for stride in strides]
    places = [np.stack(np.meshgrid(np.arange(w) / w, np.arange(h) / h), axis=-1).reshape(-1, 2) for w, h in sides]
    cells = np.tile(np.concatenate(places), (len(pictures), 1))
    rows = _columns(match, pictures, False)
    if len(rows) != len(cells):
        return ""
    sure = rows[:, 4] >= _HIGH
    if np.count_nonzero(sure) < _FEWEST:
        return ""
    apart = np.abs(rows[sure, :2] - cells[sure]).max(axis=1)
    return "its first numbers are places in the picture, no offsets" if np.median(apart) < _BESIDE else ""


def no_objectness(turned: bool) -> Fits:
    """The first class is not high wherever another one is, as an objectness is; few rows hold no whole numbers."""

    def fits(match: Match, pictures: Sequence[Answers]) -> str:
        rows = _columns(match, pictures, turned)
        if len(rows) >= len(pictures) * 500 and _is_objectness(rows):
            return "another class is high wherever the first is: that is an objectness"
        return no_ids(turned)(match, pictures)

    return fits


def no_ids(turned: bool) -> Fits:
    """No column of scores holds whole numbers only: those are ids of classes."""

    def fits(match: Match, pictures: Sequence[Answers]) -> str:
        rows = _columns(match, pictures, turned)
        scores = rows[:, 4:]
        if len(rows) > _FEW_ROWS * len(pictures) or len(rows) < _FEWEST:
            return ""
        whole = (np.abs(scores - np.rint(scores)) < 1e-3).all(axis=0)
        varied = np.ptp(scores, axis=0) > 1e-3
        # Where no other column says anything, nothing was seen.
        return "a column of scores holds whole numbers only" if (whole & varied.any()).any() else ""

    return fits


def angles(match: Match, pictures: Sequence[Answers]) -> str:
    """Angles are nearly 0 in few cells; scores are in most."""
    last = _columns(match, pictures, True)[:, -1]
    return "the angles are 0 nearly everywhere: those are scores" if np.median(np.abs(last)) < _FLAT else ""
