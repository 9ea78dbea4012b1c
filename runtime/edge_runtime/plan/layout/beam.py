"""Beam search over layouts built from the bottom up, after the branch and bound of google/minimalloc.

Steps between which no buffer starts or ends are one *section*; of those only the ones with the most live buffers
matter (the maximal cliques of the overlaps). A state is a partial layout: the lowest offset that each buffer still
to be placed may have. The branch is always on one point of the memory x time plane, the lowest one that is not
settled: either a buffer that can start there is placed there, or the point stays empty. Whatever is placed later
lies above, so a section's floor plus its unplaced bytes bounds the size, and a state that must exceed the capacity
is dropped. Where minimalloc goes depth first, this keeps the `width` most promising states of each round, all of
them as rows of a few numpy arrays. A round that drops none is complete: if the search then ends without a layout,
there is none for that capacity.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.plan.layout.problem import Buffer

__all__ = ["Outcome", "Sections", "Style", "beam_search", "style_of"]

_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]

# The lowest offset of a buffer that is placed. Odd, so that it also counts in a product modulo 2**64.
_PLACED = (1 << 60) - 1
# Children are scored in portions of so many array elements: little memory, and the processor's cache holds them.
_PORTION = 1 << 18
# What a round costs however small its arrays are, in array elements.
_ROUND = 100_000


@dataclass(frozen=True)
class Style:
    """What makes a state promising. No single one is best on every problem, so a few are tried in turn."""

    progress: float  # reward for bytes x sections placed: high goes for the large buffers first
    smooth: float  # price of differences between the floors of neighbouring sections
    edge: float  # share of the capacity under which a section's spare bytes count as used up


# Found by trying some hundred on packed rectangles and on accelerator workloads; they differ on purpose.
_STYLES = (
    Style(progress=1, smooth=0.3, edge=0.003),
    Style(progress=0.5, smooth=5, edge=0.01),
    Style(progress=2, smooth=3, edge=0.003),
    Style(progress=8, smooth=9, edge=0.006),
    Style(progress=1, smooth=1, edge=0.003),
    Style(progress=3, smooth=1, edge=0.01),
)


def style_of(index: int) -> Style:
    """Return the style for the index-th try: first those that are known to be good, then random ones around them."""
    if index < len(_STYLES):
        return _STYLES[index]
    rng = random.Random(index)
    return Style(10 ** rng.uniform(-1, 1), 10 ** rng.uniform(-0.7, 1.2), 10 ** rng.uniform(-3, -1.7))


@dataclass(frozen=True)
class Outcome:
    """What a search found: offsets by buffer, or None; then `complete` tells that there is no such layout."""

    offsets: list[int] | None
    complete: bool
    work: int  # array elements that were computed, the measure of a search's cost
    overfull: _Ints  # [S] how many of the last states that were dropped had each section overfull


class Sections:
    """A problem's buffers (N, no empty ones) and sections (S) as arrays; sums of sizes must stay below 2**60."""

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        lowers = sorted({buffer.lifespan.lower for buffer in buffers})
        uppers = sorted({buffer.lifespan.upper for buffer in buffers})
        # A start that is followed by another before anything ends sees fewer live buffers than that one.
        ends_before = [bisect.bisect_right(uppers, lower) for lower in lowers] + [len(uppers)]
        points = [lower for i, lower in enumerate(lowers) if ends_before[i + 1] > ends_before[i]]
        self.first: _Ints = np.array([bisect.bisect_left(points, buffer.lifespan.lower) for buffer in buffers])
        self.last: _Ints = np.array([bisect.bisect_left(points, buffer.lifespan.upper) for buffer in buffers])
        self.sizes: _Ints = np.array([buffer.size for buffer in buffers], np.int64)
        self.covers: _Bools = np.zeros((len(buffers), len(points)), np.bool_)  # [N, S]
        for row, first, last in zip(self.covers, self.first, self.last, strict=True):
            row[first:last] = True
        self.bytes: _Ints = np.where(self.covers, self.sizes[:, None], 0)  # [N, S]
        self.overlaps: _Bools = (self.first[:, None] < self.last) & (self.first < self.last[:, None])  # [N, N]
        # The live buffers of each section, one list after another, and where each begins.
        sections, self.live = np.nonzero(self.covers.T)
        self.begins: _Ints = np.searchsorted(sections, np.arange(len(points)))


@dataclass(frozen=True)
class _States:
    """B partial layouts."""

    lowest: _Ints  # [B, N] the lowest offset each buffer may have, _PLACED for those that are placed
    floor: _Ints  # [B, S] the lowest of them in each section
    rest: _Ints  # [B, S] bytes still to be placed
    spare: _Ints  # [B, S] bytes that may still be left empty
    placed: npt.NDArray[np.float64]  # [B] share of bytes x sections that are placed

    def take(self, rows: _Ints) -> _States:
        return _States(self.lowest[rows], self.floor[rows], self.rest[rows], self.spare[rows], self.placed[rows])


@dataclass(frozen=True)
class _Moves:
    """C ways to go on: from which state, which buffer is placed (-1: none), what rises to which offset."""

    parent: _Ints  # [C]
    buffer: _Ints  # [C]
    section: _Ints  # [C] the section that is branched on
    level: _Ints  # [C] the offset that is branched on
    height: _Ints  # [C] the offset to which the buffers affected rise

    def take(self, rows: Any) -> _Moves:
        return _Moves(self.parent[rows], self.buffer[rows], self.section[rows], self.level[rows], self.height[rows])


