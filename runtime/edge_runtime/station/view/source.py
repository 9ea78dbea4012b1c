"""A source whose pictures are aimed at before they are judged."""

from __future__ import annotations

from collections.abc import Iterator

from edge_runtime.inspect.sources.base import Frame, Source, WrappedSource
from edge_runtime.station.view.view import View

__all__ = ["ViewedSource"]


class ViewedSource(WrappedSource):
    """Gives the frames of another source, each with what of it is judged, or with the reason why nothing is."""

    def __init__(self, source: Source, view: View) -> None:
        super().__init__(source)
        self._view = view

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        return map(self._view.of, self._source)
