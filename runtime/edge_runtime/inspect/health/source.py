"""A source whose pictures are looked at before they are judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edge_runtime.inspect.sources.base import Frame, Source, WrappedSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Finding", "WatchedSource"]

# Why a picture, uint8 [height, width, 3], taken at that time of a clock that never goes back, must not be judged.
Finding = Callable[["NDArray[np.uint8]", float], "str | None"]


class WatchedSource(WrappedSource):
    """Gives the frames of another source; a picture not fit to be judged comes with the reason as its error."""

    def __init__(self, source: Source, finding: Finding) -> None:
        super().__init__(source)
        self._finding = finding

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        for frame in self._source:
            if frame.image is None or (reason := self._finding(frame.image, frame.taken_s)) is None:
                yield frame
            else:
                yield dataclasses.replace(frame, image=None, error=reason, unfit=frame.image)
