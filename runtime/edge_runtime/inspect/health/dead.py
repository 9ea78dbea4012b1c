"""Pictures in which nothing can be seen, whatever the scene is: black, white, one colour, covered.

The limits are absolute and meant to be met by no honest picture: light on a sensor has noise, lenses fall off to the
corners, and even a plain sheet shows both. Text that a camera writes over its picture (a clock, a name, a logo) stands
in the upper and lower sixth, a little off the edge; there, and only there, a dead picture may show something. What
touches the edge is a part that comes into the picture.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SIDE", "dead", "sampled"]

SIDE = 256  # pixels a side of the sample that is looked at first
_BAND = 6  # the upper and lower sixth may hold a camera's text ...
_TEXT = 0.06  # ... that covers this share of the whole picture at most
_SAME = 1  # levels: what compression makes of one colour
_OTHER = 0.0005  # share of pixels, the bands left out, that may have another colour
_EDGE, _ENTERS = 16, 0.01  # levels, and the share of the outermost pixels that have them where a part comes in
_DARK = 20  # levels: below it, noise is no picture
_WHITE, _VEIL = 250, 10  # a sensor that is full, and by how much less the few pixels may have that are not
_BLOCKS = 32  # a side: means of blocks show structure that noise hides
_STEP = 3  # levels by which a block differs that shows something
_NOISE = 6  # levels: 95 % of the pixels of a dark sensor with its gain up are nearer to their block's mean
_LIT, _FEW = 24, 0.001  # levels above the rest, and the share of pixels that have them: hot pixels, no lamps


def sampled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return SIDE x SIDE pixels of the picture as they are, not averaged: noise stays noise."""
    return cast("NDArray[np.uint8]", cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST))


def dead(image: NDArray[np.uint8], sample: NDArray[np.uint8] | None = None) -> str | None:
    """Return why nothing can be seen in a picture, uint8 [height, width, 3]; None where something can.

    A sample is looked at first; a picture is refused only when all of its pixels say so.
    """
    if _reason(sampled(image) if sample is None else sample) is None:
        return None
    return _reason(image)


def _reason(pixels: NDArray[np.uint8]) -> str | None:
    band = pixels.shape[0] // _BAND
    inner = pixels[band : pixels.shape[0] - band]
    green = _shares(inner, 1)
    level = _median(green)
    full = level >= _WHITE and _less(green) <= _OTHER
    if level > _DARK and _others(green, level) > _OTHER and not full:  # nearly always: no more has to be counted
        return None
    within = [_shares(inner, 0), green, _shares(inner, 2)]
    outer = [_shares(pixels[:band], channel) + _shares(pixels[len(pixels) - band :], channel) for channel in range(3)]
    levels = [_median(counts) for counts in within]
    if _something_enters(pixels, levels):
        return None
    if all(
        _others(counts, level) <= _OTHER and _others(counts + more, level) <= _TEXT
        for counts, more, level in zip(within, outer, levels, strict=True)
    ):
        spread = max(_deviation(counts, level) for counts, level in zip(within, levels, strict=True))
        return f"{_colour(levels)} (spread {spread:.1f})"
    if full and min(levels) >= _WHITE and max(map(_less, within)) <= _OTHER and max(map(_less, outer)) <= _TEXT:
        return f"white: level {min(levels)}, nothing but noise"
    if max(levels) <= _DARK:
        lit = max(counts[level + _LIT :].sum() / counts.sum() for counts, level in zip(within, levels, strict=True))
        return _dark(pixels, levels) if lit <= _FEW else None
    return None


def _shares(pixels: NDArray[np.uint8], channel: int) -> NDArray[np.float32]:
    """How many pixels have each of the 256 levels."""
    return cast("NDArray[np.float32]", cv2.calcHist([pixels], [channel], None, [256], [0, 256]).ravel())


def _something_enters(pixels: NDArray[np.uint8], levels: list[int]) -> bool:
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    return bool(np.mean(np.abs(edge - np.array(levels, np.int16)).max(axis=1) > _EDGE) > _ENTERS)


def _median(counts: NDArray[np.float32]) -> int:
    return int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


def _others(counts: NDArray[np.float32], level: int) -> float:
    """The share of pixels of another level."""
    same = counts[max(level - _SAME, 0) : level + _SAME + 1].sum()
    return float(1 - same / counts.sum())


def _less(counts: NDArray[np.float32]) -> float:
    """The share of pixels that are not white."""
    return float(counts[: _WHITE - _VEIL].sum() / counts.sum())


def _deviation(counts: NDArray[np.float32], level: int) -> float:
    """The standard deviation, of the pixels near the level."""
    away = (np.arange(256) - level) ** 2
    near = away <= 64
    return float(np.sqrt((counts * away)[near].sum() / max(counts[near].sum(), 1)))


def _colour(levels: list[int]) -> str:
    if max(levels) <= _DARK:
        return f"black: level {max(levels)}"
    if min(levels) >= 250:
        return f"white: level {min(levels)}"
    if max(levels) - min(levels) <= 4:  # as near as colours come back from a stream
        return f"uniform: gray {levels[1]}"
    return f"uniform: one colour, RGB {levels[2]} {levels[1]} {levels[0]}"


def _dark(pixels: NDArray[np.uint8], levels: list[int]) -> str | None:
    """What is said of a dark picture with nothing but noise and soft light in it; None where it shows more."""
    height, width = pixels.shape[:2]
    # A hot pixel does not light its block.
    pixels = np.minimum(pixels, np.array([level + _LIT for level in levels], np.uint8))
    blocks = cv2.resize(pixels, (_BLOCKS, _BLOCKS), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_LINEAR)
    band = _BLOCKS // _BAND
    noisy = cv2.absdiff(pixels, smooth)[height // _BAND : height - height // _BAND] > _NOISE
    if np.count_nonzero(noisy) > 0.05 * noisy.size:
        return None
    away = np.abs(blocks.astype(np.int16) - np.array(levels, np.int16)).max(axis=2) > _STEP
    if np.count_nonzero(away[band:-band]) <= 1 and np.count_nonzero(away) <= _TEXT * away.size:
        return f"black: level {max(levels)}, nothing but noise"
    inner = blocks[band:-band].reshape(-1, 3).astype(np.float32)
    light, fit = _soft_light()
    soft = light @ (fit @ inner)
    if np.count_nonzero(np.abs(inner - soft).max(axis=1) > _STEP) <= 1:
        return f"covered: dark (level {max(levels)}) and without an edge"
    return None


@functools.cache
def _soft_light() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What light that leaks under a cap or through a hand is made of: planes and bowls, [blocks, 6]; what fits it."""
    place = np.linspace(-1, 1, _BLOCKS)
    down, right = (
        axis.ravel() for axis in np.meshgrid(place[_BLOCKS // _BAND : -(_BLOCKS // _BAND)], place, indexing="ij")
    )
    light = np.stack([np.ones_like(down), down, right, down * down, down * right, right * right], axis=1)
    return light.astype(np.float32), np.linalg.pinv(light).astype(np.float32)
