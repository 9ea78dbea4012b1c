"""Lines on a stream: JSON for machines, words for people."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TextIO

import click

from edge_runtime.bundle.facts import Verdict
from edge_runtime.errors import OutputError
from edge_runtime.files.names import shown
from edge_runtime.inspect.record import Record, to_line
from edge_runtime.inspect.sinks.base import Opened, Target
from edge_runtime.inspect.sources.base import Frame, SourceKind
from edge_runtime.results import Result

__all__ = ["HumanSink", "JsonSink", "human_line", "open_lines", "write_line"]

_COLOURS: dict[Verdict, str] = {"OK": "green", "NG": "red", "NO_READ": "yellow"}
_WORDS: dict[SourceKind, str] = {"image": "image", "video": "frame", "live": "frame"}


def write_line(stream: TextIO, text: str) -> None:
    """Write a line and flush it: the reader of a pipe wants each verdict at once.

    Raises OutputError, but leaves BrokenPipeError alone: that the reader went away is no fault.
    """
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write standard output: {error.strerror}; free some space") from error


class JsonSink:
    """One JSON object per line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # JSON is UTF-8 whatever a terminal speaks; ASCII is the same in both.
        encoding = getattr(stream, "encoding", None) or "utf-8"
        self._ascii_only = codecs.lookup(encoding).name != "utf-8"

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Write the record."""
        write_line(self._stream, to_line(record, self._ascii_only))

    def close(self) -> None:
        """The stream is not ours to close."""


class HumanSink:
    """One readable line per frame."""

    def __init__(self, stream: TextIO, kind: SourceKind, total: int | None, colour: bool) -> None:
        self._stream = stream
        self._kind = kind
        self._total = total
        self._colour = colour

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Write the line."""
        milliseconds = record["timing_ms"]["total"]
        text = human_line(frame, result, self._kind, self._total, milliseconds, self._colour)
        write_line(self._stream, text)

    def close(self) -> None:
        """The stream is not ours to close."""


def human_line(
    frame: Frame,
    result: Result,
    kind: SourceKind,
    total: int | None,
    milliseconds: float,
    colour: bool = False,
) -> str:
    """Return for example `image 3/12 board-03.png: NG  open x1, spur x2  14.2 ms`."""
    counted = kind == "image" and (total is None or frame.frame_id < total)  # files of several pages have more
    place = f"{frame.frame_id + 1}" + f"/{total}" * counted
    name = shown(frame.path.name if frame.path is not None else frame.source)
    if frame.page is not None:
        name += f" page {frame.page}"
    if kind == "video" or (kind == "live" and "://" not in name and not name.startswith("/dev/")):
        name = name.rsplit("/", 1)[-1]  # a video given in real time is live, and no address
    verdict = result.verdict.replace("_", " ")
    if colour:
        verdict = click.style(verdict, fg=_COLOURS[result.verdict], bold=True)
    parts = [verdict, *filter(None, [_seen(result)]), f"{milliseconds:.1f} ms"]
    return f"{_WORDS[kind]} {place} {name}: {'  '.join(parts)}"


def _seen(result: Result) -> str:
    """Say in words what was found: counts of objects, regions with their share, or the likeliest classes."""
    if result.verdict == "NO_READ":
        return ", ".join(result.reasons)
    if result.score is not None:
        return f"score {result.score:.3f}"
    if result.tensors:
        return ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in result.tensors.items())
    regions = [p for p in result.predictions if p.area is not None and p.mask is None]
    if regions:
        return ", ".join(f"{p.name} {p.area:.1%}" for p in regions)
    if any(prediction.box is None for prediction in result.predictions):
        return ", ".join(f"{p.name} {p.confidence:.2f}" for p in result.predictions[:3])
    counts: dict[str, int] = {}
    for prediction in result.predictions:
        counts[prediction.name] = counts.get(prediction.name, 0) + 1
    # --classes may leave nothing to report of what made the verdict.
    return ", ".join(f"{name} x{count}" for name, count in counts.items()) or ", ".join(result.reasons)


def open_lines(target: Target) -> Opened | None:
    """Open what writes to standard output."""
    if target.settings.lines is None:
        return None
    if target.settings.lines == "json":
        return Opened(JsonSink(sys.stdout))
    # https://no-color.org
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Opened(HumanSink(sys.stdout, target.source.kind, target.source.total, colour))
