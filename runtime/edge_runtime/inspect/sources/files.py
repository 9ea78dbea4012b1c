"""Files, folders and patterns: what the user typed, and the source that it opens."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge_runtime.errors import SourceError
from edge_runtime.files.names import shown
from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.images import (
    ImageSource,
    begins_like_a_picture,
    images_in,
    natural_key,
    safe_stem,
    sort_files,
)
from edge_runtime.inspect.sources.options import SourceOptions
from edge_runtime.inspect.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES, WATCHED

__all__ = [
    "is_file",
    "is_file_url",
    "is_folder",
    "is_pattern",
    "is_watched",
    "open_file_source",
    "open_file_url",
    "open_folder",
    "open_pattern",
    "open_watched",
]


def is_folder(text: str) -> bool:
    """Whether this is a folder."""
    return Path(text).expanduser().is_dir()


def open_folder(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    """Open the images of a folder. Raises SourceError when there are none."""
    path = Path(text).expanduser()
    try:
        images, others = sort_files(path.iterdir())
    except OSError as error:
        raise SourceError(f"cannot list the folder {text}: {error.strerror}; check its permissions") from error
    if images:
        _tell_of(others, text, options)
        return ImageSource(shown(text), images, options)
    deeper = images_in(path.glob("*/*"))
    videos = _videos_among(path.iterdir())
    if deeper:
        advice = f"its subfolders have some: --source '{text.rstrip('/')}/**/*{deeper[0].suffix}'"
    elif videos:
        advice = f"it has videos, to be given one at a time: --source '{videos[0]}'"
    else:
        advice = f"looked for {' '.join(sorted(IMAGE_SUFFIXES))}"
    raise SourceError(f"no images in the folder {text}; {advice}")


def is_file(text: str) -> bool:
    """Whether this is a file."""
    return Path(text).expanduser().is_file()


def open_file_source(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    """Open an image or a video. Raises SourceError."""
    return _open_file(text, Path(text).expanduser(), options)


def is_file_url(text: str) -> bool:
    """Whether this is a file or folder of this machine, written as a URL."""
    return text.startswith("file://")


def open_file_url(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    """Open what a file:// URL names. Raises SourceError."""
    path = unquote(urlsplit(text).path)
    if is_folder(path):
        return open_folder(path, options, stop)
    if not is_file(path):
        raise SourceError(f"no such image, video or folder: {text}")
    return open_file_source(path, options, stop)


def is_watched(text: str) -> bool:
    """Whether this is a folder to be watched."""
    return text.startswith(WATCHED)


def open_watched(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    """Watch a folder. Raises SourceError where there is none."""
    from edge_runtime.inspect.sources.dropped import DroppedSource  # which other runs do without

    folder = Path(text.removeprefix(WATCHED)).expanduser()
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder} to watch; make it, or mount it, before the run begins")
    return DroppedSource(folder, options, stop)


def is_pattern(text: str) -> bool:
    """Whether this is a pattern of file names."""
    return glob.has_magic(text)


def open_pattern(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    """Open the images that match, or the one video. Raises SourceError when there are none."""
    # pathlib's own glob takes no absolute patterns.
    paths = [Path(match) for match in glob.iglob(_pattern(str(Path(text).expanduser())), recursive=True)]  # noqa: PTH207
    images, others = sort_files(paths)
    if images:
        _tell_of(others, text, options)
        return ImageSource(shown(text), images, options)
    videos = _videos_among(paths)
    if len(videos) == 1:
        return _open_file(str(videos[0]), videos[0], options)
    if videos:
        raise SourceError(f"{text} matches {len(videos)} videos; give one at a time, for example {videos[0]}")
    raise SourceError(f"no images match {text}: {len(paths)} paths matched in {Path.cwd()}, none of them an image")


def _pattern(text: str) -> str:
    """Return a pattern in which folders that are there under just that name stand for themselves: `line[1]/*.png`."""
    parts = Path(text).parts
    there = next((n for n in range(len(parts) - 1, 0, -1) if Path(*parts[:n]).is_dir()), 0)
    return str(Path(*(glob.escape(part) for part in parts[:there]), *parts[there:]))


def _tell_of(others: Counter[str], text: str, options: SourceOptions) -> None:
    """Say which files beside the pictures are not looked at."""
    if others:
        count = sum(others.values())
        kinds = ", ".join(f"{number} {shown(suffix)}" for suffix, number in sorted(others.items()))
        files = "files are no pictures" if count > 1 else "file is no picture"
        options.notice(f"{shown(text)}: {count} {files} and not looked at: {kinds}")


def _open_file(text: str, path: Path, options: SourceOptions) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".gif" and _is_cut(path):
        return ImageSource(shown(text), [path], options)
    # An unknown suffix is decided by the file's first bytes.
    if suffix in IMAGE_SUFFIXES or (suffix not in VIDEO_SUFFIXES and begins_like_a_picture(path)):
        return ImageSource(shown(text), [path], options)
    from edge_runtime.inspect.sources.video import VideoSource  # which runs on pictures do without

    return VideoSource(str(path), text, safe_stem(path.stem), options.stride, options.reader.open)


def _is_cut(path: Path) -> bool:
    """Whether a GIF is no film: it is one as long as it is whole, and ffmpeg does not tell."""
    from edge_runtime.inspect.sources.stills.gif import whole_gif

    return not whole_gif(path)


def _videos_among(paths: Iterable[Path]) -> list[Path]:
    return sorted((p for p in paths if p.suffix.lower() in VIDEO_SUFFIXES), key=natural_key)
