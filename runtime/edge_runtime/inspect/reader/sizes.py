"""Pictures that get another size in the middle, which OpenCV does not follow.

Up to 4.12 it reads them as if they had the first size: what it gives is smeared. 5.0 scales them to it, without a
word. H.264's decoder tells FFmpeg's log of it; H.265's does not.
"""

from __future__ import annotations

from edge_runtime.inspect.reader.log import Log

__all__ = ["Sizes"]

# All of this process: which of them a line of the log is about is not told, so that with several none is believed.
_open: list[Sizes] = []


class Sizes:
    """Follows one capture, from before it is opened until it is closed."""

    def __init__(self, heard: Log | None) -> None:
        self._heard = heard
        self._count = heard.sizes if heard is not None else 0
        self._first = self._now = ""
        _open.append(self)

    def changed(self) -> str | None:
        """What is wrong with the size of the pictures that come now, by what the log has read."""
        if self._heard is not None and self._heard.sizes > self._count:
            self._count = self._heard.sizes
            if len(_open) == 1:
                self._now = self._heard.size
                self._first = self._first or self._now
        if self._now == self._first:
            return None
        return f"its size changed ({self._first}, now {self._now}), which OpenCV does not follow"

    def close(self) -> None:
        """Forget it; a second call does nothing."""
        if self in _open:
            _open.remove(self)
