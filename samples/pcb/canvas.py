"""The canvas a board is drawn on, the habits of one board, and plain shapes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Point = tuple[float, float]
Points = NDArray[np.float64]

DIRECTIONS = np.array([[np.cos(a), np.sin(a)] for a in np.arange(8) * np.pi / 4])


@dataclass(frozen=True)
class Style:
    """What is the same all over one board: its rules, drills and habits. Lengths in pixels."""

    width: float  # of the narrowest trace
    gap: float  # smallest clearance between two conductors
    pad: str  # shape of pads: "disc", "square", "round", "octagon", "oblong"
    pad_size: float  # half the side of a typical pad
    drill: float  # drill radius over pad half-side; 0 for undrilled pads
    drift: Point  # misregistration of the drills
    rounding: float  # how far etching rounds off corners; 0 for crisp ones

    @classmethod
    def random(cls, rng: np.random.Generator, unit: tuple[float, float]) -> Style:
        width = float(np.exp(rng.uniform(np.log(unit[0]), np.log(unit[1]))))
        gap = float(np.clip(width * rng.uniform(0.6, 2.0), 5, 30))
        drill = 0.0 if rng.random() < 0.35 else float(rng.uniform(0.25, 0.9))
        reach = rng.uniform(0, 0.45) if drill > 0.6 else rng.uniform(0, 0.08)
        angle = rng.uniform(0, 2 * np.pi)
        pad = str(rng.choice(["disc", "disc", "square", "round", "octagon", "oblong"]))
        size = float(np.clip(width * rng.uniform(1.0, 2.6), 7, 60))
        drift = (float(reach * np.cos(angle)), float(reach * np.sin(angle)))
        rounding = float(rng.uniform(1.0, min(5.0, width / 3))) if rng.random() < 0.3 else 0.0
        return cls(width, gap, pad, size, drill, drift, rounding)


class Canvas:
    """The board so far: `copper` is the mask [size, size]; `anchors` are places where a trace may begin."""

    def __init__(self, size: int, style: Style, rng: np.random.Generator) -> None:
        self.size, self.style, self.rng = size, style, rng
        self.copper: Mask = np.zeros((size, size), np.uint8)
        self.anchors: list[Point] = []

    def place(self, item: Mask, joins: bool = False, gap: float | None = None) -> bool:
        """Add `item` if it keeps its clearance to the copper there is (not asked when it `joins` some)."""
        x, y, w, h = cv2.boundingRect(item)
        if w == 0:
            return False
        if not joins:
            reach = round(self.style.gap if gap is None else gap)
            y0, x0 = max(0, y - reach), max(0, x - reach)
            window = np.s_[y0 : y + h + reach, x0 : x + w + reach]
            if np.any(grown(item[window], reach) & self.copper[window]):
                return False
        self.copper |= item
        return True

    def blank(self) -> Mask:
        return np.zeros_like(self.copper)

    def spot(self) -> Point:
        return float(self.rng.uniform(0, self.size)), float(self.rng.uniform(0, self.size))

    def widths(self) -> float:
        """A trace width: mostly the board's own, at times a good deal wider."""
        return self.style.width * (1.0 if self.rng.random() < 0.7 else float(self.rng.uniform(1.2, 3.5)))


def line(item: Mask, points: Points, width: float) -> None:
    cv2.polylines(item, [np.round(points * 16).astype(np.int32)], False, 1, max(1, round(width)), shift=4)


def fill(item: Mask, points: Points, value: int = 1) -> None:
    cv2.fillPoly(item, [np.round(points * 16).astype(np.int32)], value, shift=4)


def circle(item: Mask, at: Point, radius: float, value: int = 1) -> None:
    cv2.circle(item, (round(at[0] * 16), round(at[1] * 16)), max(1, round(radius * 16)), value, -1, shift=4)


def box(item: Mask, at: Point, half_w: float, half_h: float, corner: float = 0.0, value: int = 1) -> None:
    """A rectangle about `at`, its corners rounded off with radius `corner`."""
    x, y = at
    r = min(corner, half_w, half_h)
    inner_w, inner_h = half_w - r, half_h - r
    for w, h in ((half_w, inner_h), (inner_w, half_h)):
        fill(item, np.array([[x - w, y - h], [x + w, y - h], [x + w, y + h], [x - w, y + h]]), value)
    if r > 0:
        for sx in (-1, 1):
            for sy in (-1, 1):
                circle(item, (x + sx * inner_w, y + sy * inner_h), r, value)


def draw_pad(item: Mask, at: Point, half: float, shape: str, stretch: float = 1.0) -> None:
    """A pad about `at`, `half` its half-side; `stretch` lengthens it (in x if above 1, in y if below)."""
    w, h = half * max(stretch, 1.0), half * max(1.0 / stretch, 1.0)
    if shape == "disc":
        circle(item, at, half)
        if w != h:
            box(item, at, w, h, half)
    elif shape == "oblong":
        box(item, at, w * 1.5 if w >= h else w, h if w >= h else h * 1.5, half)
    elif shape == "octagon":
        cut = half * 0.59
        xs = np.array([-w, -w, -w + cut, w - cut, w, w, w - cut, -w + cut]) + at[0]
        ys = np.array([-h + cut, h - cut, h, h, h - cut, -h + cut, -h, -h]) + at[1]
        fill(item, np.stack([xs, ys], 1))
    else:
        box(item, at, w, h, 0.35 * half if shape == "round" else 0.0)


def drill(canvas: Canvas, at: Point, radius: float) -> None:
    """Take a hole out of the copper (white in the scan), off-centre by the board's misregistration."""
    dx, dy = canvas.style.drift
    scale = canvas.style.pad_size
    circle(canvas.copper, (at[0] + dx * scale, at[1] + dy * scale), radius, 0)


def inside(canvas: Canvas, at: Point) -> bool:
    return 0 <= at[0] < canvas.size and 0 <= at[1] < canvas.size


def pixel(canvas: Canvas, at: Point) -> tuple[int, int]:
    top = canvas.size - 1
    return int(np.clip(round(at[1]), 0, top)), int(np.clip(round(at[0]), 0, top))


def grown(mask: Mask, reach: int) -> Mask:
    """The mask grown by `reach` pixels in every direction, diagonals too."""
    return np.asarray(cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), np.uint8)


def opened(item: Mask, size: int) -> Mask:
    """Morphological opening: no slivers of copper narrower than `size` are left."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.morphologyEx(item, cv2.MORPH_OPEN, kernel), np.uint8)
