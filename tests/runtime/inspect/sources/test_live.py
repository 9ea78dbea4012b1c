"""Cameras and streams: newest frame, waiting and reconnecting, silence, stale pictures."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import Decoder, DecoderFacts, End, FakeDecoder, Shot
from edge_runtime.inspect.sources import Frame, LiveOptions, LiveSource, Source, open_source
from edge_runtime.inspect.sources import live as live_module
from edge_runtime.inspect.sources.base import now_utc

FAST = LiveOptions(poll=0.001)
NEVER = 1e9


def picture(value: int) -> np.ndarray:
    return np.full((8, 8, 3), value, np.uint8)


def shot(value: int, arrived: float = 0.0, pts: float | None = None, number: int = 0) -> Shot:
    return Shot(picture(value), arrived=arrived, pts=pts, number=number)


def gives(*values: int) -> FakeDecoder:
    return FakeDecoder([shot(value) for value in values])


class Gated(FakeDecoder):
    """Gives each shot after the first only once the test lets it through, and tells when it was asked."""

    def __init__(self, shots: Sequence[Shot | End | None]) -> None:
        super().__init__(shots)
        self.gate = threading.Semaphore(1)
        self.asked = threading.Semaphore(0)

    def read(self, timeout: float | None = None) -> Shot | End | None:
        self.asked.release()
        self.gate.acquire()
        return super().read(timeout)


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def live(
    connects: Sequence[Decoder | None],
    options: LiveOptions = FAST,
    stop: Callable[[], bool] = lambda: False,
    pauses: list[float] | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> LiveSource:
    """Return a source that connects to each of `connects` in turn, then to nothing, and never waits."""
    turns: Iterator[Decoder | None] = itertools.chain(connects, itertools.repeat(None))

    def connect() -> Decoder:
        decoder = next(turns)
        if decoder is None:
            raise SourceError("no answer")
        return decoder

    def pause(seconds: float) -> bool:
        if pauses is not None:
            pauses.append(seconds)
        return False

    return LiveSource("cam", "cam", connect, "check the cable", options, stop, clock=clock, pause=pause)


def collect(source: Source, frames: list[Frame]) -> None:
    """Append the source's frames to `frames`, which keeps them when the source ends with an error."""
    frames.extend(source)


def value_of(frame: Frame) -> int | None:
    return None if frame.image is None else int(frame.image[0, 0, 0])


def test_a_camera_that_is_off_at_the_start_is_waited_for() -> None:
    pauses: list[float] = []
    back = Gated([shot(9)])
    source = live([None, None, back], pauses=pauses)
    frames = list(itertools.islice(source, 3))
    assert [frame.error for frame in frames] == [
        "cam is not there yet: attempt 2 in 0.5 s (no answer)",
        "cam is not there yet: attempt 3 in 1 s (no answer)",
        None,
    ]
    assert value_of(frames[2]) == 9
    back.gate.release(10)
    source.close()


def test_what_is_waited_for_can_be_said_before_the_first_frame() -> None:
    source = live([None])
    assert source.settle(60.0) == "cam: no answer; check the cable"
    source.close()


def test_a_camera_that_may_not_be_waited_for_ends_with_what_to_check() -> None:
    source = live([None], LiveOptions(reconnect=0.0, poll=0.001))
    frames: list[Frame] = []
    with pytest.raises(SourceError, match="cannot open cam: no answer; check the cable"):
        collect(source, frames)
    source.close()
    assert [frame.error for frame in frames] == ["cam is not there yet: given up after 1 attempt (no answer)"]


def test_a_camera_that_opens_but_gives_nothing_is_closed_and_tried_again_later_and_later() -> None:
    pauses: list[float] = []
    empty = [FakeDecoder([]), FakeDecoder([], end=End("died of SIGSEGV", died=True))]
    source = live(empty, pauses=pauses)
    frames = list(itertools.islice(source, 3))
    source.close()
    assert [frame.error for frame in frames] == [
        "cam is not there yet: attempt 2 in 0.5 s (the stream has ended)",
        "cam is not there yet: attempt 3 in 1 s (died of SIGSEGV)",
        "cam is not there yet: attempt 4 in 2 s (no answer)",
    ]
    assert all(decoder.closed for decoder in empty)


def test_the_newest_frame_wins_and_the_others_are_counted() -> None:
    decoder = Gated([shot(value) for value in range(5)])
    source = live([decoder])
    # The first is published before the second is asked for: frame 0 lies in the slot.
    for _ in range(2):
        decoder.asked.acquire()
    for _ in range(3):
        decoder.gate.release()
        decoder.asked.acquire()
    frame = next(iter(source))
    assert value_of(frame) == 3
    assert source.dropped == 3
    decoder.gate.release(10)
    source.close()
    assert decoder.closed


