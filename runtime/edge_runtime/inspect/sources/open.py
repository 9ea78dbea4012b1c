"""From what the user typed after --source to a source: one table, in which the first row that fits counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import SourceError
from edge_runtime.inspect.address import masked
from edge_runtime.inspect.sources import files, streams
from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.images import images_in
from edge_runtime.inspect.sources.options import PLAIN, SourceOptions
from edge_runtime.inspect.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES

__all__ = [
    "SOURCES",
    "SourceRow",
    "in_real_time",
    "looks_like_source",
    "looks_live",
    "open_source",
]


@dataclass(frozen=True)
class SourceRow:
    """A kind of source: whether a text `is_one`, without opening it, and what opens it.

    `live`: it does not wait. `plain`: such a text cannot be a path, and never a bundle's.
    """

    is_one: Callable[[str], bool]
    open: Callable[[str, SourceOptions, Callable[[], bool]], Source]
    live: bool = False
    plain: bool = False


# A new kind of source is one file and one row: a class as in base.py, and the two functions that a row takes.
SOURCES = (
    SourceRow(files.is_watched, files.open_watched, live=True, plain=True),
    SourceRow(files.is_file_url, files.open_file_url, plain=True),
    SourceRow(streams.is_camera, streams.open_live_camera, live=True, plain=True),
    SourceRow(streams.is_stream, streams.open_live_stream, live=True, plain=True),
    SourceRow(streams.is_url, streams.open_url_of_a_file, plain=True),
    SourceRow(files.is_folder, files.open_folder),
    SourceRow(files.is_file, files.open_file_source),
    SourceRow(files.is_pattern, files.open_pattern),
)


def open_source(text: str, options: SourceOptions = PLAIN, stop: Callable[[], bool] = lambda: False) -> Source:
    """Open a camera ("0", "/dev/video0"), URL, video, image, folder or glob. Raises SourceError in one line.

    `stop` tells a live source that is waiting for a frame to end.
    """
    try:
        row = _row_of(text)
        if row is not None:
            return row.open(text, options, stop)
        looked_in = Path.cwd()
    except (OSError, ValueError, RuntimeError) as error:  # a path too long, a bad URL, the home of an unknown user
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"cannot look at {masked(text)}: {reason}; check --source") from error
    raise SourceError(
        f"no such image, video or folder: {masked(text)} (looked in {looked_in}); "
        "give a file, a folder, a quoted pattern, a camera number or a URL"
    )


def in_real_time(source: Source, stop: Callable[[], bool] = lambda: False) -> Source:
    """Return a video file as a camera that gives its frames at their rate; any other source as it is.

    Raises SourceError for a video without a rate.
    """
    if source.kind != "video":
        return source
    from edge_runtime.inspect.sources.realtime import RealtimeSource  # for --realtime alone

    return RealtimeSource(source, stop=stop)


def looks_like_source(text: str) -> bool:
    """Return whether an argument is plainly something to look at rather than a bundle."""
    try:
        row = _row_of(text)
        if row is not None and row.plain:
            return True
        path = Path(text)
        if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
            return not path.is_dir()
        return path.is_dir() and not (path / "manifest.json").exists() and bool(images_in(path.iterdir()))
    except (OSError, RuntimeError):  # too long a name, no permission, no such user: whoever opens it says why
        return False
    except ValueError:  # a bad URL
        return streams.is_url(text)


def looks_live(text: str) -> bool:
    """Return whether a source is plainly a camera or a stream, without opening it."""
    try:
        row = _row_of(text)
    except (OSError, ValueError, RuntimeError):  # who opens it says so
        return False
    return row is not None and row.live


def _row_of(text: str) -> SourceRow | None:
    return next((row for row in SOURCES if row.is_one(text)), None)
