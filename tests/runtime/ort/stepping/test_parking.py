from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_models

from edge_devices.profile import ProviderChoice
from edge_runtime.errors import EngineError
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.session import SessionOptions, SessionRunner
from edge_runtime.ort.stepping.parking import Parking


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "net.onnx"
    path.write_bytes(tiny_models.convnet(size=32).SerializeToString())
    return path


def images(count: int = 1) -> dict[str, np.ndarray]:
    return {"images": np.random.default_rng(3).standard_normal((count, 3, 32, 32)).astype(np.float32)}


def opened(graph: Path, threads: int, spinning: bool = False) -> tuple[SessionRunner, Parking]:
    runner = SessionRunner(graph, SessionOptions("cpu", threads, spinning=spinning), provider=ProviderChoice(CPU))
    parking = runner.parking()
    assert parking is not None
    return runner, parking


@pytest.mark.parametrize("spinning", [False, True])
def test_answers_are_the_same_while_a_thread_rests_and_when_it_is_back(graph: Path, spinning: bool) -> None:
    runner, parking = opened(graph, 2, spinning)
    expected = runner.run(images())["logits"]
    for _ in range(20):
        found = parking.rest_one(images())
        assert found is not None
        assert np.array_equal(found["logits"], expected)
        assert parking.resting == 1
        assert np.array_equal(runner.run(images())["logits"], expected)
        parking.call_back()
        assert parking.resting == 0
        assert np.array_equal(runner.run(images())["logits"], expected)
    parking.close()
    runner.close()


def test_all_threads_but_one_can_rest(graph: Path) -> None:
    runner, parking = opened(graph, 4)
    expected = runner.run(images(2))["logits"]
    for _ in range(3):
        parking.rest_one(images(2), patience_s=0.2)
        assert np.array_equal(runner.run(images(2))["logits"], expected)
    assert parking.resting == 3
    parking.close()
    runner.close()


def test_closing_waits_for_a_thread_that_rests(graph: Path) -> None:
    for _ in range(30):  # a session that were dropped too soon would wait for Python, and Python for it
        runner, parking = opened(graph, 2)
        parking.rest_one(images())
        parking.close()
        runner.close()


def test_closing_twice_and_with_nobody_at_rest_does_nothing(graph: Path) -> None:
    runner, parking = opened(graph, 2)
    parking.close()
    parking.close()
    runner.close()


def test_a_run_that_fails_leaves_no_thread_at_rest(graph: Path) -> None:
    runner, parking = opened(graph, 2)
    wrong = {"images": np.zeros((1, 5, 32, 32), np.float32)}
    with pytest.raises(EngineError, match="onnxruntime failed"):
        parking.rest_one(wrong)
    assert parking.resting == 0
    with pytest.raises(EngineError, match="onnxruntime failed"):
        parking.rest_one({"pictures": images()["images"]})
    assert parking.rest_one(images()) is not None
    assert parking.resting == 1
    parking.close()
    runner.close()