def test_every_failed_attempt_is_a_frame_with_an_error_and_the_camera_comes_back() -> None:
    pauses: list[float] = []
    back = Gated([shot(9), shot(10)])
    source = live([gives(1), None, FakeDecoder([]), back], pauses=pauses)
    frames = list(itertools.islice(source, 5))
    assert [frame.error is None for frame in frames] == [True, False, False, False, True]
    assert frames[1].error == "cam lost: attempt 1 to reconnect in 0.5 s (the stream has ended)"
    assert frames[2].error == "cam lost: attempt 2 to reconnect in 1 s (no answer)"
    assert pauses == [0.5, 1.0, 2.0]
    assert value_of(frames[4]) == 9
    assert [frame.frame_id for frame in frames] == [0, 1, 2, 3, 4]
    back.gate.release(10)
    source.close()


def test_a_frame_that_cannot_be_decoded_is_said_and_the_next_is_judged() -> None:
    source = live([FakeDecoder([shot(1), Shot(error="cut off", arrived=0.0), shot(3)])])
    frames = list(itertools.islice(source, 3))
    assert [frame.error for frame in frames] == [None, "cam: cut off", None]
    source.close()


def test_back_off_doubles_up_to_its_limit() -> None:
    pauses: list[float] = []
    source = live([gives(1)], pauses=pauses)
    list(itertools.islice(source, 9))
    source.close()
    assert pauses[:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_reconnecting_is_given_up_in_time_with_a_last_error_frame() -> None:
    ticks = itertools.count(step=1.0)
    source = live(
        [gives(1)],
        LiveOptions(reconnect=30.0, silence=NEVER, poll=0.001),
        clock=lambda: next(ticks),
    )
    frames: list[Frame] = []
    with pytest.raises(SourceError, match="was lost and 30 s"):
        collect(source, frames)
    source.close()
    assert frames[-1].error is not None
    assert "given up" in frames[-1].error


def test_zero_seconds_of_reconnecting_still_show_the_loss_as_a_frame() -> None:
    source = live([gives(1)], LiveOptions(reconnect=0.0, poll=0.001))
    frames = iter(source)
    assert next(frames).error is None
    lost = next(frames)
    assert lost.error == "cam lost: given up after 0 attempts to reconnect (the stream has ended)"
    with pytest.raises(SourceError):
        next(frames)
    source.close()


def test_a_silent_camera_is_said_to_be_within_two_seconds_and_again_and_again() -> None:
    clock = Clock()
    decoder = Gated([shot(1, number * 0.04, None, number) for number in range(3)])
    decoder.gate.release(2)
    source = live([decoder], clock=clock)
    for _ in range(4):
        decoder.asked.acquire()
    frames = iter(source)
    assert next(frames).error is None
    for _ in range(3):
        clock.now += 2.1
        assert next(frames).error == "cam silent: no frame for 2 s"
    decoder.gate.release(10)
    source.close()


def test_a_camera_whose_pace_is_not_known_yet_is_silent_within_two_seconds_and_then_less_often() -> None:
    clock = Clock()
    decoder = Gated([shot(1)])
    source = live([decoder], clock=clock)
    frames = iter(source)
    assert next(frames).error is None
    for seconds in (2, 4, 8, 10, 10):
        clock.now += seconds + 0.1
        assert next(frames).error == f"cam silent: no frame for {seconds} s"
    decoder.gate.release(10)
    source.close()


def test_a_slow_camera_that_says_so_is_not_silent_before_its_first_picture() -> None:
    clock = Clock()
    decoder = FakeDecoder(itertools.repeat(None), DecoderFacts("fake", fps=0.2))
    source = live([decoder], clock=clock)
    while not source._freshness.known:
        pass
    clock.now = 18.1
    assert next(iter(source)).error == "cam silent: no frame for 15 s"
    source.close()


def test_a_picture_that_lay_there_too_long_is_not_judged() -> None:
    clock = Clock()
    decoder = Gated([shot(1)])
    source = live([decoder], clock=clock)
    clock.now = 5.0  # so long somebody was busy, and nothing newer has come
    assert next(iter(source)).error == "cam stale: 5.0 s old"
    decoder.gate.release(10)
    source.close()


def test_an_old_picture_of_a_decoder_never_comes_with_a_new_time() -> None:
    """As OpenCV does: at its time limit of 10 s it hands the last picture of a silent stream out."""
    clock = Clock(100.0)
    old = shot(3, arrived=110.1, pts=0.08, number=2)
    decoder = Gated([shot(1, 100.0, 0.0, 0), shot(2, 100.04, 0.04, 1), old])
    decoder.gate.release()
    source = live([decoder], clock=clock)
    frames = iter(source)
    assert value_of(next(frames)) == 2
    clock.now = 110.1
    assert next(frames).error == "cam silent: no frame for 2 s"
    decoder.gate.release()
    decoder.asked.acquire()
    clock.now = 112.5
    assert next(frames).error in ("cam silent: no frame for 2 s", "cam stale: 10.0 s old")
    decoder.gate.release(10)
    source.close()


def test_a_picture_bears_the_time_at_which_it_was_taken() -> None:
    clock = Clock(100.0)
    decoder = Gated([shot(1, 100.0, 0.0, 0), shot(2, 100.04, 0.04, 1), shot(3, 101.08, 0.08, 2)])
    decoder.gate.release(2)
    source = live([decoder], clock=clock)
    for _ in range(4):
        decoder.asked.acquire()
    clock.now = 101.08
    before = now_utc()
    frame = next(iter(source))
    assert value_of(frame) == 3
    assert frame.taken_s == pytest.approx(100.08, abs=0.01)
    assert frame.captured - before == pytest.approx(timedelta(seconds=-1), abs=timedelta(seconds=0.5))
    decoder.gate.release(10)
    source.close()


def test_a_stream_that_stays_behind_is_opened_anew() -> None:
    behind = [shot(2, 105 + number * 0.04, number * 0.04, number) for number in range(2, 400)]
    late = FakeDecoder([shot(1, 100.0, 0.0, 0), shot(1, 100.04, 0.04, 1), *behind])
    again = Gated([shot(9, 121.0)])
    source = live([late, again], clock=lambda: 121.0)
    told: list[str] = []
    for frame in source:
        if value_of(frame) == 9:
            break
        assert frame.error is not None
        told.append(frame.error)
    assert "(only stale pictures for 10 s)" in told[-1]
    again.gate.release(10)
    source.close()


def test_a_process_that_was_stopped_for_a_minute_does_not_call_its_camera_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, times = Clock(), itertools.chain([0.0, 60.0], itertools.repeat(60.0))
    later = [60.0 + 0.04 * number for number in range(1, 6)]
    decoder = Gated([shot(1), *(shot(2, at, at, number) for number, at in enumerate(later, 1))])
    source = live([decoder], clock=clock)
    frames = iter(source)
    assert next(frames).image is not None

    def a_minute_passes_in_the_wait() -> float:
        clock.now = next(times)
        if clock.now:
            decoder.gate.release(len(later))
        return clock.now

    monkeypatch.setattr(live_module, "monotonic", a_minute_passes_in_the_wait)
    found = next(frames)
    assert found.error is None
    assert found.image is not None
    source.close()


def test_a_slow_source_is_silent_after_three_of_its_own_periods() -> None:
    clock = Clock()
    decoder = Gated([shot(number, number * 5.0, None, number) for number in range(5)])
    source = live([decoder], clock=clock)
    frames = iter(source)
    for number in range(5):
        clock.now = number * 5.0
        decoder.gate.release()
        while source._freshness._last is None or source._freshness._last[2] < number:
            decoder.asked.acquire()
    assert value_of(next(frames)) == 4
    clock.now += 15.1
    assert next(frames).error == "cam silent: no frame for 15 s"
    decoder.gate.release(10)
    source.close()


def test_stop_ends_a_wait_for_a_frame() -> None:
    decoder = Gated([shot(1)])
    stopped: list[bool] = []
    source = live([decoder], stop=lambda: bool(stopped))
    frames = iter(source)
    next(frames)
    stopped.append(True)
    assert list(frames) == []
    decoder.gate.release(10)
    source.close()


def test_close_ends_a_thread_that_waits_for_its_error_to_be_taken() -> None:
    source = live([gives(1)])
    source.close()
    assert not source._thread.is_alive()


def test_the_rate_that_a_camera_declares_is_known_once_it_is_open() -> None:
    source = live([FakeDecoder([shot(1)], DecoderFacts("fake", fps=12.5))])
    assert source.settle(60.0) is None
    assert source.fps == 12.5
    source.close()


@pytest.mark.parametrize("text", ["rtsp://", "rtsp://u:secret@/x", "rtsp://cam:99999/x", "foo://u:secret@cam/x"])
def test_what_is_plainly_wrong_is_an_error_at_once_and_shows_no_password(text: str) -> None:
    with pytest.raises(SourceError) as raised:
        open_source(text)
    assert "secret" not in str(raised.value)
