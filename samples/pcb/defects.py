"""Plants the six defects on a scanned board and says where they are.

Works on the scanned copper (1 where copper is), so that the board with and without a defect differ by the
defect and nothing else. Every planter proposes a change in a window about some place and checks that the
result is what its name says: an open parts a conductor, a short joins two, a mouse bite or a spur neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pcb import strokes
from pcb.canvas import Mask, Points, grown

NAMES = ("open", "short", "mousebite", "spur", "copper", "pinhole")
REACH = 72  # half the side of the largest window that a defect is planned in, pixels
REACHES = (REACH, REACH, 64, 48, 48, 48)  # by label: only opens and shorts are long
TRIES = 24
RAYS = 24


@dataclass(frozen=True)
class Defect:
    """One planted defect: `label` indexes NAMES; the box is half-open, pixels, x to the right, y down."""

    label: int
    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True)
class Window:
    """A piece of the board about a place; outside the board it repeats the edge."""

    copper: Mask
    at: Points  # the place in the window's own coordinates, x and y


Stroke = tuple[Mask, bool]  # what is painted, and whether it paints copper (or takes it away)
Planter = Callable[[np.random.Generator, Window], Mask | None]


def _size(rng: np.random.Generator, median: float, spread: float, low: float, high: float) -> float:
    return float(np.clip(rng.lognormal(np.log(median), spread), low, high))


def _blank(window: Window) -> Mask:
    return np.zeros_like(window.copper)


def _parts(copper: Mask) -> int:
    """Number of conductors in sight, specks not counted."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(copper, connectivity=8)
    return int(np.count_nonzero(stats[1:, cv2.CC_STAT_AREA] >= 12))


def _edges(copper: Mask) -> Mask:
    return copper & grown(1 - copper, 1)


def _rays() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Steps x and y [RAYS, REACH - 10] outwards along RAYS directions round the circle."""
    angles = np.arange(RAYS)[:, None] * 2 * np.pi / RAYS
    reach = np.arange(REACH - 10)[None]
    return np.round(reach * np.cos(angles)).astype(np.intp), np.round(reach * np.sin(angles)).astype(np.intp)


RAY_X, RAY_Y = _rays()


def _across(rng: np.random.Generator, copper: Mask, at: Points, longest: float) -> tuple[Points, Points] | None:
    """A straight way from copper to copper over the bare ground about `at`: mostly the shortest."""
    xs, ys = RAY_X + int(at[0]), RAY_Y + int(at[1])
    seen = copper[ys, xs]
    hit = np.where(seen.any(1), seen.argmax(1), 10 * REACH)
    lengths = hit[: RAYS // 2] + hit[RAYS // 2 :]
    order = np.argsort(lengths)
    pick = int(order[0 if rng.random() < 0.75 else int(rng.integers(4))])
    if lengths[pick] > longest:
        return None
    ends = [np.array([xs[ray, hit[ray]], ys[ray, hit[ray]]], np.float64) for ray in (pick, pick + RAYS // 2)]
    return ends[0], ends[1]


def _bridge(rng: np.random.Generator, window: Window) -> Mask | None:
    """Paint from one piece of copper to another across the ground at the window's middle."""
    longest = _size(rng, 20, 0.7, 7, 110)
    ends = _across(rng, window.copper, window.at, longest)
    if ends is None:
        return None
    length = float(np.hypot(*(ends[1] - ends[0])))
    if length < 2.5:
        return None
    way = (ends[1] - ends[0]) / length
    over = rng.uniform(0.5, 4.0, 2)
    painter = strokes.any_painter(rng)
    bend = float(rng.choice([0.0, 0.0, 0.0, 0.05, 0.15, 0.3]))
    thick = _size(rng, 5.0, 0.5, 2, min(26, 4 + length))
    if rng.random() < 0.12:  # a wide gap in a thin trace, a broad bar between thick ones
        thick = rng.uniform(10, 34)
    path = strokes.wander(rng, ends[0] - way * over[0], ends[1] + way * over[1], bend)
    patch = _blank(window)
    strokes.paint(rng, patch, path, thick, painter)
    if painter in ("grains", "rough", "loops") and rng.random() < 0.7:  # scribbles still have to reach across
        strokes.paint(rng, patch, path, 2, "round")
    return patch


