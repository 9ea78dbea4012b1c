"""The arena under a session's weights: kernels read what lies there now, and blocks share it."""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from cut_cases import convolutions, cut, feeds, perceptron

from edge_devices.process_memory import memory
from edge_runtime.blocks import laying
from edge_runtime.blocks.arena import Arena
from edge_runtime.blocks.laying import laid_session
from edge_runtime.blocks.storage import FileStorage
from edge_runtime.errors import EngineError, ModelError
from edge_runtime.ort.block_session import packed_session
from edge_runtime.prepare.lower import lower

MODELS = {"matrices": perceptron, "convolutions": convolutions}


@pytest.fixture(scope="module", params=MODELS)
def case(request, tmp_path_factory):
    return cut(MODELS[request.param](tmp_path_factory.mktemp("bundle")), tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def whole(case, tmp_path):
    lower(case.bundle.file("model.onnx"), tmp_path / "whole.onnx", 1)
    session = packed_session(tmp_path / "whole.onnx", 1)
    return lambda given: session.run(["y"], given)[0]


def block_feeds(case, block):
    """Values for a block, from the chain of ordinary sessions."""
    values = feeds(case.bundle)
    for one in case.blocks:
        if one is block:
            break
        session = packed_session(case.folder / one.graph, 1)
        values.update(zip(one.outputs, session.run(None, {n: values[n] for n in one.inputs}), strict=True))
    return {name: values[name] for name in block.inputs}


def test_a_kernel_reads_what_lies_in_the_arena_now(case):
    block = case.blocks[-1]
    given = block_feeds(case, block)
    expected = packed_session(case.folder / block.graph, 1).run(None, given)[0]
    laid = laid_session(case.folder / block.graph, case.folder / block.weights.file, block.pages, 1)
    arena = Arena(block.weights.size + (64 << 10), shared=True)
    into = arena.view(64 << 10, "uint8", (block.weights.size,)).view(np.uint8)
    laid.lay(arena, 64 << 10)
    storage = FileStorage(case.folder)
    for _ in range(2):
        into[:] = 0
        assert not np.array_equal(laid.session.run(None, given)[0], expected)
        storage.read(block.weights, into)
        np.testing.assert_array_equal(laid.session.run(None, given)[0], expected)


@pytest.mark.parametrize("forms", [("streamed",), ("resident",), ("streamed", "resident"), ("resident", "streamed")])
def test_a_chain_of_laid_blocks_gives_the_whole_graph_s_answer_to_the_last_bit(case, whole, forms):
    chosen = [forms[k % len(forms)] for k in range(len(case.blocks))]
    runner = case.runner(case.plan(chosen, batch=3, micro=2))
    try:
        for seed, count in [(4, 3), (5, 1), (6, 2), (7, 8)]:
            given = feeds(case.bundle, count, seed)
            np.testing.assert_array_equal(runner.run(given)["y"], whole(given))
    finally:
        runner.close()


def test_two_runners_of_one_bundle_do_not_disturb_each_other(case, whole):
    runners = [case.runner(case.plan(["streamed"] * len(case.blocks))) for _ in range(2)]
    try:
        for seed in (1, 2):
            given = feeds(case.bundle, 1, seed)
            for runner in runners:
                np.testing.assert_array_equal(runner.run(given)["y"], whole(given))
    finally:
        for runner in runners:
            runner.close()


def test_a_closed_runner_leaves_no_mapping_and_no_descriptor(case):
    def held():
        maps = laying._MAPS.read_text()
        return maps.count("edgeline-arena") + maps.count(str(case.folder)), len(list(Path("/proc/self/fd").iterdir()))

    before = held()
    runner = case.runner(case.plan((["streamed", "resident"] * len(case.blocks))[: len(case.blocks)]))
    runner.run(feeds(case.bundle))
    runner.close()
    del runner
    assert held() == before


def damage_of(case, block, at, folder):
    """A copy of the case with one bit of a block's file flipped."""
    folder.mkdir()
    for path in case.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    data = bytearray((folder / block.weights.file).read_bytes())
    data[at] ^= 1
    (folder / block.weights.file).write_bytes(data)
    return dataclasses.replace(case, folder=folder)


@pytest.mark.parametrize("form", ["streamed", "resident"])
def test_a_damaged_byte_is_found_before_an_answer(case, tmp_path, form):
    block = case.blocks[-1]
    ends = {100} | ({block.rest.offset} if block.rest is not None else set())
    for at in ends:
        damaged = damage_of(case, block, at, tmp_path / str(at))

        def answer(damaged=damaged):
            with contextlib.closing(damaged.runner(damaged.plan([form] * len(case.blocks)))) as runner:
                runner.run(feeds(case.bundle))

        with pytest.raises(EngineError, match=rf"{block.weights.file} is damaged"):
            answer()


def test_weights_that_are_not_mapped_from_their_file_are_told(case, monkeypatch):
    monkeypatch.setattr(laying, "_mapped", lambda _path: [])
    block = case.blocks[0]
    with pytest.raises(ModelError, match=r"does not map the weights of cut-00\.onnx from their file"):
        laid_session(case.folder / block.graph, case.folder / block.weights.file, block.pages, 1)


def test_what_was_mapped_before_is_not_taken_for_the_session_s():
    found = list(laying._without([(100, 200, 0), (300, 400, 50)], [(120, 150, 20), (300, 400, 50)]))
    assert found == [(100, 120, 0), (150, 200, 50)]


def test_pages_that_are_mapped_twice_count_once():
    size = 32 << 20
    arena, other = Arena(size, shared=True), None
    before = memory().resident
    arena.view(0, "uint8", (size,))[:] = 1
    once = memory().resident - before
    other = laying.mmap.mmap(arena.descriptor, size)
    other[:] = b"\2" * size
    twice = memory().resident - before
    assert abs(once - size) < size // 8
    assert abs(twice - size) < size // 8 + (1 << 20)
    other.close()
