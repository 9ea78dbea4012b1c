"""What a source is: a name, perhaps a length, and frames one after another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.inspect.looking import Looking

__all__ = ["FakeSource", "Frame", "Source", "SourceKind", "WrappedSource", "endless", "now_utc"]

SourceKind = Literal["image", "video", "live"]


def now_utc() -> datetime:
    """Return the time of this machine's clock, in UTC."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture, or the reason why there is none: exactly one of `image` and `error` is set.

    `image` is uint8 [height, width, 3], BGR. `frame_id` counts from 0: the place in the list of images, the
    frame's number in the video file, or the number of the frame taken from a camera. `stem` names files about
    this frame and is unique within the run. `unfit` is, of a frame with an error, the picture that was read
    and must not be judged, for people to see. `read_ms` is the time to read and decode it. `taken_s` is `captured` on
    time.monotonic's clock, which never goes back. `page`, from 1: which picture of a file that has several. `size`:
    height and width of the original, where the picture was decoded smaller to keep within a memory limit. `looking`:
    how the picture is judged where that is not as it is. `event`: the id of the record about it, where the source knows
    one that is the same in every run. `wanted`: it is judged however many newer ones there are, of a live source too.
    """

    source: str
    frame_id: int
    stem: str
    image: NDArray[np.uint8] | None = None
    error: str | None = None
    path: Path | None = None
    captured: datetime = field(default_factory=now_utc)
    read_ms: float = 0.0
    taken_s: float = field(default_factory=time.monotonic)
    unfit: NDArray[np.uint8] | None = None
    page: int | None = None
    size: tuple[int, int] | None = None
    looking: Looking | None = None
    event: str | None = None
    wanted: bool = False

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """What there is to be seen."""
        return self.unfit if self.image is None else self.image

    def __post_init__(self) -> None:
        if (self.image is None) == (self.error is None):
            raise ValueError("a frame has either an image or an error")
        if self.unfit is not None and self.error is None:
            raise ValueError("a frame whose picture is unfit says why in its error")


class Source(Protocol):
    """Frames in order. One that cannot be read comes with its error: silence would read as "no defect"."""

    @property
    def name(self) -> str:
        """What the user typed, without passwords."""
        ...

    @property
    def kind(self) -> SourceKind:
        """A `live` source does not wait: frames not taken in time are dropped."""
        ...

    @property
    def total(self) -> int | None:
        """How many frames there will be, as far as that is known."""
        ...

    @property
    def fps(self) -> float | None:
        """Frames per second that the source declares, after any stride; None if it has no time."""
        ...

    @property
    def dropped(self) -> int:
        """Frames that a live source gave and nobody took in time."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames. Raises SourceError when the source is lost for good."""
        ...

    def close(self) -> None:
        """Free the device or file; a second call does nothing."""
        ...


def endless(source: Source) -> bool:
    """Whether a source does not know of an end, and its next frame may be long in coming."""
    return source.kind == "live" or (source.kind == "image" and source.total is None)


class WrappedSource:
    """What a source that gives another one's frames has of it; how it gives them is its own."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name = source.name
        self.kind: SourceKind = source.kind
        self.total = source.total
        self.fps = source.fps

    @property
    def dropped(self) -> int:
        """Frames that a live source gave and nobody took in time."""
        return self._source.dropped

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class FakeSource:
    """A complete source of prepared pictures for tests; a str instead of one is a frame with that error."""

    def __init__(
        self,
        pictures: Sequence[NDArray[np.uint8] | str],
        name: str = "fake",
        kind: SourceKind = "image",
        fps: float | None = None,
    ) -> None:
        self._pictures = pictures
        self.name = name
        self.kind: SourceKind = kind
        self.total: int | None = None if kind == "live" else len(pictures)
        self.fps = fps
        self.dropped = 0
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield one frame for each picture."""
        for number, picture in enumerate(self._pictures):
            path = Path(f"{self.name}-{number}.png") if self.kind == "image" else None
            stem = f"{self.name}-{number}"
            if isinstance(picture, str):
                yield Frame(self.name, number, stem, error=picture, path=path)
            else:
                yield Frame(self.name, number, stem, image=picture, path=path, read_ms=1.0)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
