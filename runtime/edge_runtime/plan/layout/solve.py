"""Find a small static memory layout: exact reductions, then greedy orders, then beam searches of growing width, first
over buffers joined to blocks, at last over the buffers themselves.

The result depends on the problem alone: no clock, no unseeded randomness, and not the order of the buffers. Effort is
bounded by a budget of array elements computed (a billion is 3 to 10 seconds of one workstation core), and most of
it is never used: networks as they come are solved by a greedy order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_runtime.plan.layout.beam import Sections, beam_search, style_of
from edge_runtime.plan.layout.blocks import Block, join
from edge_runtime.plan.layout.greedy import greedy
from edge_runtime.plan.layout.problem import Buffer, Problem, Solution, lower_bound

__all__ = ["DEFAULT_BUDGET", "solve"]

DEFAULT_BUDGET = 4_000_000_000
# Sizes to search for, in lower bounds (None is between that and the best so far), and each one's share of the work.
_AIMS = {1.02: 3, 1.0: 3, None: 1}
_FEWEST_SEARCHES = 5
# Ways to join buffers, as (waste, seed), that are tried in turn with this share of the work.
_JOININGS = (
    *((0, 0), (0.3, 0), (0, 1), (0.05, 2), (0.2, 0), (0, 3), (0.3, 1)),
    *((0.4, 2), (0, 4), (0.02, 5), (0, 6), (0.2, 4), (0, 7), (0.3, 5)),
)
_JOINED_SHARE = 0.44
_NARROWEST, _WIDEST, _TRIES_EACH = 24, 384, 12  # the beam's width doubles every few tries
# The beam's arrays are 64-bit, and take memory for each pair of buffers.
_LARGEST_SUM = 1 << 59
_MOST_BUFFERS = 2000


@dataclass(frozen=True)
class _Part:
    """Buffers that are packed on their own, on top of `base` bytes."""

    buffers: tuple[Buffer, ...]
    base: int


@dataclass(frozen=True)
class _Layout:
    """A part's offsets, above its base, by buffer, and where the uppermost one ends."""

    part: _Part
    found: dict[str, int]
    end: int


