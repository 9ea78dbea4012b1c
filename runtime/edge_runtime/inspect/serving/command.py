"""What edge-run does with several sources, or with one that has a deadline: from opened sources to the summary."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from edge_runtime.batching.vocabulary import CostTable, Priority
from edge_runtime.errors import MemoryLimitError, UsageError
from edge_runtime.inspect.one_source import OpenEngine, Shown, summarized
from edge_runtime.inspect.serving.explaining import explain_to
from edge_runtime.inspect.serving.feed import Feed, frames_held, unique_names
from edge_runtime.inspect.serving.measuring import measure_costs
from edge_runtime.inspect.serving.serve import ServeOptions, serve
from edge_runtime.inspect.sinks import HumanSink, JsonSink, Sink, WindowSink, open_many_sinks, window_possible
from edge_runtime.inspect.sinks.lines import write_line
from edge_runtime.inspect.sources import Frame, Source, in_real_time
from edge_runtime.inspect.sources.peek import PeekedSource
from edge_runtime.inspect.stop import Stop, stop_on_signals
from edge_runtime.inspect.summary import Summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.engine import Engine

__all__ = ["ServeFlags", "deadlines_of", "priorities_of", "serve_sources"]

T = TypeVar("T")

_LARGEST = 8  # images together where nobody says how many: more brings hardly anything on any board
_PRIORITIES: tuple[Priority, ...] = ("urgent", "normal", "background")


@dataclass(frozen=True)
class ServeFlags:
    """`priorities` and `deadlines_ms` in the order of the sources, one for all, or none. `batch` None: as measured.

    `table`: what batches cost, as a tuned profile has it; None: measured in a moment at the start. `plain`: one source
    that nothing is asked of but its verdicts.
    """

    priorities: tuple[Priority, ...] = ()
    deadlines_ms: tuple[float, ...] = ()
    realtime: bool = False
    explain: Path | None = None
    batch: int | None = None
    max_frames: int | None = None
    table: CostTable | None = None
    plain: bool = False


def priorities_of(text: str | None) -> tuple[Priority, ...]:
    """Read `urgent,normal`. Raises UsageError for another word."""
    words = [] if text is None else [word.strip().lower() for word in text.split(",")]
    for word in words:
        if word not in _PRIORITIES:
            raise UsageError(f"--priority {word!r} is not known; give {', '.join(_PRIORITIES)}, one for each --source")
    return cast("tuple[Priority, ...]", tuple(words))


def deadlines_of(text: str | None) -> tuple[float, ...]:
    """Read `40,100`, milliseconds. Raises UsageError for what is no time."""
    try:
        found = () if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(0 < value < math.inf for value in found):
        raise UsageError(f"--deadline-ms {text!r}: expected milliseconds such as 40 or 40,100, one for each --source")
    return found


def serve_sources(
    open_engine: OpenEngine,
    opened: Sequence[Source],
    flags: ServeFlags,
    shown: Shown,
    summary: Summary,
    stop: Stop,
    frames_bytes: Callable[[Sequence[Frame | None], int, int], int] | None,
) -> None:
    """Serve sources that are open; they are closed in the end, and the summary holds what was done.

    `frames_bytes` says what the frames of all sources take within a memory limit (first frames, held of each, in work
    at a time); None: there is no limit. Raises what open_bundle and serve raise.
    """
    with contextlib.ExitStack() as stack:
        for source in opened:
            stack.callback(source.close)
        peeked = [PeekedSource(source) for source in opened]
        firsts = [source.first for source in peeked]
        sources = [in_real_time(source, stop) if flags.realtime else source for source in peeked]
        feeds = _feeds(sources, flags)
        engine, largest = _open(open_engine, feeds, firsts, flags, frames_bytes)
        stack.callback(engine.close)
        held = frames_held(len(feeds), engine.lanes, largest)
        feeds = [dataclasses.replace(feed, held=held) for feed in feeds]
        table = flags.table or measure_costs(engine, _picture(firsts), largest)
        explain = explain_to(flags.explain, stack)
        sinks = _open_sinks(shown, engine.manifest.model.name, feeds, summary, stop, stack)
        if not shown.json_lines:
            model = engine.manifest.model
            names = feeds[0].name if len(feeds) == 1 else f"{len(feeds)} sources"
            write_line(sys.stdout, f"{model.name} {model.version} ({model.precision}) on {names}")
            for line in shown.standing:
                write_line(sys.stdout, line)
        stack.enter_context(stop_on_signals(stop))
        options = ServeOptions(table, flags.plain, flags.max_frames, explain=explain)
        with summarized(shown):
            serve(engine, feeds, sinks, summary, options, stop)


def _feeds(sources: Sequence[Source], flags: ServeFlags) -> list[Feed]:
    names = unique_names([source.name for source in sources])
    priorities = _for_each(flags.priorities or ("normal",), len(sources), "--priority")
    deadlines = _for_each(flags.deadlines_ms or (math.inf,), len(sources), "--deadline-ms")
    return [Feed(*values) for values in zip(sources, names, priorities, deadlines, strict=True)]


def _for_each(values: Sequence[T], count: int, flag: str) -> list[T]:
    if len(values) not in (1, count):
        raise UsageError(f"{flag} has {len(values)} values for {count} sources; give one for all, or one for each")
    return list(values) * (count if len(values) == 1 else 1)


def _open(
    open_engine: OpenEngine,
    feeds: Sequence[Feed],
    firsts: Sequence[Frame | None],
    flags: ServeFlags,
    frames_bytes: Callable[[Sequence[Frame | None], int, int], int] | None,
) -> tuple[Engine, int]:
    """Open the engine for the largest batch that there may be; returns both.

    Within a limit that is as many as there are sources, and fewer where that does not fit: what is streamed is then
    read once for all of them.
    """
    if frames_bytes is None:
        largest = flags.batch or _LARGEST
        return open_engine(largest, 0, False), largest
    preempt = len({feed.priority for feed in feeds} & {"urgent", "background"}) == 2
    largest = flags.batch or min(_LARGEST, len(feeds))
    while True:
        reserve = frames_bytes(firsts, frames_held(len(feeds), 1, largest), largest)
        try:
            return open_engine(largest, reserve, preempt), largest
        except MemoryLimitError:
            if largest == 1 or flags.batch is not None:
                raise
        largest //= 2


def _picture(firsts: Sequence[Frame | None]) -> NDArray[np.uint8]:
    """A frame to measure with: the first that could be read."""
    for frame in firsts:
        if frame is not None and frame.image is not None:
            return frame.image
    return np.zeros((480, 640, 3), np.uint8)


def _open_sinks(
    shown: Shown, model: str, feeds: Sequence[Feed], summary: Summary, stop: Stop, stack: contextlib.ExitStack
) -> list[list[Sink]]:
    sinks, summary.saved = open_many_sinks(shown.saving, model, [(feed.name, feed.source) for feed in feeds], stack)
    if not shown.headless and window_possible():
        for feed, several in zip(feeds, sinks, strict=True):
            several.append(WindowSink(stop, f"edge-run {feed.name} (q ends)"))
    for feed, several in zip(feeds, sinks, strict=True):  # last: a verdict is announced once its files are there
        lines = JsonSink(sys.stdout) if shown.json_lines else _human(feed)
        several.append(lines)
    return sinks


def _human(feed: Feed) -> HumanSink:
    return HumanSink(sys.stdout, feed.source.kind, feed.source.total, sys.stdout.isatty())
