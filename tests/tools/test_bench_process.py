"""A measured process: what it answers, and what its end means."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bench_fakes import SMALLEST, install_fakes, order
from patience import PATIENCE

from edge_runtime.errors import EngineError, MemoryLimitError
from edge_tools.bench.order import Order
from edge_tools.bench.process import KilledError, Worker, start_worker
from edge_tools.bench.signals import ending_cleanly
from edge_tools.bench.subjects import OPENERS, Subject
from edge_tools.bench.worker import serve


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install_fakes(monkeypatch, tmp_path)
    return tmp_path


def opened(made: Order, timeout: float = PATIENCE) -> Worker:
    with start_worker(made, "the engine", timeout) as worker:
        worker.open()
    return worker


def test_an_order_survives_its_command_line() -> None:
    made = Order("edgeline", "a b.edge", 'in"puts.npz', 4, 10**8, 2, (0, 3), 5, 6)
    assert Order.from_text(made.to_text()) == made


def test_a_process_tells_of_its_first_result_and_of_its_peak(folder: Path) -> None:
    outputs = folder / "outputs.npz"
    with start_worker(order(folder), "the engine", PATIENCE, weighed=True) as worker:
        worker.open()
        ran = worker.run(3)
        peak = worker.finish(outputs)
    assert worker.first["blocks"] == [1, 2, 0]
    assert worker.first["cold_start_ms"] > 0
    assert len(ran["ms"]) == 3
    assert peak >= ran["resident_bytes"] > 0
    assert peak >= worker.first["base_bytes"] > 0
    with np.load(outputs) as saved:
        assert (saved["output_output"] == 2).all()


def test_memory_that_is_not_watched_is_not_told(folder: Path) -> None:
    with start_worker(order(folder), "the engine", PATIENCE) as worker:
        worker.open()
        assert worker.finish(folder / "outputs.npz") == 0


def test_a_frozen_process_goes_on_where_it_was(folder: Path) -> None:
    with start_worker(order(folder), "the engine", PATIENCE) as worker:
        worker.open()
        worker.freeze()
        worker.thaw()
        assert len(worker.run()["ms"]) == 1
        worker.freeze()  # and one that is frozen can be ended


def test_a_refusal_names_the_smallest_limit(folder: Path) -> None:
    with pytest.raises(MemoryLimitError, match="too little") as caught:
        opened(order(folder, limit=1))
    assert caught.value.smallest_bytes == SMALLEST


def test_a_killed_process_is_told_from_one_that_failed(folder: Path) -> None:
    with pytest.raises(KilledError, match="SIGKILL"):
        opened(order(folder, "killed"))
    with pytest.raises(EngineError, match=r"the engine failed \(exit code 1\): RuntimeError: the block is damaged"):
        opened(order(folder, "fails"))


def test_a_process_that_hangs_is_reported_and_ended(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"the engine gave no answer within 0\.5 s"):
        opened(order(folder, "hangs"), timeout=0.5)


def test_what_a_native_library_prints_is_no_answer(folder: Path) -> None:
    assert opened(order(folder, "noisy")).first["blocks"] == [1, 2, 0]


def test_plain_onnxruntime_is_opened_without_edgeline(folder: Path) -> None:
    worker = opened(order(folder, engine="onnxruntime"))
    assert worker.first["libraries"] == "1.0"
    assert worker.first["blocks"] == [0, 0, 0]


def test_the_end_of_the_commands_closes_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    subject = Subject(lambda tensors: tensors, lambda: closed.append(True), 1, "1.0")
    monkeypatch.setitem(OPENERS, "fake", lambda _order: subject)  # type: ignore[arg-type]
    answers = io.StringIO()
    serve(order(tmp_path, engine="fake"), ['{"run": 2}'], answers)
    assert len(answers.getvalue().splitlines()) == 2
    assert closed == [True]


def test_a_signal_ends_the_block_once() -> None:
    undone = []

    def interrupted() -> None:
        with ending_cleanly():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGINT)  # somebody is impatient
                undone.append(True)

    with pytest.raises(SystemExit) as caught:
        interrupted()
    assert caught.value.code == 143
    assert undone == [True]


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def test_a_bundle_can_be_prepared_by_a_process_that_is_confined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[tuple[str, int]] = []

    def prepare(path: str, batch: int, threads: int | None, memory_limit: int | None) -> None:
        prepared.append((Path(path).name, batch))

    monkeypatch.setattr("edge_runtime.prepare.make.prepare", prepare)
    answers = io.StringIO()
    serve(order(tmp_path, engine="prepare"), [], answers)
    assert prepared == [("good.edge", 1)]
    assert "cold_start_ms" in answers.getvalue()
