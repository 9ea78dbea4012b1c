"""The loop: batches, bad frames, limits, stopping, closing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from serving_cases import StopWhen

from edge_runtime.errors import DataError, OutputError, SourceError
from edge_runtime.inspect.fake_engine import FakeEngine, fake_ng, fake_ok
from edge_runtime.inspect.feed import Feed
from edge_runtime.inspect.in_turn import InTurn
from edge_runtime.inspect.record import Record
from edge_runtime.inspect.run import run
from edge_runtime.inspect.sinks import FakeSink
from edge_runtime.inspect.sources import FakeSource, Frame
from edge_runtime.inspect.summary import Summary
from edge_runtime.results import Result


def judged(
    engine: FakeEngine,
    source: FakeSource,
    sinks: Sequence[FakeSink],
    summary: Summary,
    driver: InTurn | None = None,
    max_frames: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    **more: Any,
) -> None:
    """Run one source in turn."""
    feed = Feed(source, source.name, sinks, max_frames=max_frames)
    run(engine, [feed], driver or InTurn(), summary, StopWhen(stop), **more)


PICTURE = np.zeros((8, 8, 3), np.uint8)


class PickyEngine(FakeEngine):
    """Refuses every picture that is not black."""

    def run(self, images: Sequence[np.ndarray]) -> list[Result]:
        if any(image.any() for image in images):
            raise DataError("not black")
        return super().run(images)


class LostSource(FakeSource):
    """Ends like a camera that does not come back."""

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        raise SourceError("lost")


class FullSink(FakeSink):
    """Has room for one record."""

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        if self.records:
            raise OutputError("disk full")
        super().write(frame, result, record)


def test_every_frame_gives_one_record_in_order() -> None:
    engine, source, sink, summary = FakeEngine([fake_ok(), fake_ng()]), FakeSource([PICTURE] * 4), FakeSink(), Summary()
    judged(engine, source, [sink], summary)
    assert [record["verdict"] for record in sink.records] == ["OK", "NG", "OK", "NG"]
    assert [record["frame_id"] for record in sink.records] == [0, 1, 2, 3]
    assert summary.verdicts == {"OK": 2, "NG": 2}
    assert source.closed
    assert sink.closed == 1


def test_a_frame_that_cannot_be_read_is_no_read_and_never_reaches_the_model() -> None:
    engine, sink, summary = FakeEngine(), FakeSink(), Summary()
    judged(engine, FakeSource([PICTURE, "cannot decode: b.jpg", PICTURE]), [sink], summary, InTurn(batch=3))
    assert [record["verdict"] for record in sink.records] == ["OK", "NO_READ", "OK"]
    assert sink.records[1]["reasons"] == ["cannot decode: b.jpg"]
    assert sink.records[1]["predictions"] == []
    assert engine.batches == [2]
    assert summary.unread == 1


def test_a_batch_without_any_image_does_not_call_the_engine() -> None:
    engine = FakeEngine()
    judged(engine, FakeSource(["a", "b"]), [], Summary(), InTurn(batch=2))
    assert engine.batches == []


def test_files_are_judged_in_batches_and_live_frames_at_once() -> None:
    for kind, expected in (("image", [3, 3, 1]), ("live", [1] * 7)):
        engine = FakeEngine()
        judged(engine, FakeSource([PICTURE] * 7, kind=kind), [], Summary(), InTurn(batch=3))  # type: ignore[arg-type]
        assert engine.batches == expected


def test_a_picture_that_the_engine_refuses_does_not_take_its_batch_with_it() -> None:
    sink, summary = FakeSink(), Summary()
    judged(PickyEngine(), FakeSource([PICTURE, PICTURE + 1, PICTURE]), [sink], summary, InTurn(batch=3))
    assert [record["verdict"] for record in sink.records] == ["OK", "NO_READ", "OK"]
    assert sink.records[1]["reasons"] == ["not black"]
    assert summary.unread == 1


def test_max_frames_takes_no_frame_more_than_that() -> None:
    source = FakeSource([PICTURE] * 9)
    taken = itertools.count()
    engine = FakeEngine()
    judged(engine, source, [], Summary(), InTurn(batch=4), max_frames=6, stop=lambda: next(taken) > 100)
    assert engine.batches == [4, 2]


def test_stop_ends_after_the_frames_already_read() -> None:
    sink = FakeSink()
    judged(FakeEngine(), FakeSource([PICTURE] * 9), [sink], Summary(), stop=lambda: len(sink.records) == 2)
    assert len(sink.records) == 2
    assert sink.closed == 1


def test_a_lost_source_leaves_a_full_summary_and_closed_sinks() -> None:
    sink, summary, source = FakeSink(), Summary(), LostSource([PICTURE] * 2, kind="live")
    source.dropped = 5
    with pytest.raises(SourceError):
        judged(FakeEngine(), source, [sink], summary)
    assert sink.closed == 1
    assert source.closed
    assert summary.frames == 2
    assert summary.dropped == 5


def test_a_sink_that_fails_does_not_keep_the_others_open() -> None:
    good, full, source = FakeSink(), FullSink(), FakeSource([PICTURE] * 3)
    with pytest.raises(OutputError, match="disk full"):
        judged(FakeEngine(), source, [good, full], Summary())
    assert (good.closed, full.closed, source.closed) == (1, 1, True)


def test_the_clock_measures_the_run() -> None:
    ticks = iter([10.0, 14.0])
    summary = Summary()
    judged(FakeEngine(), FakeSource([PICTURE] * 8), [], summary, clock=lambda: next(ticks))
    assert "2.0 frames/s" in summary.lines()[0]
