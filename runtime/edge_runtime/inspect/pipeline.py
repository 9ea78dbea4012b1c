"""A run from its settings to its summary: what is needed is opened, run.py takes the frames through it.

Sources and sinks belong to this module while it opens, and to `run` from then on; the engine is this module's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import click

from edge_devices.process_memory import memory, most_beside
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import EdgelineError
from edge_runtime.inspect.feed import Feed, unique_names
from edge_runtime.inspect.health.filled import filled
from edge_runtime.inspect.health.settings import CAMERA_FROZEN_S, HealthSettings
from edge_runtime.inspect.health.source import WatchedSource
from edge_runtime.inspect.opening import Driven, Progress, open_in_turn
from edge_runtime.inspect.reader.process import ReaderProcess
from edge_runtime.inspect.room import picture_room, reader_bytes
from edge_runtime.inspect.run import run
from edge_runtime.inspect.settings import InputSettings, RunSettings, SourceSettings
from edge_runtime.inspect.sinks.base import Sink
from edge_runtime.inspect.sinks.lines import write_line
from edge_runtime.inspect.sinks.open import open_sinks
from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.open import in_real_time, looks_live, open_source
from edge_runtime.inspect.sources.options import SourceOptions
from edge_runtime.inspect.sources.peek import PeekedSource
from edge_runtime.inspect.sources.streams import is_camera
from edge_runtime.inspect.stop import Stop, stop_on_signals
from edge_runtime.inspect.suffixes import looks_like_pictures
from edge_runtime.inspect.summary import Summary
from edge_runtime.opening.sound import read_again
from edge_runtime.results import Judge
from edge_runtime.vision.preprocess import Preprocessor

__all__ = ["OpenSinks", "run_inside", "run_pipeline", "watched"]


class OpenSinks(Protocol):
    """Opens each source's sinks, by names of which there are no two; returns what is saved where, too.

    `cleanup` closes them should the run not come to it.
    """

    def __call__(
        self, engine: Judge, sources: Sequence[tuple[str, Source]], stop: Stop, cleanup: contextlib.ExitStack
    ) -> tuple[list[list[Sink]], list[tuple[str, Path]]]: ...


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(line, err=True)


def run_pipeline(settings: RunSettings, stop: Stop, progress: Progress) -> Summary:
    """Look at every source, and write the summary where there is a run to be summed up, a failed one too.

    `progress` is told of what a first use prepares. Raises SourceError, OutputError, UsageError, and what open_bundle
    and the engine raise.
    """
    summary = Summary()

    def sinks(
        engine: Judge, sources: Sequence[tuple[str, Source]], stop: Stop, cleanup: contextlib.ExitStack
    ) -> tuple[list[list[Sink]], list[tuple[str, Path]]]:
        return open_sinks(settings.output, engine.manifest.model.name, sources, stop, cleanup)

    @contextlib.contextmanager
    def at_work(reader: ReaderProcess) -> Iterator[None]:
        with stop_on_signals(stop), _summed_up(summary, reader, settings.output.lines == "json"):
            yield

    run_inside(settings, stop, progress, summary, sinks, at_work)
    return summary


def run_inside(
    settings: RunSettings,
    stop: Stop,
    progress: Progress,
    summary: Summary,
    sinks: OpenSinks,
    at_work: Callable[[ReaderProcess], contextlib.AbstractContextManager[None]],
    say: Callable[[str], None] = _say,
    around: Callable[[int, Source], Source] = lambda number, source: source,
) -> None:
    """Look at every source, as a part of something larger: signals, records and the summary are its business.

    `at_work` is entered when everything is open, before the first frame is judged. `say` is given what people should
    know at once, a line each. `around` puts something around the Nth source, whose pictures were looked at for their
    health by then. Raises as run_pipeline does.
    """
    summary.limit_bytes = settings.engine.options.memory_limit or 0
    # Within a limit, what a decoder takes is measured with the process, and the size of the frames has to be known.
    bounded = settings.engine.options.memory_limit is not None
    peek = settings.served or bounded
    # A single camera is opened last: what it gives while the model is loaded would only be dropped. Of a film the first
    # frames are decoded meanwhile.
    early = peek or not any(looks_live(source.text) for source in settings.inputs.sources)
    with contextlib.ExitStack() as cleanup:
        reader = cleanup.enter_context(contextlib.closing(ReaderProcess(bounded=bounded)))
        settings = _with_reader(settings, reader)
        settings = _with_notices(settings, summary, say)
        with contextlib.ExitStack() as opening:
            sources = _open_sources(settings, stop, say, opening) if early else []
            peeked = [PeekedSource(source) for source in sources] if peek else []
            settings = _with_room_for(reader, settings, peeked)
            driven = _drive(settings, peeked, progress, cleanup)
            found = peeked or sources or _open_sources(settings, stop, say, opening)
            feeds = _feeds(settings, found, driven.held, stop, around)
            feeds, summary.saved = _with_sinks(sinks, driven.engine, feeds, stop, opening)
            if settings.output.lines == "words":
                _write_heading(settings, driven.engine.manifest, feeds)
            opening.pop_all()
        with at_work(reader):
            try:
                run(driven.engine, feeds, driven.driver, summary, stop)
            finally:
                stepped = driven.engine.stepped
                summary.threads = "" if stepped is None else stepped.line()


def _with_reader(settings: RunSettings, reader: ReaderProcess) -> RunSettings:
    """Start the process that decodes, where something is not plainly pictures: it loads while the engine does."""
    inputs = settings.inputs
    if not all(looks_like_pictures(source.text) for source in inputs.sources):
        reader.start()
    options = dataclasses.replace(inputs.options, reader=reader)
    return dataclasses.replace(settings, inputs=dataclasses.replace(inputs, options=options))


def _with_room_for(reader: ReaderProcess, settings: RunSettings, peeked: Sequence[PeekedSource]) -> RunSettings:
    """Within a memory limit, leave the reader what it takes, and let it take no more."""
    engine = settings.engine
    if engine.options.memory_limit is None:
        return settings
    reserve = reader_bytes(reader.memory().now, [source.first for source in peeked])
    reader.most_bytes = reserve + reserve // 8 if reserve else reader.most_bytes
    options = dataclasses.replace(engine.options, reserve_bytes=engine.options.reserve_bytes + reserve)
    return dataclasses.replace(settings, engine=dataclasses.replace(engine, options=options))


def _with_notices(settings: RunSettings, summary: Summary, say: Callable[[str], None]) -> RunSettings:
    """Say at once, and in the summary, what sources have to say; within a memory limit, plan for pictures."""

    def notice(sentence: str) -> None:
        if sentence not in summary.notices:
            summary.notices.append(sentence)
            say(f"note: {sentence}")

    inputs = settings.inputs
    needed = _all if inputs.whole else functools.partial(_needed, settings.engine.bundle)
    room = picture_room(settings.engine.options.memory_limit, needed)
    options = dataclasses.replace(inputs.options, notice=notice, room=room)
    return dataclasses.replace(settings, inputs=dataclasses.replace(inputs, options=options))


@functools.cache
def _preprocess(bundle: Path) -> Preprocess | None:
    return read_bundle(bundle, check_hashes=False).manifest.preprocess


def _all(height: int, width: int) -> tuple[int, int]:
    return height, width


def _needed(bundle: Path, height: int, width: int) -> tuple[int, int]:
    """Return how much of a picture's height and width the model looks at."""
    spec = _preprocess(bundle)
    if spec is None:
        return height, width
    placed = Preprocessor(spec).place(height, width)
    return min(height, round(placed.scale_y * height)), min(width, round(placed.scale_x * width))


