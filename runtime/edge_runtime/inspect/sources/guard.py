"""A source that is never closed while somebody reads from it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from edge_runtime.inspect.sources.base import Frame, Source, WrappedSource

__all__ = ["PATIENCE", "GuardedSource"]

PATIENCE = 2.0  # seconds that a reader has to come back once the run is over


class GuardedSource(WrappedSource):
    """Gives the frames of another source, and none any more once it is closed.

    A capture must not be freed under the thread that reads from it: a reader that hangs in a driver keeps its source,
    and `left` is true then.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._reading = threading.Lock()
        self._closed = False
        self.left = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        frames = iter(self._source)
        while True:
            with self._reading:
                frame = None if self._closed else next(frames, None)
            if frame is None:
                return
            yield frame

    def close(self) -> None:
        """Close the source when the read that is under way has come back; not at all when it does not."""
        self._closed = True
        if not self._reading.acquire(timeout=PATIENCE):
            self.left = True
            return
        try:
            self._source.close()
        finally:
            self._reading.release()
