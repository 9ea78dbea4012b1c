"""Serving with its threads: order, counts, failures, ends. Engines are held up by events, never by time."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from serving_cases import TABLE, Greedy, HeldEngine, StopWhen, picture

from edge_runtime.batching.vocabulary import Decision, Drop, Policy, State
from edge_runtime.errors import DataError, EngineError, OutputError, SourceError
from edge_runtime.inspect.fake_engine import FakeEngine, fake_ng, fake_ok
from edge_runtime.inspect.feed import Feed, unique_names
from edge_runtime.inspect.record import Record
from edge_runtime.inspect.run import run
from edge_runtime.inspect.serving import Serving, frames_held, measure_costs
from edge_runtime.inspect.sinks import FakeSink
from edge_runtime.inspect.sources import FakeSource, Frame, guard
from edge_runtime.inspect.summary import Summary
from edge_runtime.results import Result


class GatedSource(FakeSource):
    """Gives its pictures only after a gate was opened, and says when it is asked for more than it has."""

    def __init__(self, pictures: Sequence[Any], name: str, gate: threading.Event, **more: Any) -> None:
        super().__init__(pictures, name, **more)
        self._gate, self.asked = gate, threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        assert self._gate.wait(PATIENCE)
        yield from super().__iter__()
        self.asked.set()


class LostSource(FakeSource):
    """Ends like a camera that does not come back."""

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        raise SourceError(f"{self.name} was lost")


def served(
    engine: FakeEngine,
    sources: Sequence[FakeSource],
    policy: Policy | None = None,
    sinks: Sequence[FakeSink] | None = None,
    feeds: Sequence[dict[str, Any]] = (),
    summary: Summary | None = None,
    **options: Any,
) -> tuple[list[list[Record]], Summary]:
    """Serve to the end; the records of each source, and the summary."""
    summary = summary or Summary()
    sinks = sinks or [FakeSink() for _ in sources]
    more = feeds or [{}] * len(sources)
    names = unique_names([source.name for source in sources])
    max_frames = options.pop("max_frames", None)
    made = [
        Feed(source, name, [sink], max_frames=max_frames, **values)
        for source, name, sink, values in zip(sources, names, sinks, more, strict=True)
    ]
    stop = StopWhen(options.pop("stop", lambda: False))
    run(engine, made, Serving(TABLE, policy=policy or Greedy(), **options), summary, stop)
    return [sink.records for sink in sinks], summary


def test_every_source_gets_its_own_records_in_its_order() -> None:
    sources = [FakeSource([picture(i)] * count, name) for i, (name, count) in enumerate((("a", 9), ("b", 5), ("c", 1)))]
    records, summary = served(FakeEngine([fake_ok(), fake_ng()], lanes=2), sources)
    assert [[record["frame_id"] for record in several] for several in records] == [list(range(n)) for n in (9, 5, 1)]
    assert [{record["source"] for record in several} for several in records] == [{"a"}, {"b"}, {"c"}]
    assert summary.frames == 15
    assert all(source.closed for source in sources)
    assert {name: sum(figures.verdicts.values()) for name, figures in summary.sources.items()} == {
        "a": 9,
        "b": 5,
        "c": 1,
    }


def test_a_batch_that_ends_late_holds_its_source_back_and_no_other() -> None:
    engine, sink = HeldEngine(lanes=2), FakeSink()
    gate, written_of_the_other = engine.hold(1), []

    class Telling(FakeSink):
        def write(self, frame: Frame, result: Result, record: Record) -> None:
            super().write(frame, result, record)
            if len(self.records) == 3:
                written_of_the_other.append(len(sink.records))
                gate.set()

    quick = Telling()
    sources = [FakeSource([picture(1), picture(2)], "a"), FakeSource([picture(9)] * 3, "b")]
    records, _ = served(engine, sources, Greedy(most=1), [sink, quick])
    assert [record["frame_id"] for record in records[0]] == [0, 1]
    assert len(records[1]) == 3
    assert written_of_the_other == [0]  # not even its second frame, which was judged by then


def test_lanes_run_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=PATIENCE)

    class Meeting(FakeEngine):
        def run(self, images: Sequence[np.ndarray], urgent: Any = None) -> list[Result]:
            together.wait()
            return [fake_ok() for _ in images]

    records, _ = served(Meeting(lanes=2), [FakeSource([picture(0)] * 4, "a")], Greedy(most=1))
    assert len(records[0]) == 4


def test_what_cannot_be_read_is_no_read_in_its_place_and_never_reaches_the_engine() -> None:
    engine = HeldEngine()
    records, summary = served(engine, [FakeSource([picture(1), "cannot decode: x", picture(2)], "a")])
    assert [record["verdict"] for record in records[0]] == ["OK", "NO_READ", "OK"]
    assert records[0][1]["reasons"] == ["cannot decode: x"]
    assert sorted(name for names in engine.seen for name in names) == [1, 2]
    assert summary.unread == 1


def test_a_picture_that_the_engine_refuses_does_not_take_its_batch_with_it() -> None:
    class Picky(FakeEngine):
        def run(self, images: Sequence[np.ndarray], urgent: Any = None) -> list[Result]:
            if any(image[0, 0, 2] == 7 for image in images):
                raise DataError("seven")
            return super().run(images)

    records, summary = served(Picky(), [FakeSource([picture(i) for i in (6, 7, 8)], "a")])
    assert [record["verdict"] for record in records[0]] == ["OK", "NO_READ", "OK"]
    assert records[0][1]["reasons"] == ["seven"]
    assert summary.unread == 1


def drop_all_but_newest(state: State) -> tuple[Drop, ...]:
    return tuple(Drop(request, "superseded") for request in state.waiting[:-1])


def test_dropped_frames_are_counted_with_their_reason_and_have_no_record() -> None:
    class Newest(Greedy):
        def decide(self, state: State) -> Decision:
            drops = drop_all_but_newest(state)
            if len(state.running) >= state.lanes:
                return Decision(drop=drops)
            return Decision(run=state.waiting[-1:], drop=drops)

    engine = HeldEngine()
    gate = engine.hold(0)
    source = GatedSource([picture(i) for i in range(6)], "camera", threading.Event(), kind="live")
    source.dropped = 3  # by the source itself

    def open_the_gates() -> None:
        source._gate.set()
        assert source.asked.wait(PATIENCE)
        gate.set()

    threading.Thread(target=open_the_gates).start()
    records, summary = served(engine, [source], Newest(), feeds=[{"held": 9}])
    assert [record["frame_id"] for record in records[0]] == [0, 5]
    assert summary.sources["camera"].dropped == {"superseded": 4, "not taken in time": 3}
    assert "dropped  3 not taken in time, 4 superseded: not looked at" in summary.lines()


def test_no_more_frames_than_may_be_held_are_read_ahead() -> None:
    engine, taken = HeldEngine(), []
    gate = engine.hold(1)

    class Counted(FakeSource):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                taken.append(frame.frame_id)
                yield frame

    class Looking(FakeSink):
        def write(self, frame: Frame, result: Result, record: Record) -> None:
            super().write(frame, result, record)
            # What is written, what is held, and one that waits to be submitted.
            assert len(taken) <= len(self.records) + 3 + 1

    threading.Thread(target=lambda: engine.begun.acquire(timeout=PATIENCE) and gate.set()).start()
    served(engine, [Counted([picture(1)] * 20, "a")], Greedy(1), [Looking()], [{"held": 3}])
    assert taken == list(range(20))


def test_an_engine_that_fails_ends_everything_with_its_error() -> None:
    class Broken(FakeEngine):
        def run(self, images: Sequence[np.ndarray], urgent: Any = None) -> list[Result]:
            raise EngineError("out of memory")

    sources = [FakeSource([picture(0)] * 50, name) for name in "ab"]
    sinks, summary = [FakeSink(), FakeSink()], Summary()
    with pytest.raises(EngineError, match="out of memory"):
        served(Broken(), sources, sinks=sinks, summary=summary)
    assert [sink.closed for sink in sinks] == [1, 1]
    assert all(source.closed for source in sources)


def test_a_policy_that_is_at_fault_ends_everything_with_its_error() -> None:
    class Wrong(Greedy):
        def decide(self, state: State) -> Decision:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        served(FakeEngine(), [FakeSource([picture(0)], "a")], Wrong())


def test_a_lost_source_is_said_and_the_others_go_on() -> None:
    sources = [LostSource([picture(0)] * 2, "camera", "live"), FakeSource([picture(1)] * 9, "file")]
    sinks, summary = [FakeSink(), FakeSink()], Summary()
    with pytest.raises(SourceError, match="camera was lost"):
        served(FakeEngine(), sources, sinks=sinks, summary=summary)
    assert sinks[0].records[-1]["verdict"] == "NO_READ"
    assert sinks[0].records[-1]["reasons"] == ["camera was lost"]
    assert len(sinks[1].records) == 9
    assert summary.frames == 12


class HangingSource(FakeSource):
    """Comes to a frame that its driver never gives, as long as `gate` is shut."""

    def __init__(self, pictures: Sequence[Any], name: str) -> None:
        super().__init__(pictures, name, "live")
        self.hangs, self.gate = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        self.hangs.set()
        self.gate.wait(PATIENCE)


@pytest.mark.parametrize("full", [False, True])
def test_a_source_whose_reader_hangs_is_not_closed_under_it_and_that_is_said(
    full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.01)

    class Full(FakeSink):
        def write(self, frame: Frame, result: Result, record: Record) -> None:
            super().write(frame, result, record)
            if full:
                assert hanging.hangs.wait(PATIENCE)
                raise OutputError("disk full")

    hanging, good = HangingSource([picture(0)], "camera 0"), FakeSource([picture(1)], "b")
    sink, summary = Full(), Summary()
    with pytest.raises(OutputError) if full else contextlib.nullcontext():
        served(
            FakeEngine(),
            [hanging, good],
            sinks=[sink, FakeSink()],
            summary=summary,
            stop=lambda: hanging.hangs.is_set(),
        )
    assert len(sink.records) == 1
    assert (hanging.closed, good.closed, sink.closed) == (False, True, 1)
    (said,) = [line for line in summary.lines() if line.startswith("left ")]
    assert said == "left     camera 0: its reader hangs, so it was not closed under it"
    hanging.gate.set()


def test_a_sink_that_fails_ends_the_run_and_closes_the_others() -> None:
    class Full(FakeSink):
        def write(self, frame: Frame, result: Result, record: Record) -> None:
            raise OutputError("disk full")

    good = FakeSink()
    with pytest.raises(OutputError, match="disk full"):
        served(FakeEngine(), [FakeSource([picture(0)] * 99, n) for n in "ab"], sinks=[Full(), good])
    assert good.closed == 1


def test_stopping_judges_what_was_read_and_ends() -> None:
    sink = FakeSink()
    records, _ = served(
        FakeEngine(), [FakeSource([picture(0)] * 999, "a")], sinks=[sink], stop=lambda: len(sink.records) >= 2
    )
    assert 2 <= len(records[0]) < 999
    assert [record["frame_id"] for record in records[0]] == list(range(len(records[0])))


def test_each_source_ends_after_so_many_frames() -> None:
    records, _ = served(FakeEngine(), [FakeSource([picture(0)] * n, "a") for n in (9, 2)], max_frames=3)
    assert [len(several) for several in records] == [3, 2]
    assert [several[0]["source"] for several in records] == ["a", "a (2)"]


def test_records_say_the_latency_and_whether_it_was_too_late() -> None:
    seconds = iter(range(1000))
    lock = threading.Lock()

    def clock() -> float:
        with lock:
            return float(next(seconds))

    sink, summary = FakeSink(), Summary()
    feeds = [
        Feed(FakeSource([picture(0)], "a"), "a", [sink], deadline_ms=1.0),
        Feed(FakeSource([picture(0)], "b"), "b", [sink], deadline_ms=1e9),
    ]
    run(FakeEngine(), feeds, Serving(TABLE, policy=Greedy(), clock=clock), summary)
    by_source = {record["source"]: record for record in sink.records}
    assert (by_source["a"]["late"], by_source["b"]["late"]) == (True, False)
    assert by_source["a"]["latency_ms"] >= 1000.0
    assert summary.sources["a"].missed == 1
    assert "late     1 verdict came after the deadline" in summary.lines()


def test_a_plain_run_has_the_records_and_the_summary_of_a_single_source() -> None:
    records, summary = served(FakeEngine(lanes=2), [FakeSource([picture(0)] * 3, "a")], timed=False)
    assert "latency_ms" not in records[0][0]
    assert summary.sources == {}
    assert [line.split()[0] for line in summary.lines()] == ["3", "latency"]


def test_urgent_frames_go_in_front_of_a_background_batch_that_runs() -> None:
    engine = HeldEngine(preemptible=True)
    held, gate, sinks = engine.hold(1), threading.Event(), [FakeSink(), FakeSink()]

    class Urgent(Greedy):
        def decide(self, state: State) -> Decision:
            if len(state.running) < state.lanes:
                return super().decide(state)
            urgent = tuple(request for request in state.waiting if request.priority == "urgent")
            if urgent and state.running[0].preemptible:
                held.set()  # the batch comes to the end of its block
                return Decision(run=urgent[:1], preempt=True)
            return Decision()

    def begin() -> None:
        assert engine.begun.acquire(timeout=PATIENCE)
        gate.set()

    threading.Thread(target=begin).start()
    sources = [FakeSource([picture(1), picture(2)], "slow"), GatedSource([picture(5)], "fast", gate)]
    feeds = [{"priority": "background"}, {"priority": "urgent"}]
    records, summary = served(engine, sources, Urgent(1), sinks, feeds)
    assert engine.seen == [[1], [5], [2]]
    assert [len(several) for several in records] == [2, 1]
    assert summary.frames == 3


def test_a_source_without_frames_ends_at_once() -> None:
    records, summary = served(FakeEngine(), [FakeSource([], "a"), FakeSource([picture(0)], "b")])
    assert [len(several) for several in records] == [0, 1]
    assert summary.frames == 1


def test_as_many_frames_are_held_as_keep_every_lane_busy() -> None:
    assert frames_held(1, 1, 1) == 3
    assert frames_held(1, 1, 8) == 16
    assert frames_held(8, 2, 4) == 4
    assert unique_names(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]


class Timed(FakeEngine):
    """An engine whose clock moves by what a batch is said to take, seconds."""

    def __init__(self, takes: dict[int, float], lanes: int = 1) -> None:
        super().__init__(lanes=lanes)
        self.now, self._takes = 0.0, takes

    def run(self, images: Sequence[np.ndarray], urgent: Any = None) -> list[Result]:
        self.now += self._takes[len(images)]
        return super().run(images)


@pytest.mark.parametrize(
    ("takes", "sizes"),
    [
        ({1: 0.010, 2: 0.015, 4: 0.022, 6: 0.03}, [1, 2, 4, 6]),
        ({1: 0.010, 2: 0.020}, [1, 2]),  # nothing is gained: no larger one is tried
        ({1: 3.0, 2: 4.0}, [1]),  # the time is over
    ],
)
def test_costs_are_measured_as_long_as_larger_batches_bring_something(
    takes: dict[int, float], sizes: list[int]
) -> None:
    engine = Timed(takes)
    table = measure_costs(engine, picture(0), 6, clock=lambda: engine.now)
    assert [cost.batch for cost in table.costs] == sizes
    assert [cost.ms for cost in table.costs] == pytest.approx([takes[size] * 1000 for size in sizes])


def test_costs_of_several_lanes_are_measured_together() -> None:
    together = threading.Barrier(2, timeout=PATIENCE)

    class Meeting(FakeEngine):
        alone = 1 + 3  # the first run, and three that are timed

        def run(self, images: Sequence[np.ndarray], urgent: Any = None) -> list[Result]:
            self.alone -= 1
            if self.alone < 0:
                together.wait()
            return super().run(images)

    table = measure_costs(Meeting(lanes=2), picture(0), 1)
    assert [(cost.batch, cost.lanes) for cost in table.costs] == [(1, 1), (1, 2)]
    assert all(0 < cost.ms < math.inf for cost in table.costs)
