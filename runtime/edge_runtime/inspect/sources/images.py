"""Image files: one decoder for all of them, and a source that goes through a list of paths."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.base import Frame, SourceKind
from edge_runtime.inspect.sources.stills.jpeg import whole_jpeg

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IMAGE_SUFFIXES", "ImageSource", "images_in", "natural_key", "read_image", "safe_stem", "unused_stem"]

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".jpe", ".jp2", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_DIGITS = re.compile(r"(\d+)")


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key under which img2 comes before img10, folder by folder."""
    parts = _DIGITS.split(str(path))
    # Every second part is a run of digits; the first field keeps numbers and words from being compared.
    return [(0, int(part), part) if number % 2 else (1, 0, part) for number, part in enumerate(parts)]


def images_in(paths: Iterable[Path]) -> list[Path]:
    """Return the image files among `paths` in natural order; hidden files are no images."""
    return sorted(
        (p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file()),
        key=natural_key,
    )


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file as uint8 [height, width, 3], BGR, turned upright as its EXIF orientation says.

    Gray, palette, CMYK and 16-bit images become 8-bit BGR (16 bits lose the lower 8); transparency is lost.
    Raises DataError ("cannot read: ..." or "cannot decode: ...") for every file that is not a whole image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read: {path.name} ({error.strerror or error})") from error
    if not data:
        raise DataError(f"cannot decode: {path.name} (the file is empty)")
    if data.startswith(b"\xff\xd8"):
        try:
            return whole_jpeg(data)
        except DataError as error:
            raise DataError(f"cannot decode: {path.name} ({error})") from error
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError) as error:
        reason = str(getattr(error, "err", "")) or "out of memory"
        if "CV_IO_MAX" in reason:
            reason = "too many pixels; OPENCV_IO_MAX_IMAGE_PIXELS sets the limit"
        raise DataError(f"cannot decode: {path.name} ({reason})") from error
    if image is None:
        raise DataError(f"cannot decode: {path.name} (truncated, damaged or of an unknown kind)")
    return cast("NDArray[np.uint8]", image)


class ImageSource:
    """Goes through image files in the order given."""

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name = name
        self.kind: SourceKind = "image"
        self.total: int | None = len(paths)
        self.fps: float | None = None
        self.dropped = 0
        self._paths = list(paths)

    def __iter__(self) -> Iterator[Frame]:
        """Yield one frame for each file, with its error when it cannot be read."""
        stems: set[str] = set()
        for number, path in enumerate(self._paths):
            stem = unused_stem(path.stem, stems)
            stems.add(stem)
            started = time.perf_counter()
            try:
                image = read_image(path)
            except DataError as error:
                yield Frame(self.name, number, stem, error=str(error), path=path, read_ms=_since(started))
            else:
                yield Frame(self.name, number, stem, image=image, path=path, read_ms=_since(started))

    def close(self) -> None:
        """Nothing is held open between two frames."""


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def unused_stem(stem: str, taken: set[str]) -> str:
    """Return `stem`, or stem-2, stem-3, ...: images of two folders may have the same name."""
    candidate, number = stem, 1
    while candidate in taken:
        number += 1
        candidate = f"{stem}-{number}"
    return candidate


def safe_stem(text: str) -> str:
    """Return text as part of a file name: letters, digits, dot, dash, underscore; never a hidden file."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "unnamed"
