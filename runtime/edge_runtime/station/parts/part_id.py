"""The name of a part, of its frames. None is better than a wrong one: what is not plain has a reason in its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_runtime.inspect.sources.base import Frame
from edge_runtime.station.parts.settings import CodeId, NameId, PartIdEntry, Required
from edge_runtime.store.entries import PartVerdict

__all__ = ["Named", "PartNames", "part_names", "with_required"]

_SHOWN = 60  # characters of a code that is told of


@dataclass(frozen=True)
class Named:
    """A part's name, and what is wrong with it: a name that only the trigger knows has a reason too."""

    id: str | None = None
    reason: str | None = None

    def beside(self, triggered: str | None) -> Named:
        """Return the name of a part that the trigger calls `triggered` (None: nothing)."""
        if triggered is None or self.id == triggered:
            return self
        if self.id is None:
            return Named(triggered, self.reason)
        return Named(None, f"the trigger says {triggered[:_SHOWN]}, the part itself {self.id[:_SHOWN]}")


@dataclass(frozen=True)
class PartNames:
    """Gives the parts of a station their names."""

    of: Callable[[Sequence[Frame]], Named]  # of all frames of a part that were judged, one at least
    required: Required | None = None


def part_names(entry: PartIdEntry | None) -> PartNames | None:
    """Return what a recipe asks for; None: parts are called what the trigger calls them.

    Raises UsageError for codes that nothing here reads.
    """
    if entry is None:
        return None
    if entry.name is not None:
        return PartNames(_of_files(entry.name), entry.name.required)
    if entry.code is not None:
        return PartNames(_of_codes(entry.code), entry.code.required)
    raise AssertionError  # a recipe names one


def with_required(
    verdict: PartVerdict, reasons: Sequence[str], named: Named, required: Required | None
) -> tuple[PartVerdict, list[str]]:
    """Return the verdict on a part with this name, and its reasons: a defect stays one, what was not seen unseen."""
    if named.reason is None or required is None:
        return verdict, list(reasons)
    told = [*reasons, f"no part id: {named.reason}"]
    return (required if verdict in ("OK", "WARN") else verdict), told


def _of_files(settings: NameId) -> Callable[[Sequence[Frame]], Named]:
    pattern = re.compile(settings.pattern)

    def of(frames: Sequence[Frame]) -> Named:
        names = {frame.path.name for frame in frames if frame.path is not None}
        if not names:
            return Named(None, "the picture is no file")
        found = {match["part"] for name in names if (match := pattern.search(name)) is not None and match["part"]}
        return _only(found, f"the pattern is not found in the file's name {min(names)[:_SHOWN]}")

    return of


def _of_codes(settings: CodeId) -> Callable[[Sequence[Frame]], Named]:
    from edge_runtime.station.parts.code import open_code_reader  # with OpenCV's or another's detectors

    read = open_code_reader(settings)
    pattern = None if settings.pattern is None else re.compile(settings.pattern)
    x, y, width, height = settings.region or (0, 0, 1 << 30, 1 << 30)

    def of(frames: Sequence[Frame]) -> Named:
        # Only in what was fit to be judged: a picture that stands still shows the code of a part that is gone.
        images = [frame.image for frame in frames if frame.image is not None]
        if not images:
            return Named(None, "there is no picture to read a code in")
        texts, found = set(), set()
        for image in images:
            place = image[y : y + height, x : x + width]
            if not place.size or (settings.region and place.shape[:2] != (height, width)):
                size = f"{image.shape[1]}x{image.shape[0]}"
                return Named(None, f"the region for the code lies outside of the picture of {size}")
            texts.update(read(place))
        for text in texts:
            match = None if pattern is None else pattern.fullmatch(text)
            if pattern is None or (match is not None and match["part"]):
                found.add(text if match is None else match["part"])
        nothing = f"no code is like the pattern, found {min(texts)[:_SHOWN]!r}" if texts else "no code could be read"
        return _only(found, nothing)

    return of


def _only(found: set[str], nothing: str) -> Named:
    if not found:
        return Named(None, nothing)
    if len(found) > 1:
        return Named(None, f"{len(found)} different ones: {', '.join(text[:_SHOWN] for text in sorted(found)[:3])}")
    return Named(next(iter(found)))