def short(rng: np.random.Generator, window: Window) -> Mask | None:
    """A bridge that joins two conductors, or at times closes a loop of one (a drilled pad's open ring)."""
    patch = _bridge(rng, window)
    if patch is None:
        return None
    after = window.copper | patch
    if _parts(after) < _parts(window.copper):
        return patch
    return patch if _parts(1 - after) > _parts(1 - window.copper) and rng.random() < 0.4 else None


def open_(rng: np.random.Generator, window: Window) -> Mask | None:
    """A cut that parts a conductor, or at times only breaks its loop."""
    patch = _bridge(rng, Window(1 - window.copper, window.at))
    if patch is None:
        return None
    after = window.copper & (1 - patch)
    if _parts(after) > _parts(window.copper):
        return patch
    return patch if _parts(1 - after) < _parts(1 - window.copper) and rng.random() < 0.4 else None


def _outgrowth(rng: np.random.Generator, window: Window, depth: float) -> Mask | None:
    """Copper grown outwards from the edge at the window's middle by `depth` pixels."""
    soft = cv2.GaussianBlur(window.copper.astype(np.float32), (0, 0), 2.0)
    x, y = window.at.astype(int)
    slope = np.array([soft[y, x - 1] - soft[y, x + 1], soft[y - 1, x] - soft[y + 1, x]], np.float64)
    steep = float(np.hypot(*slope))
    if steep < 1e-3:
        return None
    outward = slope / steep
    side = np.array([-outward[1], outward[0]])
    patch = _blank(window)
    thick = _size(rng, 5.0, 0.5, 2, 20)
    if rng.random() < 0.15:  # a fringe along the edge
        long = _size(rng, 18, 0.4, 8, 44)
        path = strokes.wander(rng, window.at - side * long / 2, window.at + side * long / 2, 0.08)
        painter = str(rng.choice(["ragged", "rough", "grains"]))
        strokes.paint(rng, patch, path + outward * depth * 0.3, min(depth, 7) + 1, painter)
        return patch
    lean = float(np.clip(rng.normal(0, 0.6), -1.4, 1.4))
    way = outward * np.cos(lean) + side * np.sin(lean)
    painter = strokes.any_painter(rng)
    inner = window.at - way * rng.uniform(0, 4)
    tip = window.at + way * max(1.0, depth - thick / 2)
    path = strokes.wander(rng, inner, tip, float(rng.choice([0.0, 0.1, 0.3])))
    if rng.random() < 0.2:  # hooked
        path = np.vstack([path, tip + (side * rng.choice([-1, 1]) + rng.normal(0, 0.5, 2)) * rng.uniform(3, 10)])
    strokes.paint(rng, patch, path, thick, painter)
    return patch


def _clings(patch: Mask, copper: Mask, least: int) -> bool:
    """The paint that shows is one piece of at least `least` pixels and touches the copper along its rim."""
    shown = patch & (1 - copper)
    _, _, stats, _ = cv2.connectedComponentsWithStats(shown, connectivity=8)
    if len(stats) < 2:
        return False
    biggest = int(stats[1:, cv2.CC_STAT_AREA].max())
    return biggest >= max(least, 0.7 * int(np.count_nonzero(shown)))


def spur(rng: np.random.Generator, window: Window) -> Mask | None:
    patch = _outgrowth(rng, window, _size(rng, 8, 0.6, 3.5, 40))
    if patch is None or not _clings(patch, window.copper, 14):
        return None
    joins = _parts(window.copper | patch) != _parts(window.copper)
    return None if joins or not _single_touch(patch, window.copper) else patch


def _single_touch(patch: Mask, copper: Mask) -> bool:
    """Whether the ground round about stays in one piece: a growth that met copper again would enclose some."""
    ground = 1 - copper
    reach = grown(patch, 4)
    before = _parts(ground & reach)
    return _parts(ground & reach & (1 - patch)) <= max(before, 1)


def mousebite(rng: np.random.Generator, window: Window) -> Mask | None:
    ground = 1 - window.copper
    patch = _outgrowth(rng, Window(ground, window.at), _size(rng, 7.5, 0.75, 3, 58))
    if patch is None or not _clings(patch, ground, 10):
        return None
    left = window.copper & (1 - patch)
    return patch if _parts(left) == _parts(window.copper) and _single_touch(patch, ground) else None


