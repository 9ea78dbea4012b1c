"""What edge-run does with one source: from the engine and the source to the summary."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_runtime.errors import EdgelineError
from edge_runtime.inspect.run import RunOptions, run
from edge_runtime.inspect.sinks import HumanSink, JsonSink, SaveOptions, WindowSink, open_sinks, window_possible
from edge_runtime.inspect.sinks.lines import write_line
from edge_runtime.inspect.sources import Frame, Source, in_real_time
from edge_runtime.inspect.sources.peek import PeekedSource
from edge_runtime.inspect.stop import Stop, stop_on_signals
from edge_runtime.inspect.summary import Summary

if TYPE_CHECKING:
    from edge_runtime.engine import Engine

__all__ = ["OpenEngine", "Shown", "run_source", "summarized"]


class OpenEngine(Protocol):
    """Opens the bundle that the command names, with all its other flags."""

    def __call__(self, batch: int, reserve_bytes: int, preempt: bool = False) -> Engine: ...


@dataclass(frozen=True)
class Shown:
    """Where records go: what is saved, JSON or words, windows; `say_summary` writes the summary.

    `standing` says what this machine is and how the bundle is run on it.
    """

    saving: SaveOptions
    json_lines: bool
    headless: bool
    say_summary: Callable[[], None]
    standing: Sequence[str] = ()


@contextlib.contextmanager
def summarized(shown: Shown) -> Iterator[None]:
    """Write the summary when the run inside ends, by an error or Ctrl-C too."""
    try:
        yield
    except (EdgelineError, KeyboardInterrupt):
        shown.say_summary()
        raise
    shown.say_summary()


def run_source(
    open_engine: OpenEngine,
    open_the_source: Callable[[], Source],
    realtime: bool,
    options: RunOptions,
    shown: Shown,
    summary: Summary,
    stop: Stop,
    frames_bytes: Callable[[Frame | None, int], int] | None,
) -> None:
    """Judge one source with `options.batch` frames at once. `frames_bytes` None: there is no memory limit.

    Raises what open_bundle, open_source and run raise.
    """
    with contextlib.ExitStack() as stack:

        def opening() -> Source:
            return stack.enter_context(contextlib.closing(open_the_source()))

        opened: Source | None = None
        reserve = 0
        if frames_bytes is not None:
            # What the source's decoder takes is measured with the process, and so are the frames that will be held.
            opened = peeked = PeekedSource(opening())
            reserve = frames_bytes(peeked.first, options.batch)
        engine = stack.enter_context(open_engine(options.batch, reserve))
        source = opened or opening()
        source = in_real_time(source, stop) if realtime else source
        sinks, summary.saved = open_sinks(shown.saving, engine.manifest.model.name, source, stack)
        if not shown.headless and window_possible():
            sinks.append(WindowSink(stop))
        # Last: a verdict is announced once its files are there.
        sinks.append(
            JsonSink(sys.stdout)
            if shown.json_lines
            else HumanSink(sys.stdout, source.kind, source.total, sys.stdout.isatty())
        )
        if not shown.json_lines:
            model = engine.manifest.model
            write_line(sys.stdout, f"{model.name} {model.version} ({model.precision}) on {source.name}")
            for line in shown.standing:
                write_line(sys.stdout, line)
        stack.enter_context(stop_on_signals(stop))
        with summarized(shown):
            run(engine, source, sinks, summary, options, stop)
