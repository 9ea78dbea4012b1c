"""The plan as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plan_cases import BASE, SPEEDS, make_chain

from edge_runtime.plan.explain import explain
from edge_runtime.plan.measurements import Limit
from edge_runtime.plan.plan import BlockPlan, Place, Plan
from edge_runtime.plan.planner import plan

BLOCKS = (
    BlockPlan("block-00.onnx", "resident", "fits: saves 12.3 ms of loading a run", 15_000_000, 7.1, 0.0),
    BlockPlan(
        "block-01.onnx", "streamed", "loading hides behind computing", 300_000, 8, 5, Place(0, 8192, 0, 3), True, True
    ),
    BlockPlan("block-02.onnx", "reloaded", "streamed computes in 41.0 ms, not 7.1", 9_000_000, 7.1, 20.0),
)
PLAN = Plan(
    whole=False,
    batch=8,
    micro_batch=4,
    blocks=BLOCKS,
    values=(),
    slots=1,
    slot_bytes=8192,
    arena_bytes=8192,
    work_bytes=2_000_000,
    work_chunk_bytes=30_000_000,
    work_cap_bytes=30_000_000,
    base_bytes=74_000_000,
    overhead_bytes=1_000_000,
    held_bytes=15_300_000,
    moving_bytes=9_000_000,
    peak_bytes=101_308_192,
    limit_bytes=120_000_000,
    latency_ms=32.2,
    compute_ms=22.2,
    load_ms=25.0,
    cached=False,
)


def test_a_plan_is_a_table_and_where_memory_and_time_go() -> None:
    assert explain(PLAN).splitlines() == [
        "memory limit 120.0 MB: 101.3 MB are planned, 18.7 MB are spare",
        "blocks of the whole graph as it is lowered here; 1 of those that are loaded have weights that",
        "kernels pack for themselves, at every use",
        "",
        "block       memory  form            compute     load  why",
        "block-00   15.0 MB  resident         7.1 ms           fits: saves 12.3 ms of loading a run",
        "block-01  308.2 kB  streamed, zstd   8.0 ms   5.0 ms  loading hides behind computing",
        "block-02    9.0 MB  reloaded         7.1 ms  20.0 ms  streamed computes in 41.0 ms, not 7.1",
        "",
        "base         74.0 MB  the interpreter and its libraries",
        "overhead      1.0 MB  what a process grows by while it runs",
        "arena         8.2 kB  1 x up to 8.2 kB of it weights that are streamed",
        "work          2.0 MB  of onnxruntime, which may take up to 30.0 MB in all",
        "held         15.3 MB  sessions that stay",
        "moving        9.0 MB  what making or reloading sessions takes for a moment",
        "peak        101.3 MB  the sum",
        "batch              8  8 images together, 4 in one run of a session",
        "latency      32.2 ms  predicted, bound by loading, which adds 10.0 ms to computing",
        "compute      22.2 ms  of 3 blocks: 1 resident, 1 streamed, 1 reloaded",
        "load         25.0 ms  of those that are loaded, from storage",
    ]


def test_what_is_kept_free_for_frames_is_no_part_of_the_interpreter() -> None:
    lines = explain(PLAN, 20_000_000).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("base"))
    assert lines[place : place + 2] == [
        "base         54.0 MB  the interpreter and its libraries",
        "frames       20.0 MB  of full HD, as no source is looked at: read, resized, drawn on, encoded",
    ]


def test_a_whole_graph_is_said_to_be_one_session() -> None:
    manifest, measurements = make_chain(4, 2, whole=True)
    found = plan(manifest, measurements, SPEEDS, Limit(None, BASE, 1))
    text = explain(found)
    assert found.whole
    assert "the whole graph is one session: nothing is loaded while it runs" in text
    assert text.startswith("no memory limit: ")
    assert "bound by computing, nothing is loaded" in text


@pytest.mark.parametrize("limit", [115_000_000, 160_000_000, None])
def test_a_table_of_a_long_chain_fits_100_columns(limit: int | None) -> None:
    manifest, measurements = make_chain(9, 24, forms=("resident", "streamed", "reloaded"), load_per_mb=30.0)
    lines = explain(plan(manifest, measurements, SPEEDS, Limit(limit, BASE, 4))).splitlines()
    assert len(lines) > 24
    assert max(map(len, lines)) <= 100
    assert not any(line.endswith("...") for line in lines)


def test_why_the_blocks_are_the_bundle_s_own_is_told() -> None:
    lines = explain(replace(PLAN, portable="the limit is too small to lower the whole graph")).splitlines()
    assert " ".join(lines[1:3]) == (
        "blocks of the bundle, not of the graph as it is lowered here: the limit is too small to lower the whole graph"
    )


def test_weights_that_are_streamed_as_they_are_stored_are_called_unpacked() -> None:
    blocks = (replace(BLOCKS[1], packed=False, laid=False),)
    assert "  unpacked  " in explain(replace(PLAN, blocks=blocks))
    assert "blocks of the whole graph as it is lowered here\n" in explain(replace(PLAN, blocks=BLOCKS[:2]))


def test_the_limit_that_would_be_fast_is_told_where_this_one_is_smaller() -> None:
    line = "faster      150.0 MB  is the limit for 1.1x of the fastest at this batch"
    assert line in explain(replace(PLAN, near_bytes=150_000_000)).splitlines()
    assert "faster" not in explain(replace(PLAN, near_bytes=110_000_000))


def test_what_loading_takes_of_a_core_is_told() -> None:
    line = "load         25.0 ms  of those that are loaded, from storage, a core busy for 2.5 ms of it"
    assert line in explain(replace(PLAN, load_cpu_ms=2.5)).splitlines()
