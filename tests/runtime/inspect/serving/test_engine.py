"""An engine with lanes: calls at a time, closing under them, threads kept on cores, room for interruptions."""

from __future__ import annotations

import dataclasses
import os
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from runner_cases import counting, lowered
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_runtime import Engine, open_bundle
from edge_runtime import engine as engine_module
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import EngineError
from edge_runtime.opening import limited
from edge_runtime.opening.choice import OpenedBundle
from edge_runtime.ort.affinity import staying_on
from edge_runtime.ort.lanes import cores_of_lane, laned
from edge_runtime.ort.runner import AtOnce
from edge_runtime.ort.session import SessionOptions
from edge_runtime.plan.plan import unlimited_plan


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


class Meeting(AtOnce):
    """A runner whose runs wait for each other, so many at a time; keeps the most that were inside."""

    def __init__(self, real: Any, parties: int) -> None:
        self._real, self._inside, self.most = real, 0, 0
        self.providers: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(parties, timeout=PATIENCE)

    def run(self, feeds: Any) -> Any:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self._barrier.wait()
        found = self._real.run(feeds)
        with self._lock:
            self._inside -= 1
        return found

    def close(self) -> None:
        self._real.close()


def meeting(bundle: Any, lanes: int, parties: int) -> tuple[Engine, Meeting]:
    engine = open_bundle(bundle, session=SessionOptions("cpu", 1, lanes))
    assert engine._runner is not None
    engine._runner = session = Meeting(engine._runner, parties)
    return engine, session


def ask_all(engine: Engine, count: int) -> list[Any]:
    """Ask from so many threads at once, each its own question."""
    found: list[Any] = [None] * count

    def ask(number: int) -> None:
        try:
            found[number] = engine.infer({"images": samples(1, seed=number)})["logits"]
        except EngineError as error:
            found[number] = error

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return found


def test_as_many_calls_as_lanes_are_under_way_each_with_its_own_answer(bundle):
    with open_bundle(bundle, device="cpu", threads=1) as alone:
        expected = [alone.infer({"images": samples(1, seed=number)})["logits"] for number in range(8)]
    engine, session = meeting(bundle, lanes=2, parties=2)
    with engine:
        assert engine.lanes == 2
        for found, right in zip(ask_all(engine, 8), expected, strict=True):
            np.testing.assert_array_equal(found, right)
    assert session.most == 2


def test_images_go_through_lanes_at_a_time_too(bundle):
    engine, session = meeting(bundle, lanes=2, parties=2)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)]
    found: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda number=number: found.update({number: engine.run([pictures[number]])}))
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    engine.close()
    assert session.most == 2
    with open_bundle(bundle, device="cpu", threads=1) as alone:
        for number, picture in enumerate(pictures):
            assert found[number][0].predictions == alone.run([picture])[0].predictions


def test_one_lane_is_one_call_at_a_time(bundle):
    engine, session = meeting(bundle, lanes=1, parties=1)
    with engine:
        ask_all(engine, 4)
    assert session.most == 1


def test_closing_waits_for_calls_under_way_and_turns_the_others_away(bundle):
    engine = open_bundle(bundle, session=SessionOptions("cpu", 1, 2))
    assert engine._runner is not None
    real, begun, gate = engine._runner, threading.Semaphore(0), threading.Event()

    def run(feeds: Any) -> Any:
        begun.release()
        assert gate.wait(PATIENCE)
        return real.run(feeds)

    stopping = threading.Event()
    engine._runner = SimpleNamespace(run=run, stop=stopping.set)  # type: ignore[assignment]
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.extend(ask_all(engine, 2)))
    asking.start()
    assert begun.acquire(timeout=PATIENCE)
    assert begun.acquire(timeout=PATIENCE)
    closing = threading.Thread(target=engine.close)
    closing.start()
    assert stopping.wait(PATIENCE)
    with pytest.raises(EngineError, match="closed"):
        engine.infer({"images": samples(1)})
    assert closing.is_alive()
    gate.set()
    closing.join(PATIENCE)
    asking.join(PATIENCE)
    assert [array.shape for array in found] == [(1, 5)] * 2


def test_a_limited_engine_has_one_lane(bundle):
    plan = dataclasses.replace(unlimited_plan(1, 0), limit_bytes=1 << 30)
    runner = SimpleNamespace(providers=(), stop=lambda: None, close=lambda: None)
    assert Engine(OpenedBundle(read_bundle(bundle), runner, plan), None, lanes=4).lanes == 1  # type: ignore[arg-type]


needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")


