"""From what the user typed after --source to a source."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import cv2

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.capture import open_camera, open_stream
from edge_runtime.inspect.sources.images import IMAGE_SUFFIXES, ImageSource, images_in, natural_key
from edge_runtime.inspect.sources.live import LiveOptions, LiveSource
from edge_runtime.inspect.sources.realtime import RealtimeSource
from edge_runtime.inspect.sources.video import VIDEO_SUFFIXES, VideoSource

__all__ = [
    "STREAM_SCHEMES",
    "SourceOptions",
    "in_real_time",
    "looks_like_source",
    "looks_live",
    "open_source",
    "without_password",
]

STREAM_SCHEMES = frozenset({"http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"})


@dataclass(frozen=True)
class SourceOptions:
    """`stride` takes each Nth frame of a video file; `live` is for cameras and streams."""

    stride: int = 1
    live: LiveOptions = field(default_factory=LiveOptions)


def in_real_time(source: Source, stop: Callable[[], bool] = lambda: False) -> Source:
    """Return a video file as a camera that gives its frames at their rate; any other source as it is.

    Raises SourceError for a video without a rate.
    """
    return RealtimeSource(source, stop=stop) if source.kind == "video" else source


def open_source(
    text: str,
    options: SourceOptions = SourceOptions(),
    stop: Callable[[], bool] = lambda: False,
) -> Source:
    """Open a camera ("0", "/dev/video0"), URL, video, image, folder or glob. Raises SourceError in one line.

    `stop` tells a live source that is waiting for a frame to end.
    """
    try:
        return _open(text, options, stop)
    except (OSError, ValueError, RuntimeError) as error:  # a path too long, a bad URL, the home of an unknown user
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"cannot look at {without_password(text)}: {reason}; check --source") from error


def _open(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    if text.isdigit() or text.startswith("/dev/"):
        name = f"camera {text}" if text.isdigit() else text
        return LiveSource(name, safe_stem(name), lambda: open_camera(text), _camera_hint(text), options.live, stop)
    if "://" in text:
        return _open_url(text, options, stop)
    path = Path(text).expanduser()
    if path.is_dir():
        return _open_folder(text, path)
    if path.is_file():
        return _open_file(text, path, options)
    if glob.has_magic(text):
        return _open_glob(text, options)
    raise SourceError(
        f"no such image, video or folder: {text} (looked in {Path.cwd()}); "
        "give a file, a folder, a quoted pattern, a camera number or a URL"
    )


def looks_like_source(text: str) -> bool:
    """Return whether an argument is plainly something to look at rather than a bundle."""
    path = Path(text)
    if "://" in text or text.isdigit() or text.startswith("/dev/"):
        return True
    try:
        if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
            return not path.is_dir()
        return path.is_dir() and not (path / "manifest.json").exists() and bool(images_in(path.iterdir()))
    except OSError:  # too long a name, no permission: whoever opens it says why
        return False


def looks_live(text: str) -> bool:
    """Return whether a source is plainly a camera or a stream, without opening it."""
    if text.isdigit() or text.startswith("/dev/"):
        return True
    try:
        return "://" in text and not _names_a_file(urlsplit(text))
    except ValueError:  # a bad URL: who opens it says so
        return False


def without_password(url: str) -> str:
    """Return a URL as it may be written to logs and records: its password is replaced by ***."""
    return re.sub(r"^([a-zA-Z][\w+.-]*://[^/@:]*):[^/]*@", r"\1:***@", url)


def safe_stem(text: str) -> str:
    """Return text as part of a file name: letters, digits, dot, dash, underscore; never a hidden file."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "unnamed"


def _open_url(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    name = without_password(text)
    parts = urlsplit(text)
    if parts.scheme.lower() not in STREAM_SCHEMES:
        raise SourceError(f"unknown kind of URL: {name}; known are {', '.join(sorted(STREAM_SCHEMES))}")
    host = safe_stem(parts.hostname or "stream")
    if _names_a_file(parts):
        return VideoSource(text, name, safe_stem(Path(parts.path).stem), options.stride)
    hint = "check the address, user and password, that the device is on, and that a player like ffplay shows it"
    return LiveSource(name, host, lambda: open_stream(text), hint, options.live, stop)


def _names_a_file(parts: SplitResult) -> bool:
    """A file behind a URL has an end; taken for a stream it would be "reconnected" to its beginning for ever."""
    files = (VIDEO_SUFFIXES - {".mjpg", ".mjpeg"}) | IMAGE_SUFFIXES
    return parts.scheme.lower() in ("http", "https") and Path(parts.path).suffix.lower() in files


def _open_file(text: str, path: Path, options: SourceOptions) -> Source:
    suffix = path.suffix.lower()
    # An unknown suffix is decided by the file's first bytes.
    if suffix in IMAGE_SUFFIXES or (suffix not in VIDEO_SUFFIXES and cv2.haveImageReader(str(path))):
        return ImageSource(text, [path])
    return VideoSource(str(path), text, safe_stem(path.stem), options.stride)


def _open_folder(text: str, path: Path) -> Source:
    try:
        images = images_in(path.iterdir())
    except OSError as error:
        raise SourceError(f"cannot list the folder {text}: {error.strerror}; check its permissions") from error
    if images:
        return ImageSource(text, images)
    deeper = images_in(path.glob("*/*"))
    videos = sorted((p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES), key=natural_key)
    if deeper:
        advice = f"its subfolders have some: --source '{text.rstrip('/')}/**/*{deeper[0].suffix}'"
    elif videos:
        advice = f"it has videos, to be given one at a time: --source '{videos[0]}'"
    else:
        advice = f"looked for {' '.join(sorted(IMAGE_SUFFIXES))}"
    raise SourceError(f"no images in the folder {text}; {advice}")


def _open_glob(text: str, options: SourceOptions) -> Source:
    # pathlib's own glob takes no absolute patterns.
    paths = [Path(match) for match in glob.iglob(str(Path(text).expanduser()), recursive=True)]  # noqa: PTH207
    images = images_in(paths)
    if images:
        return ImageSource(text, images)
    videos = sorted((p for p in paths if p.suffix.lower() in VIDEO_SUFFIXES), key=natural_key)
    if len(videos) == 1:
        return _open_file(str(videos[0]), videos[0], options)
    if videos:
        raise SourceError(f"{text} matches {len(videos)} videos; give one at a time, for example {videos[0]}")
    raise SourceError(f"no images match {text}: {len(paths)} paths matched in {Path.cwd()}, none of them an image")


def _camera_hint(text: str) -> str:
    cameras = sorted((str(p) for p in Path("/dev").glob("video*")), key=lambda name: natural_key(Path(name)))
    if not cameras:
        return "this machine has no /dev/video*; plug the camera in, check its cable and `dmesg`"
    wanted = f"/dev/video{text}" if text.isdigit() else text
    if wanted in cameras:
        return "it is there but cannot be used: another program has it, or your user is not in the group video"
    return f"the cameras here are {', '.join(cameras)}"
