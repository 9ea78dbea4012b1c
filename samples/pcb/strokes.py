"""Brush strokes: the shapes that defects have. Each is drawn into a small square patch, 1 where it paints."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from pcb.canvas import Mask, Points

PAINTERS = ("round", "square", "ellipse", "ragged", "loops", "grains", "rough")
PAINTER_WEIGHTS = (0.45, 0.16, 0.08, 0.07, 0.06, 0.06, 0.12)


def wander(rng: np.random.Generator, start: Points, end: Points, bend: float) -> Points:
    """A path from `start` to `end` (x, y) that wanders sideways by `bend` times its length."""
    steps = int(rng.integers(2, 7))
    along = np.linspace(0, 1, steps + 1)[:, None]
    side = np.array([-(end - start)[1], (end - start)[0]])
    sway = rng.normal(0, bend, (steps + 1, 1))
    sway[[0, -1]] *= 0.3
    return np.asarray(start + (end - start) * along + side * sway)


def paint(rng: np.random.Generator, patch: Mask, path: Points, thick: float, painter: str) -> None:
    """Paint along `path` with a brush about `thick` pixels wide."""
    line = [np.round(path * 8).astype(np.int32)]
    width = max(1, round(thick))
    if painter == "round":
        cv2.polylines(patch, line, False, 1, width, shift=3)
        if rng.random() < 0.5:  # the brush rests somewhere: a thicker spot
            x, y = path[int(rng.integers(len(path)))]
            cv2.circle(patch, (round(x * 8), round(y * 8)), round(thick * rng.uniform(0.4, 1.0) * 8), 1, -1, shift=3)
    elif painter == "square":
        pieces = np.concatenate([np.linspace(a, b, 9) for a, b in pairwise(path)])
        for x, y in np.round(pieces - width / 2).astype(int):
            patch[max(0, y) : max(0, y + width), max(0, x) : max(0, x + width)] = 1
    elif painter == "ellipse":
        middle = (path[0] + path[-1]) / 2
        reach = float(np.hypot(*(path[-1] - path[0])))
        angle = float(np.degrees(np.arctan2(*(path[-1] - path[0])[::-1])))
        axes = (round((reach + thick) * 4), round(max(thick, reach * rng.uniform(0.3, 1.0)) * 4))
        cv2.ellipse(patch, (round(middle[0] * 8), round(middle[1] * 8)), axes, angle, 0, 360, 1, -1, shift=3)
    elif painter == "ragged":
        cv2.polylines(patch, line, False, 1, max(1, width - 2), shift=3)
        for _ in range(int(rng.integers(2, 6))):
            x, y = path[int(rng.integers(len(path)))] + rng.normal(0, thick * 0.5, 2)
            spike = np.array([[x, y], *(np.array([x, y]) + rng.normal(0, thick * 0.7, (2, 2)))])
            cv2.fillPoly(patch, [np.round(spike * 8).astype(np.int32)], 1, shift=3)
    elif painter == "loops":
        thin = max(1, min(3, width // 2))
        cv2.polylines(patch, line, False, 1, thin, shift=3)
        other = path + rng.normal(0, max(2.0, thick * 0.7), path.shape)
        cv2.polylines(patch, [np.round(other * 8).astype(np.int32)], bool(rng.random() < 0.5), 1, thin, shift=3)
    else:
        cv2.polylines(patch, line, False, 1, width, shift=3)
        if painter == "grains":  # scratched rather than cut: some of the old surface stays
            holes = rng.random(patch.shape) < rng.uniform(0.08, 0.3)
            patch[holes] = 0
        else:  # the outline frays by a pixel or two
            noise = cv2.GaussianBlur(rng.normal(0, 1, patch.shape).astype(np.float32), (0, 0), 1.0)
            soft = cv2.GaussianBlur(patch.astype(np.float32), (0, 0), 1.2) + noise * 0.5
            patch[:] = (soft > 0.5) & (cv2.dilate(patch, np.ones((5, 5), np.uint8)) > 0)


def any_painter(rng: np.random.Generator) -> str:
    return str(rng.choice(PAINTERS, p=PAINTER_WEIGHTS))


def blob(rng: np.random.Generator, patch: Mask, at: Points, length: float) -> None:
    """A free-standing mark about `length` pixels long with its middle at `at`."""
    painter = any_painter(rng)
    if painter == "ellipse" and rng.random() < 0.6:  # a plain disc is as good as a via or a drill: keep it rare
        painter = "round"
    thick = float(np.clip(rng.lognormal(np.log(5.5), 0.5), 2.5, max(3.0, length)))
    reach = max(0.5, length - thick) / 2
    if rng.random() < 0.8:  # for the same reason mostly longer than wide
        reach = max(reach, 0.3 * thick)
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else float(rng.integers(4)) * np.pi / 2
    way = np.array([np.cos(angle), np.sin(angle)]) * reach
    path = wander(rng, at - way, at + way, float(rng.choice([0.0, 0.1, 0.3, 0.5])))
    paint(rng, patch, path, thick, painter)
    if rng.random() < 0.2:  # a second stroke across the first
        angle += rng.uniform(0.5, 2.5)
        turn = np.array([np.cos(angle), np.sin(angle)]) * reach * rng.uniform(0.4, 1.0)
        paint(rng, patch, wander(rng, path[-1], path[-1] + turn, 0.1), thick, painter)
