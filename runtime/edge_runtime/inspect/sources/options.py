"""How sources are read: what a user can say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_runtime.inspect.reader.here import HERE, Reader
from edge_runtime.inspect.sources.stills.room import UNBOUNDED, Room

__all__ = ["LIVE", "PLAIN", "DroppedOptions", "FileOrder", "LiveOptions", "SourceOptions", "StreamOptions", "Transport"]


@dataclass(frozen=True)
class LiveOptions:
    """How long to bear with a live source; seconds.

    `reconnect` is how long a source that is lost, or not there yet, is tried again (None: for ever). One that gives
    nothing for `silence`, or for `periods` times what passes between its own pictures where that is longer, is silent:
    a NO_READ frame says so, again and again (of one whose pace is not known yet after twice the time each, at most
    `silence_most`). One that gives only pictures older than that for `stale` is opened anew.
    Until its first picture it has `opening`. Attempts to reconnect start `backoff` apart and double up to
    `backoff_most`. A camera that gives one picture for each request is asked each `ask` seconds.
    """

    reconnect: float | None = None
    silence: float = 2.0
    silence_most: float = 10.0
    opening: float = 5.0
    periods: float = 3.0
    stale: float = 10.0
    backoff: float = 0.5
    backoff_most: float = 10.0
    ask: float = 0.2
    poll: float = 0.2  # how often a waiting consumer looks whether it should stop


# In which order files are judged that are there together: as they were written, or by their names.
FileOrder = Literal["time", "name"]


# How an RTSP camera sends: over the connection itself, or in packets of their own, which may be lost.
Transport = Literal["tcp", "udp"]


@dataclass(frozen=True)
class StreamOptions:
    """How a network stream is received; `hardware`: decoded by a device, where there is one that can."""

    transport: Transport = "tcp"
    hardware: bool = False


def _none_is(_ids: Sequence[str]) -> frozenset[str]:
    """Nothing is stored."""
    return frozenset()


@dataclass(frozen=True)
class DroppedOptions:
    """How files are taken from a watched folder; seconds.

    A file that has not changed for `settle` and is a whole picture is judged; one that is none `whole_within` after it
    was first seen is told to be none. Judged ones are moved to `done` (None: they stay), once their events are stored:
    `known` returns which of some event ids are (None: it cannot tell now). The ids are made of `owner` and the file.
    """

    settle: float = 0.5
    whole_within: float = 10.0
    order: FileOrder = "time"
    done: Path | None = None
    owner: str = ""
    known: Callable[[Sequence[str]], frozenset[str] | None] = field(default=_none_is, compare=False)
    poll: float = 0.1  # from one look at the folder to the next


def _unheard(sentence: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class SourceOptions:
    """`stride` takes each Nth frame of a video file; `live` is for cameras and streams.

    `reader` decodes videos and streams; a run has one for all of them, in a process of its own.

    Of picture files: `bit_depth` says how many of 16 bits carry light (None: the first picture shows it), `background`
    (BGR) what lies behind transparent parts (None: such a picture is refused), `room` how large one may be; `dropped`
    is for watched folders, `stream` for network cameras. `notice` is told, once each, what a user should know and no
    frame says.
    """

    stride: int = 1
    live: LiveOptions = field(default_factory=LiveOptions)
    reader: Reader = field(default=HERE, compare=False)
    bit_depth: int | None = None
    background: tuple[int, int, int] | None = None
    room: Room = UNBOUNDED
    dropped: DroppedOptions = field(default_factory=DroppedOptions)
    stream: StreamOptions = StreamOptions()
    notice: Callable[[str], None] = field(default=_unheard, compare=False)


# What holds where nothing is said.
LIVE, PLAIN = LiveOptions(), SourceOptions()
