"""Annotated images, and one annotated video for a video or a camera."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge_runtime.errors import OutputError
from edge_runtime.files.atomic import sync_path, write_bytes, writing
from edge_runtime.inspect.record import Record
from edge_runtime.inspect.sinks.base import Opened, Target
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.inspect.sources.images import safe_stem
from edge_runtime.results import Result
from edge_runtime.vision.draw import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ImageSink", "VideoSink", "encode_image", "make_folder", "open_pictures"]

_DEFAULT_FPS = 25.0
_LONGEST_GAP_S = 10.0  # of a live recording that is filled by repeating a frame
_SPACE_NEEDED = 1 << 20
_SPACE_CHECKED_EVERY = 25  # frames
# H.264 plays everywhere but many OpenCV builds have no encoder for it; MPEG-4 part 2 is in all of them.
_CODECS = ("avc1", "mp4v")


def make_folder(path: Path) -> Path:
    """Create a folder and its parents; raises OutputError."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def encode_image(image: NDArray[np.uint8], suffix: str) -> bytes:
    """Return an image as the bytes of a file (".png", ".jpg"). cv2.imwrite would hide a full disk."""
    done, data = cv2.imencode(suffix, image, [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix == ".jpg" else [])
    if not done:
        raise OutputError(f"cannot encode a {image.shape[1]}x{image.shape[0]} image as {suffix}")
    return data.tobytes()


class ImageSink:
    """Writes each annotated image into `folder`: PNG for a PNG, JPEG for everything else."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder)

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Write one picture; nothing for a frame that was not read."""
        if frame.shown is None:
            return
        suffix = ".png" if frame.path is not None and frame.path.suffix.lower() == ".png" else ".jpg"
        write_bytes(self._folder / f"{frame.stem}{suffix}", encode_image(draw(frame.shown, result), suffix))

    def close(self) -> None:
        """Every picture is already complete."""


class VideoSink:
    """Writes annotated frames to one .mp4, under a temporary name until it is closed and found to be whole.

    A `live` recording keeps wall-clock time: frames are repeated so that one judged at 5 frames/s still
    plays at the speed of life. Frames of another size than the first are scaled to it; those not read show
    a gray NO READ picture.
    """

    def __init__(
        self,
        target: Path,
        fps: float | None,
        live: bool = False,
        free_space: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        make_folder(target.parent)
        self._target = target
        self._temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}")
        self._fps = min(fps or _DEFAULT_FPS, _DEFAULT_FPS) if live else fps or _DEFAULT_FPS
        self._live = live
        self._free_space = free_space
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._shape = (480, 640)
        self._started: float | None = None
        self._written = 0

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Append one frame."""
        image = frame.shown
        if image is None:
            image = np.full((*self._shape, 3), 90, np.uint8)
        else:
            self._shape = (image.shape[0], image.shape[1])
        picture = draw(image, result)
        if self._writer is None:
            self._writer = self._open(picture.shape[1], picture.shape[0])
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = _fit(picture, self._size)
        for _ in range(self._repeats(frame.taken_s)):
            if self._written % _SPACE_CHECKED_EVERY == 0:
                self._check_space()
            self._writer.write(picture)
            self._written += 1

    def close(self) -> None:
        """Finish the file and give it its name. Raises OutputError when frames are missing from it."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        try:
            self._verify()
            with writing(self._target):
                sync_path(self._temporary)
                self._temporary.replace(self._target)
                sync_path(self._target.parent)
        finally:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        self._size = (
            width - width % 2,
            height - height % 2,
        )  # the codecs store colour for 2x2 pixels at once
        with writing(self._temporary):
            self._temporary.touch()
        for codec in _CODECS:
            fourcc = cv2.VideoWriter.fourcc(*codec)
            writer = cv2.VideoWriter(str(self._temporary), fourcc, self._fps, self._size)
            if writer.isOpened():
                return writer
        self._temporary.unlink(missing_ok=True)
        raise OutputError(f"this OpenCV can write no .mp4 ({', '.join(_CODECS)}); use --save-txt or --save-crop")

    def _repeats(self, taken_s: float) -> int:
        """Return how often a frame is written: once, or up to its place in time in a live recording.

        On the clock that never jumps: a wall clock set ahead by days would ask for days of pictures.
        """
        if not self._live:
            return 1
        if self._started is None:
            self._started = taken_s
        due = int((taken_s - self._started) * self._fps) + 1
        return min(max(due - self._written, 1), int(self._fps * _LONGEST_GAP_S))

    def _check_space(self) -> None:
        """OpenCV does not say when a frame could not be written, so look before."""
        if self._free_space(self._target.parent) >= _SPACE_NEEDED:
            return
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        self._temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {self._target}: no space left; free some or choose another --output")

    def _verify(self) -> None:
        capture = cv2.VideoCapture(str(self._temporary))
        found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if found < self._written:
            raise OutputError(
                f"cannot write {self._target}: {found} of {self._written} frames arrived; "
                "free some space or choose another --output"
            )


def _fit(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut an odd last row or column off, or scale a picture of another size."""
    width, height = size
    if picture.shape[1] - width in (0, 1) and picture.shape[0] - height in (0, 1):
        return np.ascontiguousarray(picture[:height, :width])
    return cast("NDArray[np.uint8]", cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def open_pictures(target: Target) -> Opened | None:
    """Open what --save asks for: images of images, one video of everything else."""
    if not target.settings.pictures:
        return None
    source, folder = target.source, target.folder()
    if source.kind == "image":
        return Opened(ImageSink(folder), "annotated images", folder)
    place = folder / f"{safe_stem(Path(source.name).stem)}.mp4"
    return Opened(VideoSink(place, source.fps, live=source.kind == "live"), "annotated video", place)
