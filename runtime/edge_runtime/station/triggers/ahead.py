"""A camera is looked at in a thread of its own: what is found waits to be judged, and no part passes meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Iterator

from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.guard import GuardedSource
from edge_runtime.station.parts.part import PartFrame
from edge_runtime.station.triggers.signalled import WAITING_BYTES

__all__ = ["ahead"]

_LOOK_S = 0.2  # how often it is looked whether the run should end
_ALWAYS = 2  # pictures that may wait, however large they are


def ahead(
    source: Source, find: Callable[[Source], Iterator[PartFrame]], stop: Callable[[], bool], most: int = WAITING_BYTES
) -> Iterator[PartFrame]:
    """Yield what `find` gives of a live source, which a thread reads. Raises what reading it raises.

    Of what waits to be judged, pictures beyond `most` bytes are let go: those parts are NO_READ.
    """
    found = _Found(most)
    guarded = GuardedSource(source)  # its reader is another thread than the one that closes it
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(guarded.close)
        cleanup.callback(found.end)
        threading.Thread(target=found.fill, args=(find(guarded),), name="edgeline-parts", daemon=True).start()
        while not stop():
            frame = found.take()
            if frame is not None:
                yield frame
            elif found.over:
                break
    if found.error is not None:
        raise found.error


class _Found:
    def __init__(self, most: int) -> None:
        self.error: BaseException | None = None
        self._most = most
        self._changed = threading.Condition()
        self._frames: deque[PartFrame] = deque()
        self._bytes = 0
        self._filled = self._ended = False

    @property
    def over(self) -> bool:
        """Whether all was taken, and nothing more comes."""
        with self._changed:
            return self._filled and not self._frames

    def fill(self, frames: Iterator[PartFrame]) -> None:
        """Keep what comes; the work of a thread."""
        try:
            for frame in frames:
                if not self._keep(frame):
                    return
        except BaseException as error:  # noqa: BLE001  # raised where frames are taken
            self.error = error
        finally:
            with self._changed:
                self._filled = True
                self._changed.notify_all()

    def take(self) -> PartFrame | None:
        """Wait a moment for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._filled, _LOOK_S)
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._bytes -= _bytes_of(frame)
            return frame

    def end(self) -> None:
        """Take no more."""
        with self._changed:
            self._ended = True

    def _keep(self, frame: PartFrame) -> bool:
        with self._changed:
            waiting = len(self._frames)
            if waiting >= _ALWAYS and self._bytes + _bytes_of(frame) > self._most:
                why = f"{waiting} pictures wait to be judged already: parts come too fast"
                frame = dataclasses.replace(frame, image=None, unfit=None, error=why)
            self._frames.append(frame)
            self._bytes += _bytes_of(frame)
            self._changed.notify_all()
            return not self._ended


def _bytes_of(frame: PartFrame) -> int:
    return 0 if frame.shown is None else frame.shown.nbytes