def solve(problem: Problem, *, alignment: int = 1, good_enough: float = 1.0, budget: int = DEFAULT_BUDGET) -> Solution:
    """Return offsets, multiples of `alignment`, and the size of the arena.

    The search ends at `good_enough` times the lower bound, or with the budget; budget 0 is greedy alone. Raises
    ValueError for an alignment below 1 or a good_enough below 1.
    """
    if alignment < 1 or not good_enough >= 1:
        raise ValueError(f"expected alignment and good_enough >= 1, found {alignment} and {good_enough}")
    padded = [replace(b, size=b.size + -b.size % alignment) for b in problem.buffers if b.size]
    # In units of the greatest common divisor the numbers are small and every offset is aligned.
    unit = math.gcd(*(buffer.size for buffer in padded)) or 1
    buffers = sorted((replace(b, size=b.size // unit) for b in padded), key=_canonical)
    parts, settled = _reduce(buffers)
    least = lower_bound(Problem(tuple(buffers)))
    goal = math.floor(least * good_enough)
    layouts = [_first_layout(part, goal) for part in parts]
    # The part that is furthest from fitting decides the size, so it goes first; the others need to be no better.
    layouts.sort(key=lambda layout: layout.end, reverse=True)
    for layout in layouts:
        if layout.end > goal:
            layout, work = _refine(layout, least, goal, budget if layout is layouts[-1] else budget * 3 // 4)
            budget -= work
            goal = max(goal, layout.end)
        settled.update({name: layout.part.base + at for name, at in layout.found.items()})
    offsets = {buffer.id: settled.get(buffer.id, 0) * unit for buffer in problem.buffers}
    return Solution(offsets, max((offsets[b.id] + b.size for b in problem.buffers), default=0))


def _canonical(buffer: Buffer) -> tuple[int, int, int, str]:
    return buffer.lifespan.lower, buffer.lifespan.upper, buffer.size, buffer.id


def _reduce(buffers: Sequence[Buffer]) -> tuple[list[_Part], dict[str, int]]:
    """Split into parts that never meet in time, and settle the buffers that meet all others, as long as there are any.

    A buffer that meets all others divides every layout in what is below and above it. Moving it to the bottom and
    what was below it up by its size keeps the layout valid, so it may as well start there.
    """
    parts: list[_Part] = []
    settled: dict[str, int] = {}
    todo = [(list(buffers), 0)]
    while todo:
        group, base = todo.pop()
        for run in _runs(group):
            first_end = min(buffer.lifespan.upper for buffer in run)
            last_start = max(buffer.lifespan.lower for buffer in run)
            rest, height = [], base
            for buffer in run:
                if buffer.lifespan.lower < first_end and buffer.lifespan.upper > last_start:
                    settled[buffer.id] = height
                    height += buffer.size
                else:
                    rest.append(buffer)
            if len(rest) == len(run):
                parts.append(_Part(tuple(run), base))
            elif rest:
                todo.append((rest, height))
    return parts, settled


def _runs(buffers: Sequence[Buffer]) -> list[list[Buffer]]:
    """Cut buffers, sorted by their start, wherever nothing is alive across the cut."""
    runs: list[list[Buffer]] = []
    end = 0
    for buffer in buffers:
        if not runs or buffer.lifespan.lower >= end:
            runs.append([])
            end = buffer.lifespan.upper
        runs[-1].append(buffer)
        end = max(end, buffer.lifespan.upper)
    return runs


def _first_layout(part: _Part, goal: int) -> _Layout:
    offsets, size = greedy(part.buffers, goal - part.base)
    return _Layout(part, dict(zip((b.id for b in part.buffers), offsets, strict=True)), part.base + size)


def _refine(layout: _Layout, least: int, goal: int, budget: int) -> tuple[_Layout, int]:
    """Search until the layout ends at `goal`, or cannot be better, or the budget is spent; return it and the work."""
    part, spent = layout.part, 0
    if len(part.buffers) > _MOST_BUFFERS or sum(buffer.size for buffer in part.buffers) > _LARGEST_SUM:
        return layout, spent
    for blocks, allowance in _ways_to_join(part.buffers, max(goal, math.floor(least * 1.02)) - part.base, budget):
        buffers = [block.buffer for block in blocks]
        limit = allowance if len(blocks) < len(part.buffers) else budget - spent
        offsets, work = _search(_Part(tuple(buffers), part.base), layout.end, least, goal, limit)
        spent += work
        if offsets:
            pairs = zip(blocks, offsets, strict=True)
            found = {buffer.id: base + at for block, base in pairs for buffer, at in block.inside}
            end = max(found[buffer.id] + buffer.size for buffer in part.buffers)
            layout = _Layout(part, found, part.base + end)
        if layout.end <= max(goal, least):
            break
    return layout, spent


def _ways_to_join(buffers: Sequence[Buffer], most: int, budget: int) -> Iterator[tuple[list[Block], int]]:
    """Return the buffers joined to blocks in different ways, at last not at all, and the work each is worth."""
    known: list[list[Block]] = []
    for waste, seed in _JOININGS if budget else ():
        blocks = sorted(join(buffers, most, waste, seed), key=lambda block: _canonical(block.buffer))
        if len(blocks) < len(buffers) and blocks not in known:
            known.append(blocks)
            yield blocks, int(budget * _JOINED_SHARE) // len(_JOININGS)
    yield [Block(buffer, ((buffer, 0),)) for buffer in buffers], budget


def _search(part: _Part, end: int, least: int, goal: int, budget: int) -> tuple[list[int] | None, int]:
    """Return the offsets of the best layout that ends below `end`, if one is found, and the work.

    The search ends at `goal`, or if there is none below, or with the budget.
    """
    best, spent = None, 0
    quick, size = greedy(part.buffers, goal - part.base)
    if part.base + size < end:
        best, end = quick, part.base + size
    sections = Sections(part.buffers)
    equal = np.ones(sections.covers.shape[1])
    learned = equal
    shift = 1  # of the aim between: halfway, and nearer to the best so far each time it is missed
    work, tries = dict.fromkeys(_AIMS, 0), dict.fromkeys(_AIMS, 0)
    while end > max(goal, least) and spent < budget:
        room = end - 1 - least
        ends = {aim: least + room - (room >> shift) if aim is None else math.floor(least * aim) for aim in _AIMS}
        # Searches for a tight fit die young, so they get more tries for the same work.
        aim = min((aim for aim in _AIMS if ends[aim] < end), key=lambda aim: work[aim] / _AIMS[aim])
        width = min(_WIDEST, _NARROWEST << tries[aim] // _TRIES_EACH)
        weights = learned if tries[aim] % 2 else equal
        # A search that lingers, raising one floor after another, is worth less than the next style's.
        allowance = min(budget - spent, budget // _FEWEST_SEARCHES)
        outcome = beam_search(sections, ends[aim] - part.base, width, style_of(tries[aim]), weights, allowance)
        tries[aim] += 1
        work[aim] += outcome.work
        spent += outcome.work
        if outcome.offsets is not None:
            best, shift = outcome.offsets, 1
            end = part.base + max(at + buffer.size for at, buffer in zip(best, part.buffers, strict=True))
        elif outcome.complete:
            least = ends[aim] + 1  # proven: nothing ends there
        else:
            # The squeaky wheel gets the grease: what made this search fail counts for more in the next.
            learned = learned * (1 + outcome.overfull / max(1, outcome.overfull.max()))
            learned /= learned.mean()
            shift += aim is None
    return best, spent
