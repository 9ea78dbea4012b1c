"""Image files: one decoder for all of them, and a source that goes through a list of paths."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import DataError
from edge_runtime.files.atomic import file_stamp
from edge_runtime.files.names import shown
from edge_runtime.files.sizes import format_size
from edge_runtime.inspect.room import FULL_HD
from edge_runtime.inspect.sources.base import Frame, SourceKind
from edge_runtime.inspect.sources.options import PLAIN, SourceOptions
from edge_runtime.inspect.sources.stills.eight_bits import Depth
from edge_runtime.inspect.sources.stills.read import HEAD, Picture, Reading, kind_of, pictures
from edge_runtime.inspect.suffixes import IMAGE_SUFFIXES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "ImageSource",
    "begins_like_a_picture",
    "images_in",
    "natural_key",
    "read_image",
    "safe_stem",
    "sort_files",
    "unused_stem",
]

_LONGEST_STEM = 180  # bytes
_DIGITS = re.compile(r"(\d+)")


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key under which img2 comes before img10, folder by folder."""
    parts = _DIGITS.split(str(path))
    # Every second part is a run of digits; the first field keeps numbers and words from being compared.
    return [(0, int(part), part) if number % 2 else (1, 0, part) for number, part in enumerate(parts)]


def images_in(paths: Iterable[Path]) -> list[Path]:
    """Return the image files among `paths` in natural order; hidden files are no images."""
    return sort_files(paths)[0]


def sort_files(paths: Iterable[Path]) -> tuple[list[Path], Counter[str]]:
    """Return the pictures among `paths` in natural order, and how many files of other kinds there are, by suffix.

    A picture is what begins like one, or is named like one, a dangling link too: by its own name, or by where it leads.
    Hidden files and folders are neither.
    """
    images: list[Path] = []
    others: Counter[str] = Counter()
    for path in paths:
        if path.name.startswith(".") or _is_folder(path):
            continue
        if path.suffix.lower() in IMAGE_SUFFIXES or begins_like_a_picture(path) or _led_to_a_picture(path):
            images.append(path)
        else:
            others[path.suffix.lower() or "without a suffix"] += 1
    return sorted(images, key=natural_key), others


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a link to where nobody may look
        return False


def _led_to_a_picture(path: Path) -> bool:
    try:
        lost = path.is_symlink() and not path.exists()
        return lost and (not path.suffix or path.readlink().suffix.lower() in IMAGE_SUFFIXES)
    except OSError:  # a circle of links
        return not path.suffix


def begins_like_a_picture(path: Path) -> bool:
    """Whether a file is a picture by its first bytes, of a kind that can be read or not."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as file:
            return kind_of(file.read(HEAD)) is not None
    except OSError:
        return False


def read_image(path: Path, reading: Reading | None = None) -> NDArray[np.uint8]:
    """Return an image file as uint8 [height, width, 3], BGR, turned upright as its EXIF orientation says.

    Gray, palette and CMYK become BGR; of what has more bits, and of transparency, see Reading. Of several pages, the
    first. Raises DataError ("cannot read: ..." or "cannot decode: ...") for every file that is not a whole image.
    """
    picture = next(pictures_of(path, reading or Reading()))
    if picture.image is None:
        raise DataError(picture.error)
    return picture.image


def pictures_of(path: Path, reading: Reading) -> Iterator[Picture]:
    """Yield the pictures of a file; the error of one that is none names the file."""
    name = shown(path.name)
    try:
        stamp, found = file_stamp(path), path.stat()
        size = found.st_size
        if not stat.S_ISREG(found.st_mode):  # of a pipe one waits for ever, a device may have no end
            yield Picture(error=f"cannot read: {name} (a folder, pipe, socket or device, not a file)")
            return
        if reading.room.kept and size > reading.room.kept + reading.room.working:
            error = f"cannot read: {name} (a file of {format_size(size)}, more than the memory limit leaves for one)"
            yield Picture(error=error)
            return
        data = path.read_bytes()
        if file_stamp(path) != stamp:  # written meanwhile: it may be whole now
            stamp, data = file_stamp(path), path.read_bytes()
        if file_stamp(path) != stamp:
            yield Picture(error=f"cannot read: {name} (it was written to while it was read)")
            return
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "out of memory"
        yield Picture(error=f"cannot read: {name} ({reason})")
        return
    for picture in pictures(data, reading):
        if picture.error is not None:
            page = "" if picture.page is None else f"page {picture.page} of "
            picture = dataclasses.replace(picture, error=f"cannot decode: {page}{name} ({picture.error})")
        yield picture


class ImageSource:
    """Goes through image files in the order given; each page of a file is a frame."""

    def __init__(self, name: str, paths: Sequence[Path], options: SourceOptions = PLAIN) -> None:
        self.name = name
        self.kind: SourceKind = "image"
        self.total: int | None = len(paths)
        self.fps: float | None = None
        self.dropped = 0
        self._paths = list(paths)
        self._planned = False
        self._reading = Reading(Depth(options.bit_depth, options.notice), options.background, options.room)

    def __iter__(self) -> Iterator[Frame]:
        """Yield one frame for each picture, with its error when it cannot be read."""
        stems: set[str] = set()
        number = 0
        for path in self._paths:
            own = unused_stem(_short(path.stem), stems)
            stems.add(own)
            started = time.perf_counter()
            for picture in pictures_of(path, self._reading):
                stem = own
                if picture.page is not None:
                    stem = unused_stem(f"{own}-{picture.page}", stems)
                    stems.add(stem)
                self._plan(picture)
                yield Frame(
                    self.name,
                    number,
                    stem,
                    image=picture.image,
                    error=picture.error,
                    path=path,
                    read_ms=_since(started),
                    page=picture.page,
                    size=picture.size,
                )
                number += 1
                started = time.perf_counter()

    def _plan(self, picture: Picture) -> None:
        """Within a memory limit the plan is made for pictures as large as the first (room.frames_bytes)."""
        room, reading = self._reading.room, self._reading
        if room.kept and not self._planned:
            self._planned = True
            first = FULL_HD if picture.image is None else picture.image.nbytes
            kept = max(first, room.reduced)
            reading.room = dataclasses.replace(room, kept=kept, working=max(room.working, 2 * kept))

    def close(self) -> None:
        """Nothing is held open between two frames."""


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _short(stem: str) -> str:
    """Return a stem to which a suffix and a temporary name can still be added: a file's name has 255 bytes at most."""
    return stem if len(os.fsencode(stem)) <= _LONGEST_STEM else os.fsdecode(os.fsencode(stem)[:_LONGEST_STEM])


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
