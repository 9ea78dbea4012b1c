"""A source whose first frame was looked at: what its decoder takes is taken by then."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from edge_runtime.inspect.sources.base import Frame, Source, WrappedSource, endless

__all__ = ["PeekedSource"]

_OLD = 2.0  # seconds


class PeekedSource(WrappedSource):
    """Gives the frames of another source; the first one is read at once and kept in `first` (None: there is none)."""

    def __init__(self, source: Source) -> None:
        """Raises SourceError as iterating does."""
        super().__init__(source)
        self._frames = iter(source)
        self.first: Frame | None = None
        if source.kind == "image" and endless(source):  # a watched folder: nobody knows when there is a picture
            return
        try:
            self.first = next(self._frames, None)
        except BaseException:
            source.close()  # nobody else has it yet
            raise

    def __iter__(self) -> Iterator[Frame]:
        """Yield the first frame, then the others; once.

        The first of a camera is left out when it has grown old meanwhile: it would be judged long after it was taken.
        """
        first, self.first = self.first, None
        if first is not None and self.kind == "live" and time.monotonic() - first.taken_s > _OLD:
            first = None
        return itertools.chain([] if first is None else [first], self._frames)
