"""A run that is put aside between two blocks, and one that goes first: both answer as if they had been alone."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runner_cases import counting, lowered, two_inputs
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_runtime.blocks import spill as spill_module
from edge_runtime.blocks.arena import Arena
from edge_runtime.blocks.loader import Load, Loader
from edge_runtime.blocks.spill import Spill, spill_bytes
from edge_runtime.blocks.storage import FileStorage
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.manifest import Block
from edge_runtime.engine import Engine
from edge_runtime.errors import EngineError
from edge_runtime.opening.choice import OpenedBundle
from edge_runtime.vision.settings import Settings

FORMS = ("resident", "streamed", "reloaded")
MIXED = ("streamed", "reloaded", "streamed")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    bundle = read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))
    return lowered(bundle, tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return lowered(two_inputs(tmp_path_factory.mktemp("bundle")), tmp_path_factory.mktemp("prepared"))


def answers(runner, feeds):
    return {name: array.copy() for name, array in runner.run(feeds).items()}


def interrupted(runner, feeds, urgent_feeds, at):
    """Run `feeds` with other runs put in front at these questions (counted from 0); the answers of all."""
    questions, found = itertools.count(), []

    def urgent():
        if next(questions) not in at:
            return None
        return lambda: found.append(answers(runner, urgent_feeds))

    with runner.interruptible(urgent):
        return answers(runner, feeds), found, next(questions)


def assert_identical(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@settings(max_examples=20)
@given(
    st.tuples(*[st.sampled_from(FORMS)] * 3),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sets(st.integers(0, 5), min_size=1),
)
def test_both_runs_answer_bit_for_bit_as_if_alone(network, forms, batch, count, urgent_count, at):
    runner = network.runner(network.plan(forms, batch), preempt=True)
    try:
        feeds, others = {"images": samples(count, seed=1)}, {"images": samples(urgent_count, seed=2)}
        expected, expected_urgent = answers(runner, feeds), answers(runner, others)
        found, urgent, questions = interrupted(runner, feeds, others, at)
        assert_identical(found, expected)
        for other in urgent:
            assert_identical(other, expected_urgent)
        assert questions == 2 * -(-count // batch)  # between three blocks, of each part of the batch
        assert len(urgent) == len([k for k in at if k < questions])
        assert_identical(answers(runner, feeds), expected)  # and the next run too
    finally:
        runner.close()


@pytest.mark.parametrize("form", FORMS)
def test_inputs_that_a_later_block_reads_survive_the_interruption(pair, form):
    rng = np.random.default_rng(0)
    feeds, others = (
        {name: rng.standard_normal((3, size)).astype(np.float32) for name, size in (("a", 48), ("b", 64))}
        for _ in range(2)
    )
    runner = pair.runner(pair.plan((form, form), 3), preempt=True)
    expected = answers(runner, feeds)
    found, urgent, _ = interrupted(runner, feeds, others, {0})
    assert_identical(found, expected)
    assert_identical(urgent[0], answers(runner, others))
    runner.close()


def test_memory_is_reserved_once_and_does_not_grow(network, monkeypatch):
    sizes = []

    class Counted(Arena):
        def __init__(self, size):
            sizes.append(size)
            super().__init__(size)

    monkeypatch.setattr(spill_module, "Arena", Counted)
    plan = network.plan(MIXED, batch=4)
    runner = network.runner(plan, preempt=True)
    feeds = {"images": samples(4)}
    for _ in range(3):
        interrupted(runner, feeds, feeds, {0, 1})
    runner.close()
    assert len(sizes) == 1
    assert 0 < sizes[0] <= sum(value.place.size for value in plan.values)
    network.runner(plan).close()
    assert len(sizes) == 1  # nothing is reserved where nobody asked for it


def test_a_runner_that_was_not_made_for_it_says_so(network, tmp_path_factory):
    runner = network.runner(network.plan(MIXED))
    assert not runner.preemptible
    with pytest.raises(EngineError, match="preempt=True"), runner.interruptible(lambda: None):
        pass
    runner.close()
    counted = lowered(counting(tmp_path_factory.mktemp("bundle")), tmp_path_factory.mktemp("prepared"))
    of_unknown_size = counted.runner(counted.plan(("streamed", "reloaded", "resident")), preempt=True)
    assert not of_unknown_size.preemptible
    of_unknown_size.close()


def test_what_is_urgent_is_not_interrupted_itself(network):
    runner = network.runner(network.plan(MIXED), preempt=True)
    feeds, depth, deepest = {"images": samples(1)}, [], []

    def urgent():
        def call():
            depth.append(1)
            deepest.append(len(depth))
            runner.run(feeds)
            depth.pop()

        return call

    with runner.interruptible(urgent):
        runner.run(feeds)
    assert deepest == [1, 1]
    runner.close()


def test_an_error_in_what_is_urgent_ends_both_and_the_next_run_is_right(network):
    runner = network.runner(network.plan(MIXED), preempt=True)
    feeds = {"images": samples(1)}
    expected = answers(runner, feeds)

    def urgent():
        def call():
            runner.run({"images": samples(2)[:0]})

        return call

    with pytest.raises(EngineError, match="found 0"), runner.interruptible(urgent):
        runner.run(feeds)
    assert_identical(answers(runner, feeds), expected)
    runner.close()


def test_a_load_that_fails_in_the_urgent_run_does_not_reach_the_one_that_was_put_aside(network):
    class Broken(FileStorage):
        fail = False

        def read(self, weights, into):
            if self.fail:
                raise EngineError("cannot read: Input/output error")
            super().read(weights, into)

    storage = Broken(network.folder)
    runner = network.runner(network.plan(("streamed",) * 3), storage=storage, preempt=True)
    feeds, failures = {"images": samples(1)}, []
    expected = answers(runner, feeds)
    asked = itertools.count()

    def urgent():
        def call():
            storage.fail = True
            try:
                runner.run(feeds)
            except EngineError as error:
                failures.append(str(error))
            storage.fail = False

        return call if next(asked) == 0 else None

    with runner.interruptible(urgent):
        assert_identical(answers(runner, feeds), expected)
    assert len(failures) == 1
    runner.close()


def test_closing_during_the_urgent_run_ends_both(network):
    runner = network.runner(network.plan(MIXED), preempt=True)

    def urgent():
        return runner.stop

    with pytest.raises(EngineError, match="closed"), runner.interruptible(urgent):
        runner.run({"images": samples(1)})
    runner.close()


BLOCKS = (Block("a", ("x",), ("p", "q"), 1, 0, 0, ""), Block("b", ("p",), ("r",), 1, 0, 0, ""))
BLOCKS += (Block("c", ("r", "x"), ("y",), 1, 0, 0, ""),)


def test_a_spill_has_room_for_the_largest_boundary():
    sizes = {"x": 10, "p": 5, "q": 3, "r": 100, "y": 1000}
    assert spill_bytes(BLOCKS, ["x"], ["y", "q"], sizes) == 113
    assert spill_bytes(BLOCKS[:1], ["x"], ["p"], sizes) == 0


def test_arrays_of_all_kinds_come_back_from_a_spill():
    arrays = [
        np.arange(6, dtype=np.float64).reshape(2, 3),
        np.array(True),
        np.zeros((0, 4)),
        np.arange(3, dtype=np.int8),
    ]
    kept = [array.copy() for array in arrays]
    spill = Spill(sum(array.nbytes for array in arrays))
    spill.save(arrays)
    for array in arrays:
        array[...] = 0
    spill.restore(arrays)
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_a_run_that_begins_in_the_middle_loads_nothing_that_comes_before():
    made = []
    wanted = threading.Semaphore(0)

    def load(block):
        def make():
            made.append(block)
            wanted.release()

        return Load(block, 0 if block < 2 else block, make)

    loader = Loader([load(0), load(1), load(3)], 6)
    for step, block in ((1, 0), (2, 1)):
        loader.reach(step)
        loader.wait_for(block)
    loader.next_run(start=3)
    loader.reach(4)
    loader.wait_for(3)
    assert [block for block in made if block == 3] == [3]
    before = made.count(0)
    loader.next_run()
    loader.wait_for(0)
    assert made.count(0) == before + 1
    loader.close()


def test_an_engine_runs_urgent_images_between_the_blocks_of_others(network):
    plan = network.plan(MIXED, batch=2)
    runner = network.runner(plan, preempt=True)
    engine = Engine(OpenedBundle(network.bundle, runner, plan), Settings.of(network.bundle.manifest), lanes=4)
    assert (engine.lanes, engine.preemptible) == (1, True)
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(3)]
    expected = engine.run(pictures[:2]), engine.run(pictures[2:])
    found, asked = [], itertools.count()

    def urgent():
        return (lambda run: found.append(run(pictures[2:]))) if next(asked) == 1 else None

    results = engine.run(pictures[:2], urgent)
    assert [result.predictions for result in results] == [result.predictions for result in expected[0]]
    assert [result.predictions for result in found[0]] == [result.predictions for result in expected[1]]
    engine.close()
