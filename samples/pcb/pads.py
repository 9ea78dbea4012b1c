"""Pads: rows for connectors, chip parts, ball grids, vias, and pads grown together."""

from __future__ import annotations

import cv2
import numpy as np

from pcb.canvas import DIRECTIONS, Canvas, circle, draw_pad, drill, line


def pad_rows(canvas: Canvas) -> bool:
    """One to four rows of drilled or solid pads, as of a connector or a DIL package."""
    rng, style = canvas.rng, canvas.style
    for _ in range(6):
        half = max(style.pad_size * rng.uniform(0.9, 1.8), 8.0)
        stretch = float(rng.choice([1.0, 1.0, 1.0, 1.4, 0.7]))
        shape = style.pad if rng.random() < 0.8 else "disc"
        pitch = half * rng.uniform(2.3, 4.5) + style.gap
        columns, rows = int(rng.integers(1, 10)), int(rng.choice([1, 1, 2, 2, 3, 4]))
        x0, y0 = canvas.spot()
        row_pitch = pitch * rng.uniform(1.0, 2.5)
        item = canvas.blank()
        places = [(x0 + c * pitch, y0 + r * row_pitch) for r in range(rows) for c in range(columns)]
        for at in places:
            draw_pad(item, at, half, shape, stretch)
        if canvas.place(item):
            hole = style.drill if style.drill else (0.3 if rng.random() < 0.2 else 0.0)
            if hole:
                for at in places:
                    drill(canvas, at, max(3.5, half * hole))
            else:
                canvas.anchors.extend(places)
            if hole < 0.5:
                canvas.anchors.extend(places)
            return True
    return False


def chip_pads(canvas: Canvas) -> bool:
    """Pairs of rectangular pads for resistors and capacitors, in a short row."""
    rng, style = canvas.rng, canvas.style
    for _ in range(6):
        half = max(style.pad_size * rng.uniform(0.7, 1.5), 7.0)
        stretch = rng.uniform(0.7, 1.5)
        gap = max(half * rng.uniform(0.6, 2.0), style.gap / 2 + 3)
        count = int(rng.integers(1, 5))
        x0, y0 = canvas.spot()
        item = canvas.blank()
        shape = "square" if rng.random() < 0.6 else "round"
        places = []
        for i in range(count):
            x = x0 + i * (2 * half * max(stretch, 1) + style.gap + half)
            reach = half * max(1 / stretch, 1) + gap
            places += [(x, y0 - reach), (x, y0 + reach)]
        for at in places:
            draw_pad(item, at, half, shape, stretch)
        if rng.random() < 0.15:  # two pads of a part tied together
            line(item, np.array(places[:2]), style.width)
        if canvas.place(item):
            canvas.anchors.extend(places)
            return True
    return False


def ball_grid(canvas: Canvas) -> bool:
    """A grid of small lands, some with a short trace to a via between them."""
    rng, style = canvas.rng, canvas.style
    radius = rng.uniform(4.5, 10)
    pitch = radius * 2 + rng.uniform(14, 40)
    n, m = int(rng.integers(4, 14)), int(rng.integers(4, 14))
    x0, y0 = canvas.spot()
    item = canvas.blank()
    skip = rng.uniform(0, 0.4)
    for i in range(n):
        for j in range(m):
            if rng.random() < skip:
                continue
            at = (x0 + i * pitch, y0 + j * pitch)
            circle(item, at, radius)
            if rng.random() < 0.35:
                way = DIRECTIONS[int(rng.integers(4)) * 2 + 1] * pitch * 0.707
                end = (at[0] + way[0], at[1] + way[1])
                line(item, np.array([at, end]), max(4.0, min(style.width, radius)))
                circle(item, end, radius * 0.9)
            canvas.anchors.append(at)
    return canvas.place(item, gap=5)


def via_dots(canvas: Canvas) -> bool:
    """A handful of plated holes or test points of one size, in no order or in a line."""
    rng = canvas.rng
    radius = rng.uniform(4.5, 8.5) if rng.random() < 0.6 else rng.uniform(8, 20)
    hole = radius * rng.uniform(0.3, 0.7) if rng.random() < 0.4 and radius > 8 else 0.0
    step = DIRECTIONS[int(rng.integers(8))] * rng.uniform(3, 9) * radius if rng.random() < 0.3 else None
    at = canvas.spot()
    most = 40 if radius < 9 and rng.random() < 0.4 else 10
    for _ in range(int(rng.integers(1, most))):
        at = canvas.spot() if step is None else (at[0] + step[0], at[1] + step[1])
        item = canvas.blank()
        circle(item, at, radius)
        if canvas.place(item):
            if hole:
                circle(canvas.copper, at, hole, 0)
            elif rng.random() < 0.3:
                canvas.anchors.append(at)
            if rng.random() < 0.06:  # a fiducial's ring
                ring = canvas.blank()
                outer = radius * rng.uniform(2, 3)
                cv2.circle(ring, (round(at[0]), round(at[1])), round(outer), 1, max(3, round(radius / 3)))
                canvas.place(ring, gap=5)
    return True


def grown_pads(canvas: Canvas) -> bool:
    """Two to four pads under one skin, as hand-drawn power nets have, each with its small hole."""
    rng, style = canvas.rng, canvas.style
    for _ in range(5):
        half = max(style.pad_size * rng.uniform(0.8, 1.6), 12.0)
        at = np.array(canvas.spot())
        places = [at]
        for _ in range(int(rng.integers(0, 4))):
            places.append(places[-1] + DIRECTIONS[int(rng.integers(8))] * half * rng.uniform(1.5, 6))
        item = canvas.blank()
        shape = str(rng.choice(["disc", "octagon", "square", "round"]))
        for place in places:
            draw_pad(item, (float(place[0]), float(place[1])), half, shape)
        if rng.random() < 0.6:
            hull = cv2.convexHull(np.argwhere(item > 0)[:, ::-1].astype(np.int32)) if item.any() else None
            if hull is not None:
                cv2.fillPoly(item, [hull], 1)
        else:
            line(item, np.array(places), half * rng.uniform(1.0, 1.9))
        if canvas.place(item):
            radius = max(3.5, half * rng.uniform(0.15, 0.45))
            oblong = rng.random() < 0.15
            for place in places:
                if rng.random() < 0.8:
                    drill(canvas, (float(place[0]), float(place[1])), radius)
                    if oblong:
                        drill(canvas, (float(place[0]), float(place[1] + radius)), radius)
            canvas.anchors.extend((float(p[0] + half * 0.8), float(p[1])) for p in places)
            return True
    return False
