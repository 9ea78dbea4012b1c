"""The Batcher: right answers to the right futures, whatever the shapes, the company and the end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_runtime import Batcher, open_bundle
from edge_runtime.batching.gathering import Gatherer
from edge_runtime.errors import DataError, EngineError, UsageError


class Recording:
    """A function of a batch that doubles it, keeps the shapes it got, and may be held up."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.reached, self.open = threading.Event(), threading.Event()
        self.open.set()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.shapes.append(batch.shape)
        self.reached.set()
        self.open.wait(PATIENCE)
        return 2 * batch


def held_up(**options: Any) -> tuple[Recording, Batcher]:
    """A batcher whose lane is busy with a first example; what is submitted next is gathered."""
    call = Recording()
    call.open.clear()
    batcher = Batcher(call, timeout_ms=0, **options)
    batcher.submit(np.zeros(1, np.float32))
    assert call.reached.wait(PATIENCE)
    return call, batcher


def test_what_comes_while_a_batch_runs_goes_together_in_the_next() -> None:
    call, batcher = held_up(max_batch_size=3)
    futures = [batcher.submit(np.full(1, i, np.float32)) for i in range(5)]
    call.open.set()
    assert [float(future.result(PATIENCE)[0]) for future in futures] == [0, 2, 4, 6, 8]
    assert call.shapes == [(1, 1), (3, 1), (2, 1)]
    batcher.close()


def test_each_shape_and_type_is_a_bucket_of_its_own() -> None:
    call, batcher = held_up()
    shapes = [(2,), (3,), (2,), (2, 2)]
    futures = [batcher.submit(np.ones(shape, np.float32)) for shape in shapes]
    futures.append(batcher.submit(np.ones(2, np.float64)))
    call.open.set()
    assert [future.result(PATIENCE).shape for future in futures] == [*shapes, (2,)]
    assert call.shapes[1:] == [(2, 2), (1, 3), (1, 2, 2), (1, 2)]
    batcher.close()


