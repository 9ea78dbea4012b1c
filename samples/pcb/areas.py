"""Areas: lands, blocks, markers, text, broad bars, and pours with their channels and drills."""

from __future__ import annotations

import cv2
import numpy as np

from pcb.canvas import DIRECTIONS, Canvas, Mask, Points, box, circle, drill, fill, grown, inside, line, opened, pixel
from pcb.traces import route

LETTERS = "ABCDEFGHKLMNPRSTUVXYZ0123456789-+./"
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_PLAIN)


def disc(canvas: Canvas) -> bool:
    """A large land or a mounting hole's ring, often cut by the picture's edge."""
    rng = canvas.rng
    for _ in range(4):
        radius = float(np.exp(rng.uniform(np.log(30), np.log(400))))
        at = canvas.spot()
        item = canvas.blank()
        circle(item, at, radius)
        hole = rng.uniform(0.3, 0.85) * radius if rng.random() < 0.35 else 0.0
        if canvas.place(item):
            if hole:
                drill(canvas, at, hole)
            return True
    return False


def block(canvas: Canvas) -> bool:
    """An area of copper with straight, chamfered or rounded sides; may have a notch or a slot."""
    rng = canvas.rng
    for _ in range(5):
        w, h = np.exp(rng.uniform(np.log(25), np.log(220), 2))
        at = canvas.spot()
        item = canvas.blank()
        kind = rng.random()
        if kind < 0.35:
            box(item, at, w, h, float(rng.choice([0, 0, 8, 20])))
        elif kind < 0.6:
            cut = min(w, h) * rng.uniform(0.2, 0.9)
            corners = [[-w, -h], [w, -h], [w, h], [-w, h]]
            chop = rng.random(4) < 0.5
            points = []
            for i, (x, y) in enumerate(corners):
                if chop[i]:
                    a, b = [x - np.sign(x) * cut, y], [x, y - np.sign(y) * cut]
                    points += [a, b] if i in (1, 3) else [b, a]
                else:
                    points.append([x, y])
            fill(item, np.array(points) + at)
        else:  # two boxes grown together
            box(item, at, w, h, float(rng.choice([0, 6])))
            box(item, (at[0] + w * rng.uniform(-1, 1), at[1] + h), w * rng.uniform(0.3, 0.9), h * 0.8)
        if rng.random() < 0.25:
            slot_w, slot_h = rng.uniform(0.2, 0.7) * w, rng.uniform(5, 14)
            middle = (at[0] + w * rng.uniform(-0.2, 0.2), at[1] + h * rng.uniform(-0.4, 0.4))
            box(item, middle, slot_w, slot_h, float(rng.choice([0, 4])), 0)
        if canvas.place(item):
            canvas.anchors.append((at[0] + w * float(rng.choice([-0.9, 0.9])), at[1]))
            if rng.random() < 0.3:
                drill(canvas, at, rng.uniform(5, 14))
            return True
    return False


def triangle(canvas: Canvas) -> bool:
    """A marker: triangle, arrow or cross."""
    rng = canvas.rng
    for _ in range(4):
        at, size = canvas.spot(), rng.uniform(12, 60)
        item = canvas.blank()
        if rng.random() < 0.6:
            tip = DIRECTIONS[int(rng.integers(4)) * 2] * size
            side = np.array([-tip[1], tip[0]]) * rng.uniform(0.6, 1.2)
            fill(item, np.array([tip, side, -side]) + at)
        else:
            width = rng.uniform(3, 8)
            line(item, np.array([[-size, 0], [size, 0]]) + at, width)
            line(item, np.array([[0, -size], [0, size * float(rng.choice([0, 1]))]]) + at, width)
        if canvas.place(item):
            return True
    return False


