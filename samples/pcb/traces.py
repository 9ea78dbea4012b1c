"""Traces: single nets, bundles, combs of fingers with their traces, tuning meanders."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from pcb.canvas import DIRECTIONS, Canvas, Mask, Point, Points, box, draw_pad, drill, grown, line, pixel


def route(canvas: Canvas, start: Point, steps: int, reach: tuple[float, float]) -> Points:
    """An octilinear path: straight runs of `reach` pixels and bends of mostly 45 degrees."""
    rng = canvas.rng
    heading = int(rng.integers(8)) if rng.random() < 0.25 else int(rng.integers(4)) * 2
    turn_back = 0
    points = [np.array(start)]
    for _ in range(steps):
        length = float(np.exp(rng.uniform(np.log(reach[0]), np.log(reach[1]))))
        points.append(points[-1] + DIRECTIONS[heading] * length)
        turn = turn_back if turn_back and rng.random() < 0.6 else int(rng.choice([-1, 1, -1, 1, -2, 2]))
        turn_back = -turn
        heading = (heading + turn) % 8
    return np.array(points)


def offset(points: Points, by: float) -> Points:
    """The path shifted sideways by `by`, with mitred corners, so that parallel traces keep their gap."""
    runs = np.diff(points, axis=0)
    runs /= np.linalg.norm(runs, axis=1, keepdims=True)
    normals = np.stack([-runs[:, 1], runs[:, 0]], 1)
    before, after = np.vstack([normals[:1], normals]), np.vstack([normals, normals[-1:]])
    mitre = (before + after) / (1 + np.sum(before * after, 1, keepdims=True))
    return np.asarray(points + by * mitre)


def _net_of(canvas: Canvas, at: Point) -> Mask:
    """The copper [size, size] that hangs together with the place `at`; empty where that is bare."""
    filled = canvas.copper.copy()
    y, x = pixel(canvas, at)
    if filled[y, x]:
        cv2.floodFill(filled, None, (x, y), 2)
    return np.asarray(filled >> 1, np.uint8)


def _tap(canvas: Canvas, item: Mask, path: Points, width: float) -> None:
    """A pad hung on a trace by a short neck: looks like a short, and is none."""
    rng, style = canvas.rng, canvas.style
    step = int(rng.integers(len(path) - 1))
    run = path[step + 1] - path[step]
    run /= np.linalg.norm(run)
    at = path[step] + (path[step + 1] - path[step]) * rng.uniform(0.2, 0.8)
    half = max(style.pad_size * rng.uniform(0.6, 1.3), 6.0)
    end = at + np.array([-run[1], run[0]]) * (half + width / 2 + rng.uniform(4, 25)) * rng.choice([-1, 1])
    line(item, np.array([at, end]), width * rng.uniform(0.7, 1.2))
    draw_pad(item, (float(end[0]), float(end[1])), half, "disc" if rng.random() < 0.5 else style.pad)


def net(canvas: Canvas) -> bool:
    """A trace with a pad, a via or nothing at its ends; half of them start at a pad that is already there."""
    rng, style = canvas.rng, canvas.style
    width = canvas.widths()
    long = max(40.0, 6 * width)
    for _ in range(6):
        joins = bool(canvas.anchors) and rng.random() < 0.5
        start = canvas.anchors[int(rng.integers(len(canvas.anchors)))] if joins else canvas.spot()
        path = route(canvas, start, int(rng.integers(1, 6)), (long * 0.4, long * 5))
        item = canvas.blank()
        if joins:  # may touch the copper it starts from, and nothing else
            line(item, path, width)
            x, y, w, h = cv2.boundingRect(item)
            reach = int(style.gap)
            view = np.s_[max(0, y - reach) : y + h + reach, max(0, x - reach) : x + w + reach]
            own = _net_of(canvas, start)[view]
            if np.any(grown(item[view], reach) & canvas.copper[view] & (1 - own)):
                continue
            # running back over one's own net leaves slivers that look like defects: allow only the start
            if np.count_nonzero(item[view] & own) > 3 * width * (style.pad_size * 2 + width):
                continue
        else:
            line(item, path, width)
        ends = [path[-1]] if joins else [path[0], path[-1]]
        rings: list[tuple[Point, float]] = []
        for end in ends:
            at = (float(end[0]), float(end[1]))
            kind = rng.random()
            if kind < 0.45:
                half = max(width * rng.uniform(0.8, 1.6), 5.0)
                draw_pad(item, at, half, "disc")
                if style.drill and rng.random() < 0.5 and half > 8:
                    rings.append((at, half * style.drill))
            elif kind < 0.75:
                draw_pad(
                    item,
                    at,
                    max(style.pad_size * rng.uniform(0.7, 1.2), width * 0.7),
                    style.pad,
                    float(rng.choice([1.0, 1.0, 1.6, 0.6])),
                )
        if rng.random() < 0.3:  # part of the way wider
            line(item, path[int(rng.integers(len(path) - 1)) :][:2], width * rng.uniform(1.3, 2.5))
        if rng.random() < 0.45:
            _tap(canvas, item, path, width)
        if rng.random() < 0.25:  # pads in series, at every corner and between
            half = max(style.pad_size * rng.uniform(0.6, 1.2), width * 0.75)
            middles = [(a + b) / 2 for a, b in pairwise(path) if rng.random() < 0.4]
            for place in [*path[1:], *middles]:
                draw_pad(item, (float(place[0]), float(place[1])), half, style.pad, float(rng.choice([1.0, 1.5])))
        elif len(path) > 2 and rng.random() < 0.25:  # a via on the way
            corner = path[int(rng.integers(1, len(path) - 1))]
            draw_pad(item, (float(corner[0]), float(corner[1])), max(4.0, width * rng.uniform(0.8, 1.3)), "disc")
        if canvas.place(item, joins):
            for at, radius in rings:
                drill(canvas, at, radius)
            ends += [p for p in path[1:-1] if rng.random() < 0.3]
            canvas.anchors.extend((float(p[0]), float(p[1])) for p in ends)
            return True
    return False


def bus(canvas: Canvas) -> bool:
    """A bundle of parallel traces that bend together; some stop early, at pads."""
    rng, style = canvas.rng, canvas.style
    for _ in range(6):
        count = int(rng.integers(2, 12))
        width = style.width * rng.uniform(0.8, 1.3)
        pitch = width + max(style.gap, 5.0) * rng.uniform(1.0, 2.0)
        span = pitch * count
        start = canvas.spot()
        path = route(canvas, start, int(rng.integers(1, 5)), (max(60.0, span), max(300.0, 2.5 * span)))
        if rng.random() < 0.6:  # come in from outside
            first = path[0] - path[1]
            path[0] = path[0] + first / (np.linalg.norm(first) + 1e-6) * canvas.size
        item = canvas.blank()
        ends = []
        for i in range(count):
            lane = offset(path, (i - (count - 1) / 2) * pitch)
            if rng.random() < 0.3 and len(lane) > 2:
                last = lane[-1] - lane[-2]
                lane[-1] = lane[-2] + last * rng.uniform(0.3, 1.0)
            line(item, lane, width)
            ends.append((float(lane[-1][0]), float(lane[-1][1])))
        if canvas.place(item):
            for at in ends:
                if rng.random() < 0.3:
                    dot = canvas.blank()
                    draw_pad(dot, at, min(pitch - width / 2 - 4, style.pad_size), "disc")
                    canvas.place(dot, joins=True)
            canvas.anchors.extend(ends)
            return True
    return False


def comb(canvas: Canvas) -> bool:
    """The finger pads of a fine-pitch package, one or two rows; from many a trace leads away, in step."""
    rng, style = canvas.rng, canvas.style
    for _ in range(6):
        half = max(style.width * rng.uniform(0.5, 1.2), 3.0)
        pitch = 2 * half + max(style.gap, 6.0) * rng.uniform(1.0, 2.0)
        long = half * rng.uniform(3, 9)
        count = int(rng.integers(4, 20))
        x0, y0 = canvas.spot()
        item = canvas.blank()
        corner = half if rng.random() < 0.4 else 0.0
        rows = 1 if rng.random() < 0.5 else 2
        apart = long * rng.uniform(3, 6)
        width = min(style.width, half * 1.6)
        tails = rng.random() < 0.6
        for r in range(rows):
            middle = np.array([x0 + (count - 1) * pitch / 2, y0 + r * apart])
            away = np.array([0.0, 1.0 if r or rng.random() < 0.5 else -1.0])
            straight = rng.uniform(1.5, 4) * long + count * pitch * 0.3
            side = np.array([float(rng.choice([-1, 1])), away[1]]) * rng.uniform(40, 300)
            path = np.array([middle, middle + away * straight, middle + away * straight + side])
            if rng.random() < 0.5:
                path = np.vstack([path, path[-1] + away * rng.uniform(30, 300)])
            for i in range(count):
                shift = (i - (count - 1) / 2) * pitch
                box(item, (float(middle[0] + shift), float(middle[1])), half, long, corner)
                if tails and rng.random() < 0.7:
                    lane = offset(path, -shift * float(away[1]))
                    keep = int(rng.integers(2, len(lane) + 1))
                    line(item, lane[:keep], width)
                    if rng.random() < 0.3:
                        draw_pad(
                            item,
                            (float(lane[keep - 1][0]), float(lane[keep - 1][1])),
                            min(width, pitch - width / 2 - 4),
                            "disc",
                        )
                elif rng.random() < 0.2:
                    canvas.anchors.append((float(middle[0] + shift), float(middle[1] - away[1] * long * 0.8)))
        if canvas.place(item):
            return True
    return False


def meander(canvas: Canvas) -> bool:
    """A trace folded to and fro to tune its length."""
    rng, style = canvas.rng, canvas.style
    for _ in range(6):
        width = style.width
        pitch = (width + max(6.0, style.gap)) * rng.uniform(1.0, 1.5)
        tall = pitch * rng.uniform(1.5, 5)
        x, y = canvas.spot()
        points = [[x - rng.uniform(50, 300), y], [x, y]]
        for i in range(int(rng.integers(2, 9))):
            points += [
                [x + i * pitch, y - tall * (i % 2 == 0)],
                [x + (i + 1) * pitch, y - tall * (i % 2 == 0)],
            ]
        points += [[points[-1][0], y], [points[-1][0] + rng.uniform(50, 300), y]]
        item = canvas.blank()
        line(item, np.array(points), width)
        if canvas.place(item):
            return True
    return False
