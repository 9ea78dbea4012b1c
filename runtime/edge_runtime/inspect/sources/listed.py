"""A list of sources (NAME.streams): a text file with one a line; `#` begins a line that is none."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.errors import UsageError
from edge_runtime.inspect.sources.open import looks_like_source, looks_live

__all__ = ["beside", "each_source", "is_list", "listed"]

_SUFFIX = ".streams"
_LARGEST = 1 << 20  # bytes
_MOST = 1000


def is_list(text: str) -> bool:
    """Whether a source is a list of some."""
    return "://" not in text and text.lower().endswith(_SUFFIX)


def listed(file: Path) -> list[tuple[int, str]]:
    """Return the sources of a list, each with its line, from 1. Raises UsageError for a list of none."""
    try:
        if file.stat().st_size > _LARGEST:
            raise UsageError(f"{file} has more than {_LARGEST >> 20} MB: that is no list of sources")
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read the list of sources {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the list of sources {file} is no UTF-8 text") from error
    found = [
        (number, text) for number, line in enumerate(lines, 1) if (text := line.strip()) and not text.startswith("#")
    ]
    if not found:
        raise UsageError(f"{file} lists no source; write one a line: rtsp://cam/1, 0, films/belt.mp4")
    if len(found) > _MOST:
        raise UsageError(f"{file} lists {len(found)} sources; {_MOST} are the most")
    for number, text in found:
        if is_list(text):
            raise UsageError(f"{file}:{number}: a list in a list; write its sources here")
    return found


def beside(file: Path, text: str) -> str:
    """Return a source as it is opened: paths are where the list is, cameras and URLs are what they are."""
    plain = looks_live(text) or ("://" in text and looks_like_source(text))
    return text if plain else str(file.parent / Path(text).expanduser())


def each_source(text: str) -> list[str]:
    """Return the sources that a text stands for: those of a list, or itself. Raises UsageError."""
    if not is_list(text):
        return [text]
    file = Path(text).expanduser()
    return [beside(file, one) for _, one in listed(file)]