def text(canvas: Canvas) -> bool:
    """A few characters etched in copper, upright, turned or mirrored."""
    rng = canvas.rng
    if canvas.style.rounding:  # would leave unreadable blobs
        return False
    letters = "".join(rng.choice(list(LETTERS), int(rng.integers(1, 9))))
    scale = rng.uniform(1.0, 3.5)
    thick = max(2, round(scale * rng.uniform(1.5, 2.5)))
    font = int(rng.choice(FONTS))
    (w, h), base = cv2.getTextSize(letters, font, scale, thick)
    patch: Mask = np.zeros((h + base + 2 * thick, w + 2 * thick), np.uint8)
    cv2.putText(patch, letters, (thick, h + thick), font, scale, 1, thick)
    patch = np.ascontiguousarray(np.rot90(patch, int(rng.integers(4))))
    if rng.random() < 0.3:
        patch = np.ascontiguousarray(patch[:, ::-1])
    for _ in range(5):
        x, y = (int(v) for v in rng.integers(0, canvas.size, 2))
        item = canvas.blank()
        room = item[y : y + patch.shape[0], x : x + patch.shape[1]]
        room[:] = patch[: room.shape[0], : room.shape[1]]
        if canvas.place(item, gap=8):
            return True
    return False


def strips(canvas: Canvas) -> bool:
    """Broad parallel bars over the whole board; some jog, end, or carry square teeth."""
    rng, style = canvas.rng, canvas.style
    x = rng.uniform(-40, 20)
    while x < canvas.size:
        width = style.width * rng.uniform(0.6, 2.2)
        gap = max(6.0, style.gap * rng.uniform(0.6, 2.0))
        item = canvas.blank()
        top = -20.0
        if rng.random() < 0.6:
            top = rng.uniform(0, canvas.size) if rng.random() < 0.3 else -20
            box(
                item,
                (x + width / 2, (top + canvas.size + 20) / 2),
                width / 2,
                (canvas.size + 20 - top) / 2,
                width * 0.3 * float(rng.choice([0, 1])),
            )
        else:
            y = rng.uniform(100, canvas.size - 100)
            jog = min(gap + width, 80) * float(rng.choice([-1, 1]))
            points = [
                [x + width / 2, -50],
                [x + width / 2, y],
                [x + width / 2 + jog, y + abs(jog)],
                [x + width / 2 + jog, canvas.size + 50],
            ]
            line(item, np.array(points), width)
        if rng.random() < 0.4:
            tooth = rng.uniform(8, 30)
            for y in np.arange(max(0.0, top + tooth) + rng.uniform(0, 80), canvas.size, rng.uniform(2.5, 5) * tooth):
                box(item, (x + width, float(y)), min(tooth, gap / 2 + width / 2), tooth)
            gap += tooth
        hole = 0.0
        if rng.random() < 0.75:  # lands along the bar, wider than the bar itself
            radius = width / 2 + rng.uniform(0, min(12.0, gap / 2))
            hole = rng.uniform(4, 8) if rng.random() < 0.8 else 0.0
            lands = [float(y) for y in rng.uniform(0, canvas.size, int(rng.integers(2, 8)))]
            for y in lands:
                circle(item, (x + width / 2, y), radius)
            gap += radius - width / 2
        if canvas.place(item, gap=max(5.0, gap * 0.5)) and hole:
            for y in lands:
                circle(canvas.copper, (x + width / 2, y), hole, 0)
        x += width + gap
    return True


