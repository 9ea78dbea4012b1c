"""From good parts before a station's camera, or in a folder, to what its pictures must keep to; and the empty view."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import DataError, UsageError
from edge_runtime.files.atomic import write_bytes
from edge_runtime.inspect.health.dead import dead
from edge_runtime.inspect.health.learn import learn
from edge_runtime.inspect.health.limits import Limits
from edge_runtime.inspect.health.measures import CELLS, TONES
from edge_runtime.inspect.sources.base import Frame, Source
from edge_runtime.station.png import encode_png
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.open import triggered
from edge_runtime.station.triggers.settings import TriggerEntry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MOST", "learn_parts", "table", "write_empty"]

MOST = 200  # pictures; more of them say nothing new, and each counts in memory
_EMPTY = 10  # pictures of the empty view: a belt looks a little otherwise everywhere


def learn_parts(
    source: Source, entry: TriggerEntry | None, line: Line, seconds: float | None, say: Callable[[str], None]
) -> Limits:
    """Learn from the pictures of parts that a source shows for so long (None: of a folder or film, all).

    Of a camera they are MOST at most, as far apart as the time allows. Raises DataError for too few, SourceError.
    """
    left_out = 0

    def pictures() -> Iterator[NDArray[np.uint8]]:
        nonlocal left_out
        every = 0.0 if seconds is None or source.kind != "live" else seconds / MOST
        began, due = None, float("-inf")
        for frame in triggered(source, entry, line):
            began = frame.taken_s if began is None else began
            if seconds is not None and source.kind == "live" and frame.taken_s - began > seconds:
                return
            if frame.taken_s < due:
                continue
            why = frame.error if frame.image is None else dead(frame.image)
            if frame.image is None or why is not None:
                left_out += 1
                say(f"left out: {why}")
                continue
            due = frame.taken_s + every
            yield frame.image

    with contextlib.closing(source):
        found = learn(pictures())
    if left_out > found.pictures:
        raise DataError(f"{left_out} pictures cannot be read and {found.pictures} can: no good ones to learn from")
    return found


def table(limits: Limits) -> list[str]:
    """Return what was learnt as lines: each reason why a picture is not judged, with its limit."""
    place = "not learnt: the scene moves" if limits.place is None else f"more than {limits.place.shift:.1%} of the view"
    cells = f"of {CELLS * CELLS} fields"
    rows = [
        ("out of focus", f"sharpness below {limits.sharpness:.2f}"),
        ("under-exposed", f"the lightest 1 % below level {limits.white:.0f}, or brightness below {limits.darkest:.0f}"),
        ("over-exposed", f"the darkest 1 % above level {limits.black:.0f}, or brightness above {limits.brightest:.0f}"),
        ("covered", f"more than {limits.dull_cells} {cells} without contrast"),
        (
            "covered or dirty",
            f"more than {limits.odd_cells} {cells} darker, lighter or duller than in any good picture",
        ),
        ("shifted", place),
        ("tones", f"a share of one of {TONES} tones that no good picture had"),
    ]
    width = max(len(name) for name, _ in rows)
    return [
        f"learnt from {limits.pictures} pictures; not judged is what is",
        *(f"  {a:<{width}}  {b}" for a, b in rows),
    ]


def write_empty(source: Source, target: Path, seconds: float) -> int:
    """Write pictures of the empty view, as far apart as the time allows; returns how many.

    `target` with a suffix is one picture, else a folder of several. Raises DataError where there is none, SourceError.
    """
    kept: list[Frame] = []
    with contextlib.closing(source):
        began, due = None, float("-inf")
        for frame in source:
            began = frame.taken_s if began is None else began
            if frame.image is not None and frame.taken_s >= due:
                due = frame.taken_s + (seconds / _EMPTY if source.kind == "live" else 0.0)
                kept.append(frame)
            if len(kept) == _EMPTY or frame.taken_s - began > seconds:
                break
    if not kept:
        raise DataError("the source gave no picture that can be read; there is no empty view to be learnt")
    kept = kept[-1:] if target.suffix else kept
    if target.suffix:
        write_bytes(target, _png(kept[0]))
    else:
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("empty-*.png"):
            old.unlink()
        for number, frame in enumerate(kept):
            write_bytes(target / f"empty-{number}.png", _png(frame))
    return len(kept)


def _png(frame: Frame) -> bytes:
    if frame.image is None:
        raise UsageError("the picture cannot be written as PNG")
    return encode_png(frame.image)
