"""Image files of a folder or a list: finding, choosing and reading them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import DataError
from edge_runtime.inspect import sources
from edge_runtime.inspect.sources import IMAGE_SUFFIXES
from edge_runtime.inspect.sources.stills.read import Reading

__all__ = [
    "IMAGE_SUFFIXES",
    "find_images",
    "listed_lines",
    "match_image",
    "read_image",
    "read_text",
    "spread",
]


def find_images(folder: Path) -> list[Path]:
    """Return every image file below `folder`, sorted by path; hidden files and folders are not looked at."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def read_image(path: Path) -> NDArray[np.uint8] | None:
    """Return an image as the device reads it, uint8 [height, width, 3], BGR, upright; None if unreadable."""
    try:
        return sources.read_image(path, _reading(path.parent))
    except DataError:
        return None


@functools.cache
def _reading(folder: Path) -> Reading:
    """How the pictures of a folder are read: the bit depth of its first one of 16 bits holds for all of them."""
    return Reading()


def spread(count: int, limit: int, seed: int) -> list[int]:
    """Choose `limit` of `count` indices (all when limit is 0 or enough), ascending and spread over the range.

    The range is cut into `limit` strata of nearly equal size and one index is drawn from each: folders are
    sorted by name, and names often group what belongs together, so every group is met.
    """
    if limit <= 0 or limit >= count:
        return list(range(count))
    edges = np.linspace(0, count, limit + 1).astype(int)
    generator = np.random.default_rng(seed)
    return [int(generator.integers(low, high)) for low, high in itertools.pairwise(edges)]


def read_text(path: Path) -> str:
    """Read a label or list file (UTF-8). Raises DataError naming the file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path and its rights") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a UTF-8 text file (byte {error.start}); expected labels as text") from error


def listed_lines(path: Path) -> Iterable[tuple[int, str]]:
    """Yield (line number from 1, stripped line) of a text file without empty lines and # comments."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if (text := line.strip()) and not text.startswith("#"):
            yield number, text


def match_image(folder: Path, stem: str) -> Path | None:
    """Return the image in `folder` with this stem, whatever its suffix; None if there is none."""
    for suffix in sorted(IMAGE_SUFFIXES):
        for name in (stem + suffix, stem + suffix.upper()):
            if (folder / name).is_file():
                return folder / name
    return None
