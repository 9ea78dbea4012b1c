"""What a decoder of videos, streams and cameras is, and what it gives.

In the reader's process a decoder is what `DECODERS` (decoders.py) names; in the inspecting process `Reader.open`
(process.py) gives a decoder that asks that one, picture by picture. Both are the same protocol, and so is FakeDecoder.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, Union

from edge_runtime.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DecoderFacts", "DecoderSettings", "End", "FakeDecoder", "Pixels", "Shot", "Way"]

# A `file` gives every picture in order and waits for who takes it; of a `stream` or `camera` the newest wins.
Way = Literal["file", "stream", "camera"]
# uint8 [height, width, 3], BGR, without gaps. A view will do: the reader's process starts without numpy where it can.
Pixels: TypeAlias = "Union[NDArray[np.uint8], memoryview]"


@dataclass(frozen=True)
class DecoderSettings:
    """What to open and how. `address`: a path, a URL with its password, or a camera's number or device.

    `decoder` is a key of DECODERS; "": the best that is installed. `skip`: so many pictures of a file are decoded and
    not given. `stride`: of those after them, each Nth is given. Seconds; `poll` from one request for a picture to the
    next, where each has to be asked for. `extra` is what one decoder alone understands. `most_pixels`: a larger picture
    is not given, nor decoded where that can be told before; 0: larger than the first one; None: of any size.
    `hardware`: by a device that decodes, where there is one that can.
    """

    address: str
    way: Way
    decoder: str = ""
    skip: int = 0
    stride: int = 1
    open_timeout: float = 10.0
    read_timeout: float = 10.0
    poll: float = 0.2
    most_pixels: int | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    hardware: bool = False


@dataclass(frozen=True)
class DecoderFacts:
    """What is known once it is open. `frames`: how many the container declares, often an estimate; None: unknown.

    `clocked`: a stream whose pictures bear times, though the first ones may lack them. `hardware`: the kind
    of device that decodes, "" where this is done in software.
    """

    decoder: str
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float | None = None
    frames: int | None = None
    clocked: bool = False
    hardware: str = ""


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture, or the reason why it cannot be judged: exactly one of `image` and `error` is set.

    `pts`: seconds on the stream's own clock, None where it has none.
    `arrived`: when the last of its data was here, on time.monotonic's clock, which is one for all processes. `number`:
    its place in the file or stream, pictures not given counted too. `whole`: decoded from its own data alone (a key
    frame). `interlaced`: it was, and has been deinterlaced. `dropped`: older ones of a live source that nobody took
    since the shot before.
    """

    image: Pixels | None = None
    error: str | None = None
    pts: float | None = None
    arrived: float = field(default_factory=time.monotonic)
    number: int = 0
    whole: bool = True
    interlaced: bool = False
    dropped: int = 0
    decode_ms: float = 0.0

    def __post_init__(self) -> None:
        if (self.image is None) == (self.error is None):
            raise ValueError("a shot has either an image or an error")


@dataclass(frozen=True)
class End:
    """Nothing more comes. `reason` None: as it should; else why it was lost. `died`: the reader's process did."""

    reason: str | None = None
    died: bool = False


class DiedError(SourceError):
    """The reader's process died while it opened a source, which may be another one's doing: it can be tried again."""


class Decoder(Protocol):
    """An open video, stream or camera. What opens one raises SourceError, in one line, without passwords."""

    @property
    def facts(self) -> DecoderFacts:
        """What was found when it was opened."""
        ...

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Wait for the next shot; None: nothing came within `timeout` seconds (a reader's own decoders wait longer)."""
        ...

    def close(self) -> None:
        """Free the file or device; a second call does nothing."""
        ...


class FakeDecoder:
    """A complete decoder of prepared shots; None: a time in which nothing comes. After the last comes `end`."""

    def __init__(
        self,
        shots: Iterable[Shot | End | None],
        facts: DecoderFacts = DecoderFacts("fake"),
        end: End = End(),
    ) -> None:
        self.facts = facts
        self.closed = False
        self._shots: Iterator[Shot | End | None] = iter(shots)
        self._end = end

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Return the next of them at once."""
        return next(self._shots, self._end)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
