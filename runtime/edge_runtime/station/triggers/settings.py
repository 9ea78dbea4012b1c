"""What a recipe says of a trigger: one dataclass for each kind, and a field for each in `TriggerEntry`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

__all__ = ["Every", "Timing", "TriggerEntry"]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Of a camera, which frames show a part that something outside announces; settings of such triggers inherit it."""

    frames: int = field(default=1, metadata={"help": "How many frames in a row are looked at of each part."})
    delay: float = field(
        default=0.0,
        metadata={"unit": "seconds", "help": "From the trigger to when the part is before the camera: 0s, 250ms."},
    )
    deadline: float = field(
        default=1.0,
        metadata={"unit": "seconds", "help": "A part of which no frame is taken within this time is NO_READ."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for no frames or no time."""
        if self.frames < 1 or self.deadline <= 0:
            raise ValueError("a part has a frame at least, and a deadline is longer than nothing")


@dataclass(frozen=True)
class Every:
    """A part each so many seconds; of a film in its own time, and of pictures each is a part."""

    SHORT: ClassVar[str] = "period"

    period: float = field(metadata={"unit": "seconds", "help": "From one part to the next: 200ms, 1.5s."})
    frames: int = field(default=1, metadata={"help": "How many frames in a row are looked at of each."})

    def __post_init__(self) -> None:
        """Raise ValueError for no time or no frames."""
        if self.period <= 0 or self.frames < 1:
            raise ValueError("a period is longer than nothing, and a part has a frame at least")


@dataclass(frozen=True)
class TriggerEntry:
    """What says that a part is there: exactly one of these keys."""

    ONE_OF: ClassVar[bool] = True

    every: Every | None = field(default=None, metadata={"help": "A part each so many seconds."})
