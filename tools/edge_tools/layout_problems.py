"""Memory layout problems made from a seed: some that a greedy order cannot pack, some as networks make them."""

from __future__ import annotations

import random
from collections.abc import Callable

from edge_runtime.plan.layout import Buffer, Lifespan, Problem

__all__ = ["BUILT_IN", "dense", "heavy_tailed", "perfect", "pyramid", "residual", "unet"]

_KIB = 1024
_Rectangle = tuple[int, int, int, int]  # lower and upper step, lower and upper offset in KiB


def perfect(seed: int, count: int, steps: int = 4096, kib: int = 1024) -> Problem:
    """Cut the rectangle steps x kib into `count` buffers: they fill it again without a hole, so the bound is exact.

    Straight cuts alone give problems that can be solved one half at a time; every third cut here is a pinwheel
    (four arms around a core), which cannot.
    """
    rng = random.Random(seed)
    pieces: list[_Rectangle] = [(0, steps, 0, kib)]
    while len(pieces) < count:
        # The largest of a few: sizes differ, yet nothing huge is left over.
        at = max(rng.sample(range(len(pieces)), min(3, len(pieces))), key=lambda i: _area(pieces[i], steps, kib))
        pieces[at : at + 1] = _cut(rng, pieces[at], pieces_left=count - len(pieces))
    rng.shuffle(pieces)
    return _problem([(lower, upper, (top - bottom) * _KIB) for lower, upper, bottom, top in pieces])


def _area(piece: _Rectangle, steps: int, kib: int) -> float:
    lower, upper, bottom, top = piece
    return (upper - lower) / steps * (top - bottom) / kib


def _cut(rng: random.Random, piece: _Rectangle, pieces_left: int) -> list[_Rectangle]:
    lower, upper, bottom, top = piece
    wide, high = upper - lower, top - bottom
    if wide >= 6 and high >= 6 and pieces_left >= 4 and rng.random() < 0.33:
        a, b = sorted((lower + round(wide * rng.uniform(0.15, 0.45)), lower + round(wide * rng.uniform(0.55, 0.85))))
        c, d = sorted((bottom + round(high * rng.uniform(0.15, 0.45)), bottom + round(high * rng.uniform(0.55, 0.85))))
        return [(lower, b, bottom, c), (b, upper, bottom, d), (a, upper, d, top), (lower, a, c, top), (a, b, c, d)]
    if high < 2 or (wide >= 2 and rng.random() < 0.5):
        middle = lower + max(1, min(wide - 1, round(wide * rng.uniform(0.2, 0.8))))
        return [(lower, middle, bottom, top), (middle, upper, bottom, top)] if wide >= 2 else [piece]
    middle = bottom + max(1, min(high - 1, round(high * rng.uniform(0.2, 0.8))))
    return [(lower, upper, bottom, middle), (lower, upper, middle, top)]


def heavy_tailed(seed: int, count: int, steps: int = 1000) -> Problem:
    """Random lifespans, many short and a few long; sizes over four orders of magnitude."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        lower = rng.randrange(steps)
        length = min(steps - lower, 1 + int(rng.paretovariate(0.7) * steps / 100))
        rows.append((lower, lower + length, min(2**26, int(256 * rng.paretovariate(0.6)))))
    return _problem(rows)


def residual(seed: int, blocks: int = 40) -> Problem:
    """Return a ResNet: per block a wide and two narrow activations, a skip across, scratch in every other one."""
    rng = random.Random(seed)
    rows, step, size = [], 0, 800 * _KIB
    for block in range(blocks):
        rows.append((step, step + 4, size))  # the block's input lives until the addition
        rows.append((step + 1, step + 3, size // 4))
        rows.append((step + 2, step + 4, size // 4 + 64 * rng.randrange(8)))
        if block % 2:
            rows.append((step + 2, step + 3, rng.randrange(1, 9) * 32 * _KIB))
        step += 3
        if block % 10 == 9:
            size //= 2
    return _problem(rows)


def unet(seed: int, depth: int = 6) -> Problem:
    """Return a U-Net: what is encoded first is kept longest, for the decoder's last level."""
    rng = random.Random(seed)
    last = 6 * depth
    rows = []
    for level in range(depth):
        size = (2048 * _KIB >> level) + 64 * rng.randrange(16)
        encoder, decoder = 3 * level, last - 3 * level
        rows += [(encoder, encoder + 2, size), (encoder + 1, decoder, size), (encoder + 2, encoder + 4, size // 4)]
        rows += [(decoder - 1, decoder + 1, 2 * size), (decoder, decoder + 2, size), (decoder + 1, decoder + 3, size)]
    return _problem(rows)


def dense(seed: int, blocks: int = 4, layers: int = 12) -> Problem:
    """Return a DenseNet: every layer's output lives to its block's end, where all are joined in one."""
    rng = random.Random(seed)
    rows, step, size = [], 0, 256 * _KIB
    for _ in range(blocks):
        end = step + 2 * layers + 1
        for layer in range(layers):
            at = step + 2 * layer
            rows.append((at + 1, end, size // 4 + 64 * rng.randrange(8)))
            rows.append((at, at + 2, size + layer * size // 8))
        rows.append((end - 1, end + 2, size + layers * size // 4))
        step, size = end, size // 2
    return _problem(rows)


def pyramid(seed: int, levels: int = 5) -> Problem:
    """Return a detector: a backbone, features joined top-down and again bottom-up (FPN and PAN), heads to the end."""
    rng = random.Random(seed)
    rows, step = [], 0
    sizes = [(1600 * _KIB >> level) + 64 * rng.randrange(32) for level in range(levels)]
    joined = 3 * levels
    for level, size in enumerate(sizes):
        rows += [(step, step + 2, size), (step + 1, step + 3, size // 2), (step + 2, joined + levels - level, size)]
        step += 3
    end = step + 4 * levels
    for level in reversed(range(levels)):
        rows += [(step, step + 2, 2 * sizes[level]), (step + 1, step + 2 + 2 * level, sizes[level])]
        step += 1
    for level, size in enumerate(sizes):
        rows += [(step, step + 2, size), (step + 1, end, size // 8), (step + 1, end - rng.randrange(3), size // 16)]
        rows.append((step + 1, step + 4, size + 64 * level))
        step += 2
    return _problem(rows)


def _problem(rows: list[tuple[int, int, int]]) -> Problem:
    return Problem(tuple(Buffer(f"b{i}", Lifespan(lower, upper), size) for i, (lower, upper, size) in enumerate(rows)))


BUILT_IN: dict[str, Callable[[], Problem]] = {
    "perfect-30": lambda: perfect(1, 30),
    "perfect-50": lambda: perfect(2, 50),
    "perfect-80": lambda: perfect(3, 80),
    "perfect-120": lambda: perfect(4, 120),
    "perfect-200": lambda: perfect(5, 200),
    "perfect-300": lambda: perfect(6, 300),
    "perfect-400": lambda: perfect(7, 400),
    "perfect-500": lambda: perfect(8, 500),
    "heavy-tailed-100": lambda: heavy_tailed(9, 100),
    "heavy-tailed-400": lambda: heavy_tailed(10, 400),
    "residual": lambda: residual(11),
    "unet": lambda: unet(12),
    "dense": lambda: dense(13),
    "pyramid": lambda: pyramid(14),
}
