"""From what the user wants written and shown to sinks, in an output folder that holds nothing else: one table."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.files.atomic import writing
from edge_runtime.inspect.sinks.base import Opened, OutputSettings, Sink, Target
from edge_runtime.inspect.sinks.labels import open_crops, open_labels
from edge_runtime.inspect.sinks.lines import open_lines
from edge_runtime.inspect.sinks.pictures import open_pictures
from edge_runtime.inspect.sinks.window import open_window
from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.images import safe_stem, unused_stem
from edge_runtime.inspect.stop import Stop

__all__ = ["SINKS", "open_sinks"]

# A new sink is one file and one row: a class as in base.py, and a function that opens it where the settings ask for it
# (None: they do not). Each frame goes through them in this order: a verdict is announced once its files are there.
SINKS: tuple[Callable[[Target], Opened | None], ...] = (
    open_pictures,
    open_labels,
    open_crops,
    open_window,
    open_lines,
)


def open_sinks(
    settings: OutputSettings,
    model: str,
    sources: Sequence[tuple[str, Source]],
    stop: Stop,
    cleanup: contextlib.ExitStack,
) -> tuple[list[list[Sink]], list[tuple[str, Path]]]:
    """Return each source's sinks, and what is saved where; `cleanup` closes them should the run not come to it.

    `sources` by names of which there are no two; each of several has a folder of its own in the one that is asked for.
    Raises UsageError when the folder has files in it, OutputError when it cannot be written.
    """
    alone = len(sources) == 1
    folder = functools.cache(functools.partial(_folder, settings, model))
    sinks: list[list[Sink]] = []
    saved: list[tuple[str, Path]] = []
    stems: set[str] = set()
    for name, source in sources:
        stem = unused_stem(safe_stem(Path(name).stem if source.kind != "live" else name), stems)
        stems.add(stem)
        own = folder if alone else functools.cache(functools.partial(_folder_in, folder, stem))
        target = Target(settings, source, name, alone, own, stop)
        sinks.append([])
        for row in SINKS:
            opened = row(target)
            if opened is not None:
                cleanup.callback(opened.sink.close)
                sinks[-1].append(opened.sink)
                saved += [(opened.saves, opened.place)] if opened.place is not None else []
    return sinks, saved


def _folder(settings: OutputSettings, model: str) -> Path:
    return _given_folder(settings.folder) if settings.folder else _new_folder(Path("runs") / safe_stem(model))


def _folder_in(folder: Callable[[], Path], stem: str) -> Path:
    return _new_folder(folder() / stem)


def _new_folder(wanted: Path) -> Path:
    """Create and return `wanted`, or wanted-2, wanted-3, ...: the first that does not exist."""
    with writing(wanted):
        wanted.parent.mkdir(parents=True, exist_ok=True)
        folder, number = wanted, 1
        while True:
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
                folder = wanted.with_name(f"{wanted.name}-{number}")
            else:
                return folder


def _given_folder(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"cannot write to {folder}: it is a file; --output needs a folder")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--output {folder} has files in it and nothing is overwritten; name a new folder")
    return folder