def channels(canvas: Canvas) -> bool:
    """A pour over part of the board, split by narrow insulating channels with square or slanted corners."""
    rng, style = canvas.rng, canvas.style
    item = canvas.blank()
    w, h = rng.uniform(150, 500, 2)
    at = canvas.spot()
    if rng.random() < 0.5:
        box(item, at, w, h, float(rng.choice([0, 20])))
    else:
        circle(item, at, max(w, h))
    gap = int(style.gap)
    item &= 1 - grown(canvas.copper, gap)
    item = opened(item, 7)
    channel = float(np.clip(style.gap * rng.uniform(0.7, 1.6), 5, 22))
    for _ in range(int(rng.integers(1, 6))):
        start = (at[0] + rng.uniform(-w, w), at[1] + rng.uniform(-h, h))
        path = route(canvas, start, int(rng.integers(2, 8)), (30, 260))
        if rng.random() < 0.5:  # square corners: keep to the axes
            path[1:] = path[0] + np.cumsum(_axis(np.diff(path, axis=0)), axis=0)
        elif rng.random() < 0.5:  # a square wave
            step, tall = rng.uniform(30, 120), rng.uniform(25, 90)
            count = int(rng.integers(2, 12))
            xs = np.repeat(np.arange(count + 1), 2)[1:-1] * step
            ys = np.tile([0, 0, tall, tall], count)[: len(xs)]
            path = np.stack([xs, ys], 1)[:, :: int(rng.choice([-1, 1]))] + start
        cut = canvas.blank()
        line(cut, path, channel * (1.0 if rng.random() < 0.7 else rng.uniform(1.2, 3.0)))
        item &= 1 - cut
    return canvas.place(opened(item, 7), joins=True)


def _axis(steps: Points) -> Points:
    """Each step made to run along x and y in turn."""
    lengths = np.abs(steps).max(1) * np.sign(steps.sum(1) + 1e-9)
    out = np.zeros_like(steps)
    out[0::2, 0], out[1::2, 1] = lengths[0::2], lengths[1::2]
    return out


def pour_rest(canvas: Canvas) -> bool:
    """Fill what is left of the board, or of a part of it, with copper that keeps its clearance."""
    rng, style = canvas.rng, canvas.style
    item = canvas.blank()
    kind = rng.random()
    if kind < 0.4:
        item[:] = 1
    elif kind < 0.8:
        cut = rng.uniform(0.2, 0.8) * canvas.size
        slope = rng.choice([-1.0, 0.0, 0.0, 0.0, 1.0])
        size = canvas.size
        lean = slope * 200
        fill(item, np.array([[cut - lean, -5], [size + 5, -5], [size + 5, size + 5], [cut + lean, size]]))
    else:
        circle(item, canvas.spot(), rng.uniform(150, 450))
    reach = int(np.clip(style.gap * rng.uniform(0.8, 1.6), 5, 26))
    if rng.random() < 0.5:
        item &= 1 - grown(canvas.copper, reach)
    else:  # round corners
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        item &= np.asarray(cv2.dilate(canvas.copper, kernel) == 0, np.uint8)
    return canvas.place(opened(item, int(rng.choice([5, 9, 15]))), joins=True)


def drills(canvas: Canvas) -> bool:
    """Round holes of one size through solid copper, clear of its edges."""
    rng = canvas.rng
    radius = float(np.exp(rng.uniform(np.log(4), np.log(16)))) if rng.random() < 0.85 else rng.uniform(20, 90)
    room = cv2.distanceTransform(canvas.copper, cv2.DIST_L2, 3)
    step = DIRECTIONS[int(rng.integers(4)) * 2] * radius * rng.uniform(3, 9)
    at = canvas.spot()
    for _ in range(int(rng.integers(2, 12))):
        at = canvas.spot() if rng.random() < 0.5 else (at[0] + step[0], at[1] + step[1])
        if inside(canvas, at) and room[pixel(canvas, at)] > radius + 5:
            circle(canvas.copper, at, radius, 0)
    return True


def windows(canvas: Canvas) -> bool:
    """An opening in a pour: rounded or round, some with a tab standing into it."""
    rng = canvas.rng
    at = canvas.spot()
    w, h = rng.uniform(20, 110, 2)
    if rng.random() < 0.5:
        circle(canvas.copper, at, w, 0)
        if rng.random() < 0.4:
            circle(canvas.copper, (at[0], at[1] + 1.7 * w), w * rng.uniform(0.7, 1.2), 0)
    else:
        box(canvas.copper, at, w, h, float(rng.choice([0, 8, 20])), 0)
        if rng.random() < 0.4:
            box(canvas.copper, (at[0], at[1] - h), rng.uniform(8, 20), h * rng.uniform(0.2, 0.5))
    return True