@needs_affinity
def test_a_thread_stays_on_its_cores_and_comes_back():
    before = os.sched_getaffinity(0)
    one = min(before)
    with staying_on([one, 4095]):  # which is not there
        assert os.sched_getaffinity(0) == {one}
        inherited = []
        thread = threading.Thread(target=lambda: inherited.append(os.sched_getaffinity(0)))
        thread.start()
        thread.join(PATIENCE)
        assert inherited == [{one}]
    assert os.sched_getaffinity(0) == before
    for nothing in ((), [4095], sorted(before)):
        with staying_on(nothing):
            assert os.sched_getaffinity(0) == before


@needs_affinity
def test_the_session_is_made_and_run_on_the_cores_that_were_chosen(bundle, monkeypatch):
    one = min(os.sched_getaffinity(0))
    seen = []
    real = engine_module.open_runner
    monkeypatch.setattr(
        engine_module, "open_runner", lambda *args: (seen.append(os.sched_getaffinity(0)), real(*args))[1]
    )
    before = os.sched_getaffinity(0)
    with open_bundle(bundle, session=SessionOptions("cpu", 1, cores=(one,))) as engine:
        assert engine.cores == (one,)
        session = engine._runner
        run = session.run
        session.run = lambda feeds: (seen.append(os.sched_getaffinity(0)), run(feeds))[1]
        engine.infer({"images": samples(1)})
    assert seen == [{one}, {one}]
    assert os.sched_getaffinity(0) == before


def measured(case):
    return SimpleNamespace(content=SimpleNamespace(measurements=case.measurements))


def test_what_an_interruption_takes_is_the_largest_boundary_of_the_whole_batch(bundle, tmp_path):
    case = lowered(read_bundle(bundle), tmp_path)
    found = [limited._spill_bytes(case.bundle, measured(case), batch) for batch in (1, 3)]
    assert found[1] == 3 * found[0] > 0
    runner = case.runner(case.plan(("streamed",) * 3, batch=3), preempt=True)
    assert runner._spill._room.size == found[1]
    runner.close()


def test_where_a_size_is_not_known_nothing_is_kept_for_interruptions(tmp_path):
    (tmp_path / "prepared").mkdir()
    case = lowered(counting(tmp_path), tmp_path / "prepared")
    assert limited._spill_bytes(case.bundle, measured(case), 1) == 0


class Named(AtOnce):
    """A runner that says who ran."""

    def __init__(self, name: str) -> None:
        self.name, self.closed = name, False
        self.providers: tuple[str, ...] = ()

    def run(self, feeds: Any) -> Any:
        return {self.name: np.array(sorted(os.sched_getaffinity(0)))}

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("threads", "made"), [(1, []), (2, ["b", "c"])])
def test_lanes_of_one_thread_share_a_session_and_others_have_their_own(threads, made):
    names = iter("bcdef")
    others: list[Named] = []

    def another() -> Any:
        others.append(Named(next(names)))
        return others[-1]

    first = Named("a")
    session = laned(first, another, SessionOptions("cpu", threads, lanes=3))
    assert [other.name for other in others] == made
    ran = {name for _ in range(3) for name in session.run({})}
    assert ran == {"a", *made}
    session.close()
    assert first.closed
    assert all(other.closed for other in others)


def test_each_lane_has_its_share_of_the_cores():
    options = SessionOptions("cpu", 2, lanes=2, cores=(4, 5, 6, 7))
    assert [cores_of_lane(options, 2, lane) for lane in range(2)] == [(4, 5), (6, 7)]
    assert cores_of_lane(options, 3, 1) == (4, 5, 6, 7)  # there are not so many
    assert cores_of_lane(SessionOptions("cpu", 2, cores=(4, 5, 6)), 2, 0) == (4, 5, 6)


def test_lanes_with_threads_of_their_own_give_the_answers_of_one(bundle):
    with open_bundle(bundle, device="cpu", threads=1) as alone:
        expected = [alone.infer({"images": samples(1, seed=number)})["logits"] for number in range(6)]
    with open_bundle(bundle, session=SessionOptions("cpu", 2, 2)) as engine:
        for found, right in zip(ask_all(engine, 6), expected, strict=True):
            np.testing.assert_allclose(found, right, atol=1e-5)


def test_a_lane_that_cannot_be_opened_leaves_none_open():
    first = Named("a")

    def another() -> Any:
        raise EngineError("no memory")

    with pytest.raises(EngineError, match="no memory"):
        laned(first, another, SessionOptions("cpu", 2, lanes=2))
    assert first.closed
