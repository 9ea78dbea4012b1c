"""Pictures that get another size in the middle, which OpenCV does not follow.

Up to 4.12 it reads them as if they had the first size: what it gives is smeared. 5.0 scales them to it, without a
word. FFmpeg's log tells of it: of H.264 with the size, of most others that the decoder chose its format anew, which
it does for a size (VP8's tells nothing: packets.py).
"""

from __future__ import annotations

from edge_runtime.inspect.reader.log import Log

__all__ = ["Sizes", "another_size"]

# All of this process: which of them a line of a log is about is not told, so that with several of one none is believed.
_open: list[Sizes] = []


def another_size(first: str, now: str) -> str:
    """What is said of pictures of another size than the first ones."""
    return f"its size changed ({first}, now {now}), which OpenCV does not follow"


class Sizes:
    """Follows one capture, from before it is opened until it is closed."""

    def __init__(self, heard: Log | None) -> None:
        self._heard = heard
        self._count = heard.sizes if heard is not None else 0
        self._formats: int | None = None
        self._first = self._now = ""
        self._another = False
        _open.append(self)

    def begun(self) -> None:
        """The first picture is there: its size has been told."""
        if self._heard is not None and self._formats is None:
            self._formats = self._heard.formats

    def changed(self) -> str | None:
        """What is wrong with the size of the pictures that come now, by what the log has read."""
        heard = self._heard
        if heard is not None and heard.sizes > self._count:
            self._count = heard.sizes
            if self._alone(heard):
                self._now = heard.size
                self._first = self._first or self._now
        if heard is not None and self._formats is not None and heard.formats > self._formats:
            self._formats = heard.formats
            self._another = self._another or (self._alone(heard) and not self._first)
        if self._now != self._first:
            return another_size(self._first, self._now)
        return "its size or kind of pixels changed, which OpenCV does not follow" if self._another else None

    @staticmethod
    def _alone(heard: Log) -> bool:
        return sum(one._heard is heard for one in _open) == 1

    def close(self) -> None:
        """Forget it; a second call does nothing."""
        if self in _open:
            _open.remove(self)