def _open_sources(
    settings: RunSettings, stop: Stop, say: Callable[[str], None], cleanup: contextlib.ExitStack
) -> list[Source]:
    """Open them all. One that is not there yet is waited for while the others run, and that is said."""
    inputs = settings.inputs
    sources = [
        cleanup.enter_context(contextlib.closing(open_source(source.text, _options(inputs, source), stop)))
        for source in inputs.sources
    ]
    until = time.monotonic() + inputs.options.live.opening
    for source in sources:
        if source.kind == "live":
            _wait_for(source, until, say)
    return sources


def _options(inputs: InputSettings, source: SourceSettings) -> SourceOptions:
    options = inputs.options
    if source.dropped is None and source.stream is None:
        return options
    return dataclasses.replace(
        options, dropped=source.dropped or options.dropped, stream=source.stream or options.stream
    )


def _wait_for(source: Source, until: float, say: Callable[[str], None]) -> None:
    """Give a camera or stream until then to begin, and say what it lacks."""
    from edge_runtime.inspect.sources.live import LiveSource  # which runs on files do without

    why = source.settle(max(0.0, until - time.monotonic())) if isinstance(source, LiveSource) else None
    if why is not None:
        say(f"waiting for {why}")


def _drive(
    settings: RunSettings, peeked: Sequence[PeekedSource], progress: Progress, cleanup: contextlib.ExitStack
) -> Driven:
    """Open the engine, and what brings frames to it. (The first frames are let go of on return.)"""
    firsts = [source.first for source in peeked]
    if settings.served:
        # Loaded when it is needed: the process of one source is smaller by it.
        from edge_runtime.inspect.serving.opening import open_served

        driven = open_served(settings, firsts, progress, cleanup)
    else:
        driven = open_in_turn(settings, firsts, progress)
    cleanup.callback(driven.engine.close)
    return driven


