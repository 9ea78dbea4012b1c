"""The loop: frames in, records out."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence

from edge_runtime.errors import DataError
from edge_runtime.inspect.record import ModelIdentity, make_record
from edge_runtime.inspect.sinks.base import Sink
from edge_runtime.inspect.sources.base import Frame, Source
from edge_runtime.inspect.summary import Summary
from edge_runtime.results import Judge, Result, RunCall

__all__ = ["RunOptions", "judge", "run"]


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """`batch` images go to the engine at once (never wait for a live source); `max_frames` None: no limit."""

    batch: int = 1
    max_frames: int | None = None


def run(
    engine: Judge,
    source: Source,
    sinks: Sequence[Sink],
    summary: Summary,
    options: RunOptions | None = None,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Judge every frame of `source`, give it to every sink, count it in `summary`, close sinks and source.

    Ends at the source's end, after `max_frames`, or when `stop()` is true, then with the frames already
    read judged. Whatever happens, the summary holds what was done and every sink was closed once.
    """
    options = options or RunOptions()
    model = ModelIdentity.of(engine.manifest, engine.bundle_sha256)
    size = 1 if source.kind == "live" else options.batch
    started = clock()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_finish, summary, source, started, clock)
        cleanup.callback(source.close)
        for sink in sinks:
            cleanup.callback(sink.close)
        for frames in _batches(itertools.islice(source, options.max_frames), size, stop):
            for frame, result in judge(engine.run, frames):
                record = make_record(frame, result, model)
                summary.add(record, read=frame.image is not None)
                for sink in sinks:
                    sink.write(frame, result, record)


def _finish(summary: Summary, source: Source, started: float, clock: Callable[[], float]) -> None:
    summary.seconds = clock() - started
    summary.dropped = source.dropped


def _batches(frames: Iterator[Frame], size: int, stop: Callable[[], bool]) -> Iterator[list[Frame]]:
    while not stop() and (batch := list(itertools.islice(frames, size))):
        yield batch


def judge(run_images: RunCall, frames: Sequence[Frame]) -> list[tuple[Frame, Result]]:
    """Return each frame with its result. One without an image is NO_READ and never reaches the model.

    When the engine refuses a picture, that one alone becomes a frame with an error.
    """
    images = [frame.image for frame in frames if frame.image is not None]
    try:
        results = iter(run_images(images) if images else ())
    except DataError as error:
        if len(frames) == 1:
            return judge(run_images, [dataclasses.replace(frames[0], image=None, error=str(error))])
        return [pair for frame in frames for pair in judge(run_images, [frame])]
    return [(frame, _no_read(frame) if frame.image is None else next(results)) for frame in frames]


def _no_read(frame: Frame) -> Result:
    return Result("NO_READ", (frame.error or "no image",), ())
