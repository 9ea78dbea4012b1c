"""The reader: one process beside the inspecting one, in which all videos, streams and cameras of a run are decoded.

A codec that hangs, crashes or leaks takes that process with it and not this one: each source is told of an End that
`died`, opens its decoder again, and the process is started anew for the first that does.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from typing import TYPE_CHECKING

from edge_devices.process_memory import Share, share_of
from edge_runtime.errors import SourceError

if TYPE_CHECKING:
    from edge_runtime.inspect.reader.decoder import Decoder, DecoderSettings
    from edge_runtime.inspect.reader.life import Life

__all__ = ["ReaderProcess"]

# Beyond a decoder's own time limits: then it hangs.
_GRACE = 15.0
_LEAK_BYTES = 2 << 30


class ReaderProcess:
    """The process, started when it is first needed, or before that by `start`. For many threads."""

    def __init__(self, grace: float = _GRACE, bounded: bool = False) -> None:
        """`bounded`: there is a memory limit, so no source's pictures may become larger than its first."""
        self._grace, self._bounded = grace, bounded
        self._sizes: dict[str, int] = {}  # pixels of the first picture of each address
        self._lock = threading.Lock()
        self._life: Life | None = None
        self._closed = False
        self._peak = 0
        # What it may take: beyond that something leaks, or a stream has grown.
        self.most_bytes = _LEAK_BYTES

    def start(self) -> None:
        """Start the process, so that it loads what it needs while others do something else."""
        with self._lock:
            self._running()

    def open(self, settings: DecoderSettings) -> Decoder:
        """Open a decoder there. Raises SourceError."""
        from edge_runtime.inspect.reader.remote import RemoteDecoder  # which runs on pictures do without

        planned = functools.partial(self._sizes.setdefault, settings.address)
        if self._bounded:
            settings = dataclasses.replace(settings, most_pixels=self._sizes.get(settings.address, 0))
        with self._lock:
            life = self._running()
            channel = life.ask(dataclasses.asdict(settings))
        return RemoteDecoder(life, channel, settings, self._grace, self._check, planned)

    @property
    def pid(self) -> int | None:
        """The process, None where none runs."""
        life = self._life
        return None if life is None or life.dead else life.pid

    def memory(self) -> Share:
        """Return what it takes beside the inspecting process, and the most that it has taken; 0 where none runs."""
        life = self._life
        share = None if life is None or life.dead else share_of(life.pid)
        if share is not None:
            self._peak = max(self._peak, share.peak)
        return Share(0 if share is None else share.now, self._peak)

    def _check(self) -> None:
        """End a process that takes too much."""
        life, now = self._life, self.memory().now
        if life is not None and now > self.most_bytes:
            life.kill(f"was ended: it took {now >> 20} MB of memory, of {self.most_bytes >> 20} MB that it may take")

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            if self._life is not None:
                self._life.end()

    def _running(self) -> Life:
        if self._closed:
            raise SourceError("the reader has been closed")
        if self._life is not None and self._life.dead:
            self._life.end()
            self._life = None
        if self._life is None:
            from edge_runtime.inspect.reader.life import new_life

            self._life = new_life()
            if self._bounded:
                self._life.offer()
        return self._life
