"""A video that behaves like a camera, on a clock that only the test moves."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources import FakeSource, RealtimeSource, in_real_time

PICTURE = np.zeros((8, 8, 3), np.uint8)


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def paced(count: int, clock: Clock, fps: float = 10.0, **more: object) -> RealtimeSource:
    source = FakeSource([PICTURE] * count, "v.mp4", "video", fps)
    return RealtimeSource(source, clock=clock, pause=clock.pause, **more)  # type: ignore[arg-type]


def test_frames_come_at_their_rate_to_whoever_is_there_in_time() -> None:
    clock = Clock()
    source = paced(4, clock)
    assert (source.kind, source.total, source.fps) == ("live", None, 10.0)
    found = [(frame.frame_id, frame.taken_s, clock.now) for frame in source]
    assert [number for number, _, _ in found] == [0, 1, 2, 3]
    assert [taken for _, taken, _ in found] == pytest.approx([100.0, 100.1, 100.2, 100.3])
    assert [now for _, _, now in found] == pytest.approx([100.0, 100.1, 100.2, 100.3])
    assert source.dropped == 0


def test_the_newest_frame_wins_and_the_others_are_counted() -> None:
    clock = Clock()
    source, found = paced(10, clock), []
    for frame in source:
        found.append(frame.frame_id)
        clock.now += 0.25  # judging takes two and a half frames
    assert found == [0, 2, 5, 7, 9]
    assert source.dropped == 5


def test_a_frame_that_cannot_be_read_is_never_dropped() -> None:
    clock = Clock()
    inner = FakeSource([PICTURE, "cannot decode: 1", PICTURE, PICTURE], "v.mp4", "video", 10.0)
    source = RealtimeSource(inner, clock=clock, pause=clock.pause)
    found = []
    for frame in source:
        found.append((frame.frame_id, frame.error))
        clock.now += 1.0
    assert found == [(0, None), (1, "cannot decode: 1"), (3, None)]
    assert source.dropped == 1


def test_stopping_ends_it_while_it_waits() -> None:
    clock = Clock()
    source = paced(1000, clock, fps=0.01, stop=lambda: clock.now > 130.0)
    assert len(list(source)) == 1
    assert clock.now < 131.0
    source.close()


def test_another_rate_than_its_own_may_be_asked_for() -> None:
    clock = Clock()
    source = RealtimeSource(FakeSource([PICTURE] * 3, "v", "video", 10.0), 0.5, clock=clock, pause=clock.pause)
    assert [frame.taken_s for frame in source] == pytest.approx([100.0, 102.0, 104.0])


def test_only_a_video_is_played_and_one_without_a_rate_is_refused() -> None:
    images = FakeSource([PICTURE], "a", "image")
    assert in_real_time(images) is images
    assert isinstance(in_real_time(FakeSource([PICTURE], "v", "video", 25.0)), RealtimeSource)
    with pytest.raises(SourceError, match="v has no frame rate"):
        in_real_time(FakeSource([PICTURE], "v", "video"))
