"""Join buffers that hand their memory on only among themselves into one block, which is laid out like a buffer.

In a tight problem memory that is freed at a step is taken again at that step, mostly by the same few buffers: one of
equal size, or a handful that fill the same bytes over the same time without a gap. Joining them, and what has one
lifespan, and then blocks with blocks, leaves a fraction of the buffers, and with it a far smaller search. A layout of
the blocks is one of the buffers. Not the other way round: the best layout may need some of them apart, so there are
several ways to join, made from seeds that leave different ones undone.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.plan.layout.beam import Sections, beam_search, style_of
from edge_runtime.plan.layout.greedy import greedy
from edge_runtime.plan.layout.problem import Buffer, Lifespan

__all__ = ["Block", "join"]

# Small blocks first: the fewer members, the surer that they belong together.
_MEMBERS = (2, 6, 12)
_WIDTH, _ALLOWANCE = 32, 10_000_000  # of the search for a block's own layout
# Blocks that only lie near each other: how many may be compared in pairs, and the share of the waste they may have.
_MOST_NEAR, _NEAR = 400, 0.25
# How often what could be joined is not, with a seed: a guess less often than what fits on all sides.
_DOUBT_OF_GUESS, _DOUBT = 0.5, 0.1


@dataclass(frozen=True)
class Block:
    """A stand-in for buffers that fill it; `inside` has each buffer's offset from the block's."""

    buffer: Buffer
    inside: tuple[tuple[Buffer, int], ...]


def join(buffers: Sequence[Buffer], most: int, waste: float = 0, seed: int = 0) -> list[Block]:
    """Return blocks that hold every buffer once; one that no other fits is alone. Seed 0 joins all it can.

    A block may leave up to the share `waste` of its bytes x steps empty, as long as the blocks alive at a step sum to
    no more than `most`.
    """
    joining = _Joining(buffers, most, seed)
    # Whenever a larger block was found, the small ones may go on; a gap is only accepted where nothing fits.
    ways = [(members, share) for share in sorted({0, waste}) for members in _MEMBERS]
    while any(joining.round(members, share) for members, share in ways):
        pass
    while waste and joining.join_nearest(waste * _NEAR):
        pass
    return list(joining.blocks.values())


class _Joining:
    """The blocks so far by number, and which start and end at each step."""

    def __init__(self, buffers: Sequence[Buffer], most: int, seed: int) -> None:
        self.blocks: dict[int, Block] = {}
        self._starts: dict[int, set[int]] = {}
        self._ends: dict[int, set[int]] = {}
        self._numbers = itertools.count()
        self._rng = random.Random(seed) if seed else None
        self._refused: dict[frozenset[int], bool] = {}
        steps = sorted({step for b in buffers for step in (b.lifespan.lower, b.lifespan.upper)})
        self._index = {step: index for index, step in enumerate(steps)}
        for buffer in buffers:
            self._add(Block(buffer, ((buffer, 0),)))
        self._spare = most - self._load(buffers)

    def round(self, members: int, waste: float) -> bool:
        """Join what can be joined to blocks of at most so many members; return whether anything was."""
        joined = False
        for step in sorted(self._starts):
            while any(self._replace(found, waste) for found in self._candidates(step, members, waste)):
                joined = True
        return joined

    def _candidates(self, step: int, members: int, waste: float) -> Iterator[set[int]]:
        starting, ending = sorted(self._starts[step]), sorted(self._ends.get(step, ()))
        for one, other in itertools.combinations(starting, 2):
            life = self._life(one)
            if life == self._life(other):
                # Where only one block ends before them, or starts after them, they lie side by side; else who knows.
                guess = len(ending) > 1 and len(self._starts.get(life.upper, ())) > 1
                if self._accepted({one, other}, _DOUBT_OF_GUESS if guess else 0):
                    yield {one, other}
        seeds = [{*starting, *ending}] if starting and ending else []
        for one, other in itertools.product(ending, starting):
            small, large = sorted((self.blocks[one].buffer.size, self.blocks[other].buffer.size))
            if small >= (1 - waste) * large:
                seeds.append({one, other})
        for seed in seeds:
            grown = self._grown(seed, members)
            if grown and self._accepted(grown, _DOUBT):
                yield grown

    def join_nearest(self, waste: float) -> bool:
        """Join the two blocks that leave the least empty if one is put after or on the other; return whether it can."""
        numbers = sorted(self.blocks)
        if len(numbers) > _MOST_NEAR:
            return False
        first, last, sizes = (
            np.array([values(self.blocks[number].buffer) for number in numbers])
            for values in (
                lambda buffer: self._index[buffer.lifespan.lower],
                lambda buffer: self._index[buffer.lifespan.upper],
                lambda buffer: buffer.size,
            )
        )
        apart = (last[:, None] <= first) | (first[:, None] >= last)
        together = np.where(apart, np.maximum(sizes[:, None], sizes), sizes[:, None] + sizes)
        areas = together * (np.maximum(last[:, None], last) - np.minimum(first[:, None], first))
        own = (last - first) * sizes
        empty = np.round(1 - (own[:, None] + own) / areas, 9)
        rows, columns = np.nonzero(np.triu(empty <= waste, 1))
        for at in np.argsort(empty[rows, columns], kind="stable"):
            pair = {numbers[rows[at]], numbers[columns[at]]}
            if self._accepted(pair, _DOUBT) and self._replace(pair, waste):
                return True
        return False

    def _accepted(self, numbers: set[int], doubt: float) -> bool:
        """Return whether these may be joined; what was refused once stays so."""
        key = frozenset(numbers)
        if key not in self._refused:
            self._refused[key] = self._rng is not None and self._rng.random() < doubt
        return not self._refused[key]

    def _grown(self, found: set[int], members: int) -> set[int]:
        """Add what starts or ends when one of those found does, up to their first start and last end.

        Return nothing if these are more than `members`.
        """
        while len(found) <= members:
            lives = [self._life(number) for number in found]
            steps = {life.lower for life in lives} | {life.upper for life in lives}
            inner = steps - {min(steps), max(steps)}
            grown = found.union(*(self._starts.get(step, set()) | self._ends.get(step, set()) for step in inner))
            if grown == found:
                return found
            found = grown
        return set()

    def _replace(self, numbers: set[int], waste: float) -> bool:
        """Join these blocks if they fill a block up to the waste; return whether they do."""
        members = [self.blocks[number] for number in sorted(numbers)]
        buffers = [member.buffer for member in members]
        life = Lifespan(min(b.lifespan.lower for b in buffers), max(b.lifespan.upper for b in buffers))
        during = slice(self._index[life.lower], self._index[life.upper])
        load = self._load(buffers)[during]
        size = int(load.max())
        if load.mean() < (1 - waste) * size or (size - load > self._spare[during]).any():
            return False
        offsets = _pack(buffers, size)
        if offsets is None:
            self._refused[frozenset(numbers)] = True
            return False
        self._spare[during] -= size - load
        for number in numbers:
            block = self.blocks.pop(number)
            self._starts[block.buffer.lifespan.lower].discard(number)
            self._ends[block.buffer.lifespan.upper].discard(number)
        inside = [(b, at + base) for member, base in zip(members, offsets, strict=True) for b, at in member.inside]
        self._add(Block(Buffer(min(b.id for b in buffers), life, size), tuple(inside)))
        return True

    def _add(self, block: Block) -> None:
        number = next(self._numbers)
        self.blocks[number] = block
        self._starts.setdefault(block.buffer.lifespan.lower, set()).add(number)
        self._ends.setdefault(block.buffer.lifespan.upper, set()).add(number)

    def _load(self, buffers: Iterable[Buffer]) -> npt.NDArray[np.int64]:
        """Return the live bytes from each step to the next."""
        load = np.zeros(len(self._index), np.int64)
        for buffer in buffers:
            load[self._index[buffer.lifespan.lower] : self._index[buffer.lifespan.upper]] += buffer.size
        return load

    def _life(self, number: int) -> Lifespan:
        return self.blocks[number].buffer.lifespan


def _pack(buffers: Sequence[Buffer], size: int) -> list[int] | None:
    """Return offsets that need exactly `size` bytes, or None if there are none, or not easily found."""
    offsets, found = greedy(buffers, size)
    if found == size:
        return offsets
    sections = Sections(buffers)
    return beam_search(sections, size, _WIDTH, style_of(0), np.ones(sections.covers.shape[1]), _ALLOWANCE).offsets