def _island(rng: np.random.Generator, window: Window, length: float, clear: int) -> Mask | None:
    """A mark on open ground, at least `clear` pixels from any copper."""
    patch = _blank(window)
    strokes.blob(rng, patch, window.at, length)
    return None if np.any(grown(patch, clear) & window.copper) or np.count_nonzero(patch) < 14 else patch


def copper(rng: np.random.Generator, window: Window) -> Mask | None:
    return _island(rng, window, _size(rng, 20, 0.55, 7, 64), int(rng.choice([3, 4, 6])))


def pinhole(rng: np.random.Generator, window: Window) -> Mask | None:
    ground = Window(1 - window.copper, window.at)
    return _island(rng, ground, _size(rng, 15.5, 0.55, 4.5, 50), int(rng.choice([1, 2, 3])))


PLANTERS: tuple[Planter, ...] = (open_, short, mousebite, spur, copper, pinhole)
TAKES_COPPER = (True, False, True, False, False, True)


def _places(rng: np.random.Generator, label: int, board: Mask, rim: Mask) -> tuple[int, int] | None:
    """A likely place (x, y) for a defect of this kind: an edge, copper or bare ground."""
    ground = board if TAKES_COPPER[label] else 1 - board
    want = rim if NAMES[label] in ("mousebite", "spur") else ground
    for _ in range(4):  # look in one row at a time: much cheaper than listing every pixel
        y = int(rng.integers(len(board)))
        xs = np.flatnonzero(want[y])
        if len(xs):
            return int(xs[int(rng.integers(len(xs)))]), y
    return None


def _box(rng: np.random.Generator, changed: Mask, painted: Mask) -> tuple[int, int, int, int]:
    """The annotation box: 9 or 10 pixels of margin about the mark, at times more, as people draw them."""
    x, y, w, h = cv2.boundingRect(changed)
    if rng.random() < 0.5:  # people frame the brush stroke, not only what it changed
        px, py, pw, ph = cv2.boundingRect(painted)
        px, py = max(px, x - 4), max(py, y - 4)
        x2, y2 = max(min(px + pw, x + w + 4), x + w), max(min(py + ph, y + h + 4), y + h)
        x, y = min(x, px), min(y, py)
        w, h = x2 - x, y2 - y
    left, top, right, bottom = (9, 9, 10, 10) if rng.random() < 0.6 else rng.integers(8, 15, 4).tolist()
    return x - left, y - top, x + w + right, y + h + bottom


def _overlaps(box: tuple[int, int, int, int], others: list[Defect]) -> bool:
    """Whether the marks themselves would come close (the margins may overlap a little)."""
    x1, y1, x2, y2 = box
    return any(x1 + 6 < o.x2 and o.x1 + 6 < x2 and y1 + 6 < o.y2 and o.y1 + 6 < y2 for o in others)


def plant(board: Mask, rng: np.random.Generator, labels: list[int]) -> tuple[Mask, list[Defect]]:
    """Plant one defect for each of `labels` where there is room; returns the new copper and the boxes.

    board: copper [H, W] uint8, 1 where copper is. Fewer defects than labels come back where a kind finds no
    room (no short on a bare board).
    """
    height, width = board.shape
    copper_now = np.pad(board, REACH, mode="edge")
    rim = _edges(board)
    planted: list[Defect] = []
    for label in labels:
        for _ in range(TRIES):
            place = _places(rng, label, board, rim)
            if place is None:
                continue
            x, y = place
            reach = REACHES[label]
            view = copper_now[y + REACH - reach : y + REACH + reach, x + REACH - reach : x + REACH + reach]
            patch = PLANTERS[label](rng, Window(view, np.array([reach, reach], np.float64)))
            if patch is None:
                continue
            after = view & (1 - patch) if TAKES_COPPER[label] else view | patch
            changed = after ^ view
            inside = changed[max(0, reach - y) : reach + height - y, max(0, reach - x) : reach + width - x]
            if np.count_nonzero(inside) < max(10, 0.8 * np.count_nonzero(changed)):
                continue
            bx1, by1, bx2, by2 = _box(rng, changed, patch)
            box = (
                max(0, x - reach + bx1),
                max(0, y - reach + by1),
                min(width, x - reach + bx2),
                min(height, y - reach + by2),
            )
            if _overlaps(box, planted):
                continue
            view[:] = after
            planted.append(Defect(label, *box))
            break
    return np.ascontiguousarray(copper_now[REACH:-REACH, REACH:-REACH]), planted
