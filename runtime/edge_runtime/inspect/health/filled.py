"""Rows that no data filled, in a picture that another program passed on: a whole file, half a scene, or none of it.

libjpeg and video decoders give gray 128 for what they have no data of, others black, white, green or the last colour
they knew; a camera or a converter that passes such a picture on writes a file in which nothing is wrong any more.

Gray 128 is told by itself. Of any other colour an edge tells: the picture goes on to one straight line, in all columns,
and has that colour nowhere else. What is dark or plain in a scene ends in a softer, slanting or ragged line; what was
laid on a background has it at the other edge too. A picture that was padded at one edge only cannot be told from one
that lacks rows: it is not judged either, and the reason says how to allow it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["filled"]

_GRAY, _SAME = 128, 1  # the level, and what compression makes of it
_PAD = 114  # what tools for detectors pad with
_PLAIN_SIDE = 100  # pixels: light on a sensor has noise; what is smaller may be a sample of a colour
_LEAST = 0.02  # of the height, and 8 rows: a block of a JPEG
_REPEATED = 0.3  # of the height; boards drawn in two levels have the same row in 0.23 of it
_SPREAD, _NEAR = 6, 4  # levels in the last row, and about its middle in all others, after compression
_AT_ONCE = 32  # rows that are looked at together
_SOFT = 40  # rows above, in which compression may have left some of the line
_STEPS = (4, 10, 24)  # levels from which a pixel is not the fill's; compression rings at the line
_LINE = 0.9  # of the columns end there: within a row, or as much a block higher where the last one was not complete
_BLOCKS = (8, 16)
_ELSEWHERE = 0.03  # of the rest that may have the colour
_JUMP = 0.3  # of the step at the line that the rows above may differ by, besides what they always do ...
_HARD = 0.7  # ... or the step is so much of what lies within _REACH rows: light that falls off takes more than one row
_REACH = 4
_STEP = 6  # levels by which most columns change at the line: less is a shade
_LIGHT = np.array([29, 150, 77], np.int32)  # of 256: blue, green and red, ITU-R BT.601


def filled(image: NDArray[np.uint8]) -> str | None:
    """Return what is wrong with a picture, uint8 [height, width, 3], of which rows, or all, were never filled.

    None: nothing. Bitmaps are written from the last row to the first.
    """
    height = len(image)
    if _plain(image):
        colour = "RGB {2} {1} {0}".format(*image[0, 0].tolist())
        return f"of one colour: all of its pixels are {colour} (--health off allows it)"
    first = _gray_from(image)
    if first is not None:
        return f"never filled: gray {_GRAY} from row {first} of {height} on"
    for way, where in ((image, "from row {} of {} on"), (image[::-1], "above row {} of {}")):
        if (first := _repeated_from(way)) is not None:
            row = where.format(first if way is image else height - first, height)
            return f"never filled: one row is repeated {row} (--health off allows it)"
    found = _plain_from(image)
    if found is not None:
        return f"never filled, or padded: {found[1]} from row {found[0]} of {height} on (--health off allows it)"
    found = _plain_from(image[::-1])
    if found is not None:
        return f"never filled, or padded: {found[1]} above row {height - found[0]} of {height} (--health off allows it)"
    return None


def _plain(image: NDArray[np.uint8]) -> bool:
    """Whether all pixels are the same; white is what an empty place is in pictures of two levels."""
    first = image[0, 0]
    large = min(image.shape[:2]) >= _PLAIN_SIDE and first.min() < 255
    # An edge is often of one colour, both are seldom: all pixels are looked at only then.
    return large and not any((rows != first).any() for rows in (image[0], image[-1], image))


def _repeated_from(image: NDArray[np.uint8]) -> int | None:
    """The row that all behind it repeat to the bit, which is no plain one: a line of a sensor or decoder that stuck."""
    height, last = len(image), image[-1]
    least = max(round(_REPEATED * height), 8)
    if least > height or (image[-2] != last).any() or (image[-least] != last).any():
        return None
    if int((last.max(axis=0) - last.min(axis=0)).max()) <= _SPREAD or (image[-least:] != last).any():
        return None
    other = (image != last).any(axis=(1, 2))
    return height - int(np.argmax(other[::-1])) if other.any() else 0


def _gray_from(image: NDArray[np.uint8]) -> int | None:
    """The row from which on all are gray 128; a picture that is so at its upper edge too was laid on gray."""
    if not _gray(image[-1:]) or _gray(image[:1]):
        return None
    first = _flat_from(image, np.full(3, _GRAY, np.int16), _SAME)
    return first if len(image) - first >= max(8, _LEAST * len(image)) else None


def _gray(rows: NDArray[np.uint8]) -> bool:
    return bool(rows.min() >= _GRAY - _SAME and rows.max() <= _GRAY + _SAME)


def _flat_from(image: NDArray[np.uint8], colour: NDArray[np.int16], near: int) -> int:
    height = first = len(image)
    step = max(1, image.shape[1] // 64)
    while first:  # from below, and no further than it has to be: the fill of a good picture is an edge
        rows = image[max(first - _AT_ONCE, 0) : first, ::step]
        flat = _away(rows, colour).max(axis=1) <= near
        if not flat.all():
            first -= int(np.argmin(flat[::-1]))
            break
        first -= len(rows)
    while first < height and np.abs(image[first].astype(np.int16) - colour).max() > near:
        first += 1
    return first


def _plain_from(image: NDArray[np.uint8]) -> tuple[int, str] | None:
    """The row from which on all have one colour that ends in a line, and the colour."""
    green = image[-1, :, 1]
    if int(green.max()) - int(green.min()) > _SPREAD:  # as good as always, and nothing more has to be looked at
        return None
    least, most = image[-1].min(axis=0).astype(np.int16), image[-1].max(axis=0).astype(np.int16)
    colour = (least + most) // 2
    on_purpose = np.abs(image[0] - colour).max() <= _NEAR or np.abs(colour - _PAD).max() <= _SAME
    if on_purpose or (most - least).max() > _SPREAD:
        return None
    height, first = len(image), _flat_from(image, colour, _NEAR)
    if height - first < max(8, _LEAST * height) or first < 8:
        return None
    above = image[max(0, first - _SOFT) : first][::-1]  # from the line up
    # The colours of a JPEG are coarser than its light: of a coloured fill the light alone ends in a line.
    sides = (_away(above, colour), np.abs((above.astype(np.int16) - colour) @ _LIGHT >> 8))
    found = [line for away in sides for step in _STEPS if (line := _line(away, step)) is not None]
    if not found:
        return None
    line = max(found)
    if _share(image[: max(first - line - max(_BLOCKS), 1)], colour) > _ELSEWHERE:
        return None
    return first - line, "black" if colour.max() <= _NEAR else "RGB {2} {1} {0}".format(*colour.tolist())


def _line(away: NDArray[Any], step: int) -> int | None:
    """How many rows up all columns leave the fill at once, [rows, columns] levels away from it; None: they do not."""
    other = away > step
    ends = np.where(other.any(axis=0), other.argmax(axis=0), len(away) + 2)
    counts = np.bincount(ends, minlength=len(away) + 3)
    lines = np.convolve(counts, (1, 1, 1), "same")
    line = int((lines * (away.shape[1] + 1) + counts).argmax())  # the middle of its rows
    others = [lines[at] for block in _BLOCKS for at in (line - block, line + block) if 0 <= at < len(away)]
    if line >= len(away) or lines[line] + max(others, default=0) < _LINE * away.shape[1]:
        return None
    columns = np.flatnonzero(ends < len(away) - _REACH)
    if not columns.size:
        return None
    at = ends[columns]
    jump = away[at, columns]
    if np.median(jump) < _STEP:
        return None
    on = np.abs(away[at + 1, columns] - jump)
    most = np.max([away[at + way, columns] for way in range(_REACH)], axis=0)
    above = away[int(at.max()) + 2 :]
    usual = np.median(np.abs(np.diff(above, axis=0))) if len(above) > 1 else 0
    hard = np.median(on) <= 2 * usual + _JUMP * np.median(jump) or np.median(jump) >= _HARD * np.median(most)
    return line if hard else None


def _share(rows: NDArray[np.uint8], colour: NDArray[np.int16]) -> float:
    height, width = rows.shape[:2]
    some = rows[:: max(1, height // 160), :: max(1, width // 160)]
    return float((_away(some, colour) <= _NEAR).mean())


def _away(rows: NDArray[np.uint8], colour: NDArray[np.int16]) -> NDArray[np.int16]:
    """How many levels each pixel is away from a colour, in the channel in which it is most."""
    # Channel by channel: over a last axis of three, numpy takes ten times as long.
    blue, green, red = (np.abs(rows[..., channel].astype(np.int16) - colour[channel]) for channel in range(3))
    most: NDArray[np.int16] = np.maximum(np.maximum(blue, green), red)
    return most
