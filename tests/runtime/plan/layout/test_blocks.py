"""Blocks: they hold every buffer once, never overlap inside, and find what was cut apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.plan.layout import Buffer, Lifespan, Problem, Solution, lower_bound, validate
from edge_runtime.plan.layout.blocks import join

PINWHEEL = [(0, 6, 2), (6, 9, 6), (3, 9, 3), (0, 3, 7), (3, 6, 4)]  # four arms around a core, a square of 9 x 9


def buffers(rows: list[tuple[int, int, int]]) -> list[Buffer]:
    return [Buffer(f"b{i}", Lifespan(lower, upper), size) for i, (lower, upper, size) in enumerate(rows)]


ROWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 6), st.integers(1, 9)).map(
        lambda row: (row[0], row[0] + row[1], row[2])
    ),
    min_size=1,
    max_size=16,
)


@given(ROWS, st.sampled_from([0, 0.1, 0.5]), st.integers(0, 3))
def test_a_layout_of_the_blocks_is_one_of_the_buffers(
    rows: list[tuple[int, int, int]], waste: float, seed: int
) -> None:
    problem = Problem(tuple(buffers(rows)))
    most = lower_bound(problem) + 3
    blocks = join(problem.buffers, most, waste, seed)
    assert lower_bound(Problem(tuple(block.buffer for block in blocks))) <= most
    base, offsets = 0, {}
    for block in blocks:
        for buffer, offset in block.inside:
            assert buffer.id not in offsets
            assert offset + buffer.size <= block.buffer.size
            assert block.buffer.lifespan.lower <= buffer.lifespan.lower
            assert block.buffer.lifespan.upper >= buffer.lifespan.upper
            offsets[buffer.id] = base + offset
        base += block.buffer.size
    validate(problem, Solution(offsets, base))


def test_a_pinwheel_is_one_block() -> None:
    (block,) = join(buffers(PINWHEEL), 9)
    assert (block.buffer.lifespan, block.buffer.size) == (Lifespan(0, 9), 9)


def test_a_chain_with_unequal_links_is_a_block_only_if_waste_is_allowed() -> None:
    chain = buffers([(0, 5, 100), (5, 9, 98)])
    assert len(join(chain, 100)) == 2
    assert len(join(chain, 100, waste=0.05)) == 1


def test_waste_is_not_allowed_where_the_memory_is_needed() -> None:
    full = buffers([(0, 5, 100), (5, 9, 98), (4, 9, 2)])
    assert len(join(full[:2], 100, waste=0.05)) == 1
    assert [block.buffer.size for block in join(full, 101, waste=0.02)] == [100, 98, 2]


def test_the_same_seed_joins_the_same() -> None:
    many = buffers(PINWHEEL + [(lower + 9, upper + 9, size) for lower, upper, size in PINWHEEL])
    assert join(many, 9, seed=5) == join(many, 9, seed=5)