def test_examples_are_padded_to_the_shape_and_answers_cut_back() -> None:
    seen = []

    def call(batch: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(batch.copy())
        return {"same": batch + 1, "sum": batch.sum(axis=(1, 2)), "wider": np.zeros((len(batch), 4, 9))}

    with Batcher(call, timeout_ms=0, shape=(4, None)) as batcher:
        answer = batcher.infer(np.ones((3, 5), np.float32))
    assert seen[0].shape == (1, 4, 5)
    assert seen[0][0, 3].tolist() == [0] * 5
    assert answer["same"].shape == (3, 5)
    assert answer["sum"] == 15
    assert answer["wider"].shape == (3, 9)


def test_padded_examples_share_a_bucket() -> None:
    call, batcher = held_up(shape=(4,))
    futures = [batcher.submit(np.arange(size, dtype=np.float32)) for size in (1, 4, 2)]
    call.open.set()
    assert [future.result(PATIENCE).tolist() for future in futures] == [[0], [0, 2, 4, 6], [0, 2]]
    assert call.shapes[1:] == [(3, 4)]
    with pytest.raises(DataError, match=r"at most \[4\], found \[5\]"):
        batcher.submit(np.zeros(5, np.float32))
    batcher.close()


def test_an_error_goes_to_the_example_whose_it_is() -> None:
    gate = threading.Event()

    def call(batch: np.ndarray) -> np.ndarray:
        gate.wait(PATIENCE)
        if (batch < 0).any():
            raise ValueError("negative")
        return batch

    with Batcher(call, timeout_ms=0) as batcher:
        futures = [batcher.submit(np.full(1, value)) for value in (0, 1, -1, 2)]
        gate.set()
        found = [future.exception(PATIENCE) or int(future.result()[0]) for future in futures]
    assert found[:2] == [0, 1]
    assert isinstance(found[2], ValueError)
    assert found[3] == 2


def test_a_function_that_answers_for_another_number_is_told() -> None:
    with Batcher(lambda batch: batch[:0], timeout_ms=0) as batcher, pytest.raises(EngineError, match="0 answers"):
        batcher.infer(np.zeros(3))
    with Batcher(lambda batch: None, timeout_ms=0) as batcher, pytest.raises(EngineError, match="first axis"):
        batcher.infer(np.zeros(3))


def test_close_finishes_what_was_submitted_and_then_refuses() -> None:
    call = Recording()
    batcher = Batcher(call, max_batch_size=100, timeout_ms=1e9)
    futures = [batcher.submit(np.zeros(1)) for _ in range(7)]
    batcher.close()
    batcher.close()
    assert all(future.done() for future in futures)
    assert call.shapes == [(7, 1)]
    with pytest.raises(EngineError, match="closed"):
        batcher.submit(np.zeros(1))


def test_what_was_cancelled_does_not_run() -> None:
    call, batcher = held_up()
    first, second = (batcher.submit(np.zeros(2, np.float32)) for _ in range(2))
    assert first.cancel()
    call.open.set()
    assert second.result(PATIENCE).shape == (2,)
    assert call.shapes[1:] == [(1, 2)]
    batcher.close()


def test_lanes_run_batches_at_a_time() -> None:
    together = threading.Barrier(2, timeout=PATIENCE)

    def call(batch: np.ndarray) -> np.ndarray:
        together.wait()
        return batch

    with Batcher(call, max_batch_size=1, timeout_ms=0, lanes=2) as batcher:
        futures = [batcher.submit(np.zeros(1)) for _ in range(2)]
        assert all(future.result(PATIENCE) is not None for future in futures)


def test_asyncio_waits_for_a_wrapped_future() -> None:
    async def ask(batcher: Batcher) -> list[float]:
        futures = [asyncio.wrap_future(batcher.submit(np.full(1, i))) for i in range(3)]
        return [float(answer[0]) for answer in await asyncio.gather(*futures)]

    with Batcher(Recording(), timeout_ms=0) as batcher:
        assert asyncio.run(ask(batcher)) == [0, 2, 4]


@pytest.mark.parametrize("options", [{"max_batch_size": 0}, {"timeout_ms": -1}, {"lanes": 0}, {"timeout_ms": np.inf}])
def test_an_option_that_cannot_be_used_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected max_batch_size"):
        Batcher(lambda batch: batch, **options)
    with pytest.raises(UsageError, match="an engine or a function"):
        Batcher("model.onnx")  # type: ignore[arg-type]


def test_an_engine_judges_images_of_any_sizes_and_tensors(tmp_path_factory: pytest.TempPathFactory) -> None:
    bundle = make_bundle(tmp_path_factory.mktemp("bundle"))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (height, 30, 3), dtype=np.uint8) for height in (20, 31, 40)]
    with open_bundle(bundle, device="cpu", threads=1) as engine, Batcher(engine, 3, timeout_ms=1e6) as batcher:
        expected = engine.run(images)
        futures = [batcher.submit(image) for image in images]
        assert [future.result(PATIENCE).verdict for future in futures] == [result.verdict for result in expected]
        tensors = samples(3)
        outputs = [batcher.submit({"images": tensor}) for tensor in tensors]
        together = engine.infer({"images": tensors})["logits"]
        for future, row in zip(outputs, together, strict=True):
            np.testing.assert_allclose(future.result(PATIENCE)["logits"], row, atol=1e-5)
        with pytest.raises(DataError, match="one image"):
            batcher.submit(np.stack(images[:1]))
        bad = batcher.submit(np.zeros((4, 4, 4), np.uint8))
        batcher.close()
        assert isinstance(bad.exception(PATIENCE), DataError)
        with Batcher(engine, shape=(64, 64, 3)) as padding, pytest.raises(DataError, match="without shape"):
            padding.submit(images[0])


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from("ab")), max_size=30), st.integers(1, 4), st.floats(0, 2))
def test_nobody_waits_longer_than_is_allowed_and_nobody_is_lost(
    gaps: list[tuple[float, str]], size: int, patience: float
) -> None:
    gatherer: Gatherer[tuple[float, str]] = Gatherer(size, patience)
    now, taken, arrived = 0.0, [], []

    def run_due(until: float) -> None:
        while (due := gatherer.next_due()) is not None and due <= until:
            batch = gatherer.take(due)
            assert 1 <= len(batch) <= size
            assert len({bucket for _, bucket in batch}) == 1
            assert batch[0][0] + patience >= due - 1e-9
            taken.extend(batch)

    for gap, bucket in gaps:
        run_due(now + gap)
        now += gap
        arrived.append((now, bucket))
        gatherer.add(bucket, (now, bucket), now)
        while batch := gatherer.take(now):
            taken.extend(batch)
    run_due(float("inf"))
    assert len(gatherer) == 0
    assert sorted(taken) == sorted(arrived)


@pytest.mark.parametrize("shape", ["big", (0, 4), (-1, 4), (2.5, 4)])
def test_a_shape_that_is_none_is_refused_at_once(shape: Any) -> None:
    with pytest.raises(UsageError, match="positive integers or None"):
        Batcher(lambda batch: batch, shape=shape)
