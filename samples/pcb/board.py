"""Draws the copper of a made-up circuit board: traces, pads, vias, pours, text, in many densities.

A board is a uint8 mask, 1 where copper is, drawn on a canvas a little larger than the picture so that
things run off its edges. `traces.py`, `pads.py` and `areas.py` hold the pieces; this file decides which
pieces a board gets. Whatever is placed keeps a clearance to what is already there, so no legal board has a
gap that looks like a defect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pcb import areas, pads, traces
from pcb.canvas import Canvas, Mask, Style

MARGIN = 64  # pixels drawn beyond each side of the picture


@dataclass(frozen=True)
class Scene:
    """How many pieces of each kind a board tries to place, in drawing order: (piece, fewest, most)."""

    name: str
    weight: float
    parts: tuple[tuple[Callable[[Canvas], bool], int, int], ...]
    unit: tuple[float, float]  # range of the narrowest trace's width, pixels


SCENES: tuple[Scene, ...] = (
    Scene(
        "fine logic",
        3,
        (
            (traces.bus, 1, 3),
            (traces.comb, 1, 3),
            (pads.pad_rows, 0, 3),
            (pads.chip_pads, 0, 2),
            (traces.meander, 0, 1),
            (areas.disc, 0, 1),
            (traces.net, 14, 45),
            (pads.via_dots, 1, 6),
            (areas.text, 0, 2),
        ),
        (4.5, 9),
    ),
    Scene(
        "ball grid",
        1,
        ((pads.ball_grid, 1, 2), (traces.net, 15, 40), (traces.bus, 0, 2), (pads.via_dots, 1, 5)),
        (4.5, 8),
    ),
    Scene(
        "through-hole",
        3,
        (
            (pads.pad_rows, 1, 4),
            (areas.block, 0, 3),
            (pads.grown_pads, 0, 4),
            (traces.bus, 0, 3),
            (traces.net, 10, 30),
            (traces.comb, 0, 1),
            (areas.text, 0, 3),
            (areas.triangle, 0, 2),
            (pads.via_dots, 0, 2),
        ),
        (8, 22),
    ),
    Scene(
        "dense through-hole",
        3.5,
        (
            (traces.bus, 1, 4),
            (pads.pad_rows, 1, 4),
            (pads.grown_pads, 0, 5),
            (pads.chip_pads, 1, 5),
            (traces.comb, 0, 2),
            (traces.net, 15, 40),
            (areas.block, 1, 4),
            (areas.triangle, 0, 2),
            (areas.pour_rest, 0, 1),
        ),
        (7, 16),
    ),
    Scene(
        "chip parts",
        2,
        (
            (pads.chip_pads, 3, 9),
            (traces.bus, 0, 2),
            (pads.grown_pads, 0, 2),
            (traces.net, 10, 30),
            (areas.block, 0, 3),
            (pads.via_dots, 1, 6),
            (areas.text, 0, 1),
        ),
        (5, 14),
    ),
    Scene(
        "poured",
        2.5,
        (
            (areas.channels, 0, 3),
            (pads.pad_rows, 0, 2),
            (pads.chip_pads, 0, 4),
            (traces.net, 0, 10),
            (traces.bus, 0, 1),
            (areas.pour_rest, 1, 1),
            (areas.drills, 1, 6),
            (areas.windows, 0, 2),
        ),
        (6, 24),
    ),
    Scene(
        "planes",
        2,
        (
            (areas.channels, 1, 4),
            (areas.disc, 0, 1),
            (areas.pour_rest, 0, 1),
            (areas.windows, 0, 2),
            (areas.drills, 1, 5),
        ),
        (5, 20),
    ),
    Scene(
        "strips",
        3,
        ((areas.strips, 1, 1), (areas.channels, 0, 1), (areas.drills, 1, 5), (traces.net, 0, 6)),
        (14, 80),
    ),
    Scene(
        "power",
        2.5,
        (
            (areas.disc, 0, 2),
            (areas.block, 1, 5),
            (pads.grown_pads, 1, 6),
            (traces.net, 1, 7),
            (areas.channels, 0, 1),
            (areas.drills, 1, 5),
            (pads.pad_rows, 0, 1),
        ),
        (14, 60),
    ),
    Scene(
        "bare",
        1,
        (
            (areas.disc, 0, 3),
            (traces.net, 0, 4),
            (pads.via_dots, 1, 6),
            (areas.text, 0, 1),
            (areas.block, 0, 1),
        ),
        (5, 40),
    ),
)
SPECK = 60  # pieces of copper or holes of fewer pixels are drawing accidents: removed


def _without_specks(copper: Mask) -> Mask:
    for value in (1, 0):
        mask = np.asarray(copper == value, np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] < (SPECK if value else SPECK // 2)
        small[0] = False
        copper[small[labels]] = 1 - value
    return copper


def _rounded(copper: Mask, by: float) -> Mask:
    """Corners rounded off as etching does, by about `by` pixels."""
    soft = cv2.GaussianBlur(copper * np.float32(1), (0, 0), by)
    return np.asarray(soft > 0.5, np.uint8)


def draw(seed: int, size: int = 640) -> Mask:
    """The copper mask [size, size] of board number `seed`, uint8, 1 where copper is. Same seed, same board."""
    rng = np.random.default_rng([seed, 0xB0A2D])
    weights = np.array([scene.weight for scene in SCENES])
    scene = SCENES[rng.choice(len(SCENES), p=weights / weights.sum())]
    canvas = Canvas(size + 2 * MARGIN, Style.random(rng, scene.unit), rng)
    for piece, fewest, most in scene.parts:
        for _ in range(int(rng.integers(fewest, most + 1))):
            piece(canvas)
    copper = canvas.copper
    if rng.random() < 0.1:  # the picture reaches past the board's edge
        copper[: int(rng.uniform(0.1, 0.8) * len(copper))] = 0
    if canvas.style.rounding:
        copper = _rounded(copper, canvas.style.rounding)
    if rng.random() < 0.6:  # the scanner's two axes do not agree: round holes are slightly oval
        tall = round(len(copper) * float(rng.uniform(1.0, 1.16)))
        soft = cv2.resize(copper * np.float32(1), (len(copper), tall))
        copper = np.asarray(soft[: len(copper)] > 0.5, np.uint8)
    copper = np.rot90(_without_specks(copper), int(rng.integers(4)))
    return np.ascontiguousarray(copper[MARGIN:-MARGIN, MARGIN:-MARGIN])
