"""From good pictures to limits: what they span, and as much again where a single picture may stray."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.inspect.health.dead import dead, sampled
from edge_runtime.inspect.health.limits import Limits, Place
from edge_runtime.inspect.health.measures import Measures, measure, shift_between

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FEWEST", "dull_cells", "learn", "odd_cells"]

FEWEST = 5  # pictures; of fewer nobody knows how much they differ
# 20 pictures of a normal distribution span 3.7 of its deviations; once more beyond them leaves out 1 in 10 million.
# Half of it refused one good picture in 60 (of cells and tones there are hundreds, and they stray farther).
_STRAY = 1.0  # of their span, that a picture may lie beyond all good ones ...
_LEVELS = 8.0  # ... and so many levels besides
_TEXTURE = 0.6  # of the least contrast that a cell had
_DULL, _MORE_DULL = 0.25, 6  # of the usual contrast, and cells that have less, beside those of good pictures
_WHITE = 0.8  # of the least level that the brightest pixels had
_SHARPNESS = 0.85  # of the least
_SHARE = 0.01  # of the pixels that may have a tone beyond what any good picture has of it
_SHIFT = 0.015  # of the picture more than any good one
_SURE, _AGREE = 0.15, 0.5  # a correlation that is no chance, and the share of good pictures that must have it
_STILL = 0.04  # pictures that lie apart by more have no one place


def learn(pictures: Iterable[NDArray[np.uint8]]) -> Limits:
    """Return limits for pictures like these, uint8 [height, width, 3]; one at a time is held.

    Raises DataError for fewer than FEWEST, and for one in which nothing can be seen.
    """
    measured = []
    for number, picture in enumerate(pictures):
        sample = sampled(picture)
        if (reason := dead(picture, sample)) is not None:
            raise DataError(f"picture {number} of the good ones shows nothing: {reason}")
        measured.append(measure(picture, sample))
    if len(measured) < FEWEST:
        raise DataError(f"{len(measured)} good pictures; limits take at least {FEWEST}, better 20")
    # How many cells of a good picture stray is tried on each with the limits of all others.
    strayed = [
        odd_cells(own, _cells(measured[:number] + measured[number + 1 :])) for number, own in enumerate(measured)
    ]
    least, most, textures = _cells(measured)
    brightness = [own.brightness for own in measured]
    blacks = [own.black for own in measured]
    whites = [own.white for own in measured]
    slack = _LEVELS + _STRAY * (max(brightness) - min(brightness))
    texture = _DULL * float(np.median([own.textures for own in measured]))
    dull = [dull_cells(own, texture) for own in measured]
    return Limits(
        schema=1,
        pictures=len(measured),
        darkest=min(brightness) - slack,
        brightest=max(brightness) + slack,
        black=max(blacks) + _LEVELS + _STRAY * (max(blacks) - min(blacks)),
        white=min(_WHITE * min(whites), min(whites) - (max(whites) - min(whites)) / 2),
        sharpness=_SHARPNESS * min(own.sharpness for own in measured),
        tones_most=_tones(measured),
        levels_least=_listed(least),
        levels_most=_listed(most),
        textures_least=_listed(textures),
        odd_cells=math.ceil(2 * max(max(counts) for counts in strayed)) + 5,
        texture=texture,
        dull_cells=max(dull) + max(_MORE_DULL, round(_STRAY * (max(dull) - min(dull)))),
        place=_place(measured),
    )


Cells = tuple["NDArray[np.float32]", "NDArray[np.float32]", "NDArray[np.float32]"]


def odd_cells(own: Measures, cells: Cells) -> tuple[int, int, int]:
    """Return how many cells are darker than the first of `cells`, lighter than the second, duller than the third."""
    least, most, textures = cells
    return (
        int(np.count_nonzero(own.levels < least)),
        int(np.count_nonzero(own.levels > most)),
        int(np.count_nonzero(own.textures < textures)),
    )


def dull_cells(own: Measures, texture: float) -> int:
    """Return how many cells have less contrast than this."""
    return int(np.count_nonzero(own.textures < texture))


def _cells(measured: Sequence[Measures]) -> Cells:
    levels = np.stack([own.levels for own in measured])
    least, most = levels.min(axis=0), levels.max(axis=0)
    slack = _LEVELS + _STRAY * (most - least)
    return least - slack, most + slack, _TEXTURE * np.min([own.textures for own in measured], axis=0)


def _tones(measured: Sequence[Measures]) -> tuple[float, ...]:
    tones = np.stack([own.tones for own in measured])
    most = tones.max(axis=0)
    return tuple(round(float(share), 4) for share in most + _SHARE + _STRAY * (most - tones.min(axis=0)))


def _listed(cells: NDArray[Any]) -> tuple[float, ...]:
    return tuple(round(float(value), 2) for value in cells.ravel())


def _place(measured: Sequence[Measures]) -> Place | None:
    """Where all pictures lie; None where they lie apart, or too different to tell."""
    view = np.median([own.view for own in measured], axis=0).round().astype(np.uint8)
    found = [shift_between(view.astype(np.float32), own.view) for own in measured]
    sure = [max(abs(right), abs(down)) for right, down, sureness in found if sureness >= _SURE]
    if len(sure) < _AGREE * len(measured) or max(sure) > _STILL:
        return None
    return Place(base64.b64encode(view.tobytes()).decode(), round(max(sure) + _SHIFT, 4), _SURE)
