"""A part on the line, and a frame that shows one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edge_runtime.inspect.sources.base import Frame

__all__ = ["Part", "PartFrame", "showing"]


@dataclass(frozen=True)
class Part:
    """One part: `number` counts from 0 since the station was started, without a gap; `id` is its name, if it has one.

    `triggered_s`: when it was said to be there, on time.monotonic's clock.
    """

    number: int
    id: str | None = None
    triggered_s: float = 0.0


@dataclass(frozen=True, eq=False)
class PartFrame(Frame):
    """A frame of a part; `last`: no other frame of it comes."""

    part: Part = Part(0)
    last: bool = True


def showing(frame: Frame, part: Part, last: bool) -> PartFrame:
    """Return the frame as one of a part."""
    values = {field.name: getattr(frame, field.name) for field in dataclasses.fields(Frame)}
    return PartFrame(**{**values, "wanted": True}, part=part, last=last)