def beam_search(
    sections: Sections, capacity: int, width: int, style: Style, weights: npt.NDArray[np.float64], allowance: int
) -> Outcome:
    """Look for a layout of at most `capacity` bytes, keeping `width` states a round and computing <= allowance.

    `weights` [S] says how much the spare bytes of each section count.
    """
    count, points = sections.covers.shape
    # Buffers of one size and life are interchangeable: with equal factors, states that swap them are recognized.
    kinds = np.stack([sections.first, sections.last, sections.sizes], axis=1)
    _, kind = np.unique(kinds, axis=0, return_inverse=True)
    random_numbers: _Ints = np.random.default_rng(0).integers(1, 1 << 62, size=len(kinds), dtype=np.int64)
    factors = random_numbers[kind.reshape(-1)]
    totals = sections.bytes.sum(axis=0)[None]
    zeros = np.zeros((1, count), np.int64)
    states = _States(zeros, np.zeros_like(totals), totals, capacity - totals, np.zeros(1))
    portion = max(1, _PORTION // (len(sections.live) + count))
    trail: list[tuple[_Ints, _Ints, _Ints]] = []
    complete, work = True, 0
    overfull = np.zeros(points, np.int64)
    if (states.spare < 0).any():
        return Outcome(None, True, work, overfull)
    while states.rest.any(axis=1).all():
        moves = _moves(sections, states)
        work += _ROUND + len(moves.parent) * (len(sections.live) + count)
        if work > allowance:
            return Outcome(None, False, work, overfull)
        scores, keys, overfull = [], [], np.zeros(points, np.int64)
        for start in range(0, len(moves.parent), portion):
            after = _apply(sections, states, moves.take(slice(start, start + portion)), capacity)
            scores.append(_score(after, capacity, style, weights))
            keys.append((after.lowest * factors).sum(axis=1))
            overfull += (after.spare < 0).sum(axis=0)
        score = np.concatenate(scores)
        order = np.argsort(score, kind="stable")
        order = order[: int(np.isfinite(score).sum())]
        _, first = np.unique(np.concatenate(keys)[order], return_index=True)
        if not len(first):
            return Outcome(None, complete, work, overfull)
        complete = complete and len(first) <= width
        moves = moves.take(order[np.sort(first)[:width]])
        states = _apply(sections, states, moves, capacity)
        trail.append((moves.parent, moves.buffer, moves.level))
    row = int(np.flatnonzero(~states.rest.any(axis=1))[0])
    offsets = [0] * count
    for parent, buffer, level in reversed(trail):
        if buffer[row] >= 0:
            offsets[buffer[row]] = int(level[row])
        row = int(parent[row])
    return Outcome(offsets, complete, work, overfull)


def _moves(sections: Sections, states: _States) -> _Moves:
    """Branch on each state's lowest unsettled point; among sections of the same floor the tightest one is taken."""
    level = states.lowest.min(axis=1)
    section = np.where(states.floor == level[:, None], states.spare, _PLACED).argmin(axis=1)
    here = sections.covers.T[section]
    parent, buffer = np.nonzero(here & (states.lowest == level[:, None]))
    # If the point stays empty, what comes above it rests on a buffer that is not placed yet, or starts higher anyway.
    higher = np.where(here & (states.lowest > level[:, None]), states.lowest, _PLACED).min(axis=1)
    support = np.where(states.lowest < _PLACED, states.lowest + sections.sizes, _PLACED).min(axis=1)
    parents = np.concatenate([parent, np.arange(len(level))])
    return _Moves(
        parent=parents,
        buffer=np.concatenate([buffer, np.full(len(level), -1)]),
        section=section[parents],
        level=level[parents],
        height=np.concatenate([level[parent] + sections.sizes[buffer], np.minimum(higher, support)]),
    )


def _apply(sections: Sections, states: _States, moves: _Moves, capacity: int) -> _States:
    """Return the states after the moves; one that cannot be completed has a negative spare."""
    before = states.take(moves.parent)
    places = moves.buffer >= 0
    affected = np.where(places[:, None], sections.overlaps[moves.buffer], sections.covers.T[moves.section])
    lowest = np.where(affected, np.maximum(before.lowest, moves.height[:, None]), before.lowest)
    rows = np.flatnonzero(places)
    lowest[rows, moves.buffer[rows]] = _PLACED
    size = np.where(places[:, None], sections.bytes[moves.buffer], 0)
    rest = before.rest - size
    floor = np.minimum.reduceat(lowest[:, sections.live], sections.begins, axis=1)
    spare = np.where(rest > 0, capacity - floor - rest, before.spare)
    placed = before.placed + size.sum(axis=1) / sections.bytes.sum()
    return _States(lowest, floor, rest, spare, placed)


def _score(states: _States, capacity: int, style: Style, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how little promising each state is; infinite if its spare is negative."""
    share = states.spare / capacity
    tightness = -(weights * np.log(np.maximum(share, 0) + style.edge)).mean(axis=1)
    tops = 1 - share - states.rest / capacity
    roughness = np.abs(np.diff(tops, axis=1)).sum(axis=1) / tops.shape[1]
    score = tightness + style.smooth * roughness - style.progress * states.placed
    # Rounded, because the last digit of a logarithm differs between processors.
    return np.where((states.spare < 0).any(axis=1), np.inf, np.round(score, 9))