def _feeds(
    settings: RunSettings, sources: Sequence[Source], held: int, stop: Stop, around: Callable[[int, Source], Source]
) -> list[Feed]:
    inputs = settings.inputs
    paced = [in_real_time(source, stop) if inputs.realtime else source for source in sources]
    names = unique_names([source.name for source in paced])
    feeds = []
    for number, (source, given, name, asked) in enumerate(zip(sources, paced, names, inputs.sources, strict=True)):
        fit = around(number, watched(given, source.kind == "live", asked.text, asked.health or inputs.health))
        feeds.append(Feed(fit, name, (), asked.priority, asked.deadline_ms, held, inputs.max_frames))
    return feeds


def watched(source: Source, live: bool, text: str, settings: HealthSettings) -> Source:
    """Look at the pictures first: of a `live` source where nothing else is said. (A film in real time is a film.)

    Rows that were never filled, and one colour to the bit (but white), are looked for in files as well: no honest
    picture has them.
    """
    if settings.on is None and not live:
        return WatchedSource(source, lambda image, _: filled(image))
    if settings.on is False:
        return source
    from edge_runtime.inspect.health.watch import Watch  # which files do without

    own = is_camera(text)
    frozen = CAMERA_FROZEN_S if own and settings.frozen_seconds is None else settings.frozen_seconds
    watch = Watch(settings.limits, frozen if source.kind == "live" else None, compressed=not own)
    return WatchedSource(source, watch.finding)


def _with_sinks(
    sinks: OpenSinks, engine: Judge, feeds: Sequence[Feed], stop: Stop, cleanup: contextlib.ExitStack
) -> tuple[list[Feed], list[tuple[str, Path]]]:
    opened, saved = sinks(engine, [(feed.name, feed.source) for feed in feeds], stop, cleanup)
    return [dataclasses.replace(feed, sinks=own) for feed, own in zip(feeds, opened, strict=True)], saved


def _write_heading(settings: RunSettings, manifest: Manifest, feeds: Sequence[Feed]) -> None:
    model = manifest.model
    names = feeds[0].name if len(feeds) == 1 else f"{len(feeds)} sources"
    for line in (f"{model.name} {model.version} ({model.precision}) on {names}", *settings.heading):
        write_line(sys.stdout, line)


@contextlib.contextmanager
def _summed_up(summary: Summary, reader: ReaderProcess, as_json: bool) -> Iterator[None]:
    """Write the summary when the run inside ends, by an error or Ctrl-C too."""
    try:
        yield
    except (EdgelineError, KeyboardInterrupt):
        _write_summary(summary, reader, as_json)
        raise
    _write_summary(summary, reader, as_json)


def _write_summary(summary: Summary, reader: ReaderProcess, as_json: bool) -> None:
    """Write the summary beside the records: to stderr when they are JSON. A closed terminal is no error."""
    summary.peak_bytes = memory().peak + reader.memory().peak
    summary.checked_bytes, summary.checking_seconds = read_again.bytes, read_again.waited
    summary.preparing_bytes, summary.preparing_child_bytes = most_beside()
    with contextlib.suppress(OSError):
        click.echo("\n".join(summary.lines()), err=as_json)
