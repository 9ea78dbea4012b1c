"""A source that is not closed while somebody reads from it is otherwise the same source."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from patience import PATIENCE

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources import FakeSource, Frame, guard
from edge_runtime.inspect.sources.guard import GuardedSource

PICTURE = np.zeros((4, 6, 3), np.uint8)


class Waiting(FakeSource):
    """Gives its second frame when it is let; keeps whether it was closed meanwhile."""

    def __init__(self) -> None:
        super().__init__([PICTURE] * 3)
        self.reading, self.gate = threading.Event(), threading.Event()
        self.closed_under_the_reader = False

    def __iter__(self) -> Iterator[Frame]:
        frames = super().__iter__()
        yield next(frames)
        self.reading.set()
        assert self.gate.wait(PATIENCE)
        self.closed_under_the_reader = self.closed
        yield from frames


def read(source: GuardedSource, found: list[int]) -> threading.Thread:
    def work() -> None:
        found.extend(frame.frame_id for frame in source)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_guarded_source_gives_the_same_frames_and_says_the_same_of_itself() -> None:
    source = FakeSource([PICTURE, "cannot decode", PICTURE], "a", "video", 12.5)
    guarded = GuardedSource(source)
    source.dropped = 4
    assert [(frame.frame_id, frame.error) for frame in guarded] == [(0, None), (1, "cannot decode"), (2, None)]
    for name in ("name", "kind", "total", "fps", "dropped"):
        assert getattr(guarded, name) == getattr(source, name)


def test_closing_waits_for_the_read_that_is_under_way_and_no_other_begins() -> None:
    source, found = Waiting(), []
    guarded = GuardedSource(source)
    reader = read(guarded, found)
    assert source.reading.wait(PATIENCE)
    closing = threading.Thread(target=guarded.close)
    closing.start()
    source.gate.set()
    closing.join(PATIENCE)
    reader.join(PATIENCE)
    assert source.closed
    assert not source.closed_under_the_reader
    assert not guarded.left
    assert found in ([0], [0, 1])


def test_a_source_whose_reader_does_not_come_back_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.01)
    source = Waiting()
    guarded = GuardedSource(source)
    reader = read(guarded, [])
    assert source.reading.wait(PATIENCE)
    guarded.close()
    assert guarded.left
    assert not source.closed
    source.gate.set()
    reader.join(PATIENCE)
    assert not reader.is_alive()


def test_a_closed_source_gives_nothing_and_a_lost_one_can_be_closed() -> None:
    class Lost(FakeSource):
        def __iter__(self) -> Iterator[Frame]:
            raise SourceError("lost")
            yield

    guarded = GuardedSource(FakeSource([PICTURE]))
    guarded.close()
    assert list(guarded) == []
    lost = Lost([])
    guarded = GuardedSource(lost)
    with pytest.raises(SourceError):
        list(guarded)
    guarded.close()
    assert lost.closed
