"""From what the user wants saved to sinks in an output folder that holds nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.files.atomic import writing
from edge_runtime.inspect.sinks.base import Sink
from edge_runtime.inspect.sinks.labels import CropSink, TextSink
from edge_runtime.inspect.sinks.pictures import ImageSink, VideoSink
from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.images import unused_stem
from edge_runtime.inspect.sources.open import safe_stem

__all__ = ["SaveOptions", "open_many_sinks", "open_sinks"]


@dataclass(frozen=True)
class SaveOptions:
    """What is saved to files. `output` None: runs/MODEL, or the first free of runs/MODEL-2, -3, ..."""

    pictures: bool = False
    labels: bool = False
    crops: bool = False
    output: Path | None = None

    @property
    def anything(self) -> bool:
        """Return whether an output folder is needed."""
        return self.pictures or self.labels or self.crops


def open_sinks(
    options: SaveOptions, model: str, source: Source, cleanup: contextlib.ExitStack
) -> tuple[list[Sink], list[tuple[str, Path]]]:
    """Return the sinks, and what is saved where; `cleanup` closes them should the run not come to it.

    Raises UsageError when the folder has files in it, OutputError when it cannot be written.
    """
    if not options.anything:
        return [], []
    return _open_in(_folder(options, model), options, source, cleanup)


def open_many_sinks(
    options: SaveOptions, model: str, sources: Sequence[tuple[str, Source]], cleanup: contextlib.ExitStack
) -> tuple[list[list[Sink]], list[tuple[str, Path]]]:
    """The same for several sources by name: each has a folder of its own in the one that is asked for."""
    if not options.anything:
        return [[] for _ in sources], []
    folder = _folder(options, model)
    sinks: list[list[Sink]] = []
    saved: list[tuple[str, Path]] = []
    taken: set[str] = set()
    for name, source in sources:
        stem = unused_stem(safe_stem(Path(name).stem if source.kind != "live" else name), taken)
        taken.add(stem)
        found, places = _open_in(_new_folder(folder / stem), options, source, cleanup)
        sinks.append(found)
        saved += places
    return sinks, saved


def _folder(options: SaveOptions, model: str) -> Path:
    return _given_folder(options.output) if options.output else _new_folder(Path("runs") / safe_stem(model))


def _open_in(
    folder: Path, options: SaveOptions, source: Source, cleanup: contextlib.ExitStack
) -> tuple[list[Sink], list[tuple[str, Path]]]:
    sinks: list[Sink] = []
    saved: list[tuple[str, Path]] = []

    def add(sink: Sink, what: str, place: Path) -> None:
        cleanup.callback(sink.close)
        sinks.append(sink)
        saved.append((what, place))

    if options.pictures and source.kind == "image":
        add(ImageSink(folder), "annotated images", folder)
    elif options.pictures:
        target = folder / f"{safe_stem(Path(source.name).stem)}.mp4"
        add(VideoSink(target, source.fps, live=source.kind == "live"), "annotated video", target)
    if options.labels:
        add(TextSink(folder / "labels"), "labels", folder / "labels")
    if options.crops:
        add(CropSink(folder / "crops"), "crops", folder / "crops")
    return sinks, saved


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
