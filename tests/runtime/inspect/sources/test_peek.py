"""A source whose first frame was looked at is the same source."""

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources import Frame, ImageSource, open_source
from edge_runtime.inspect.sources.base import FakeSource
from edge_runtime.inspect.sources.peek import PeekedSource

IMAGES = [np.full((4, 6, 3), value, np.uint8) for value in (1, 2, 3)]


def pictures(folder):
    for number, image in enumerate(IMAGES):
        cv2.imwrite(str(folder / f"b{number}.png"), image)
    return ImageSource("boards", sorted(folder.glob("*.png")))


def video(folder):
    writer = cv2.VideoWriter(str(folder / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for value in (10, 120, 240):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return open_source(str(folder / "v.mp4"))


SOURCES = {
    "fake": lambda folder: FakeSource([IMAGES[0], "cannot decode", IMAGES[2]], fps=12.5),
    "live": lambda folder: FakeSource(IMAGES, kind="live"),
    "images": pictures,
    "video": video,
}


def described(frame: Frame):
    image = None if frame.image is None else frame.image.tobytes()
    return frame.source, frame.frame_id, frame.stem, image, frame.error, frame.path


@pytest.fixture(params=SOURCES)
def both(request, tmp_path):
    """The source, and one like it that was peeked."""
    make = SOURCES[request.param]
    source, peeked = make(tmp_path), PeekedSource(make(tmp_path))
    yield source, peeked
    source.close()
    peeked.close()


def test_every_frame_comes_once_in_order_the_first_one_too(both):
    source, peeked = both
    assert [described(frame) for frame in peeked] == [described(frame) for frame in source]


def test_what_a_source_says_of_itself_is_the_same(both):
    source, peeked = both
    for name in ("name", "kind", "total", "fps", "dropped"):
        assert getattr(peeked, name) == getattr(source, name)


def test_the_first_frame_is_there_to_be_looked_at_until_it_is_taken(both):
    source, peeked = both
    first = next(iter(source))
    assert peeked.first is not None
    assert described(peeked.first) == described(first)
    next(iter(peeked))
    assert peeked.first is None


def test_iterating_again_goes_on_where_it_stopped():
    peeked = PeekedSource(FakeSource(IMAGES))
    assert [frame.frame_id for frame, _ in zip(peeked, range(1))] == [0]  # noqa: B905  # the shorter one ends it
    assert [frame.frame_id for frame in peeked][-1] == 2


def test_an_empty_source_stays_empty():
    peeked = PeekedSource(FakeSource([]))
    assert peeked.first is None
    assert list(peeked) == []


def test_frames_that_a_live_source_dropped_are_counted_as_they_come():
    source = FakeSource(IMAGES, kind="live")
    peeked = PeekedSource(source)
    source.dropped = 7
    assert peeked.dropped == 7


def test_closing_closes_the_source_and_again_does_nothing():
    source = FakeSource(IMAGES)
    peeked = PeekedSource(source)
    peeked.close()
    peeked.close()
    assert source.closed


class Lost(FakeSource):
    def __iter__(self):
        raise SourceError("the camera is gone")
        yield


def test_a_source_that_cannot_give_a_first_frame_is_closed_and_says_why():
    source = Lost([])
    with pytest.raises(SourceError, match="the camera is gone"):
        PeekedSource(source)
    assert source.closed
