"""What a YOLO data set's data.yaml says: its class names (or classes.txt), and the shape of its key points."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_export.evaluate.data.images import listed_lines, read_text
from edge_export.model.yaml_text import parse_yaml
from edge_runtime.errors import DataError

__all__ = ["read_points_shape", "read_yolo_names"]

_NAMES, _SHAPE = "names", "kpt_shape"
_MOST_CLASSES = 100_000


def read_yolo_names(folder: Path) -> tuple[str, ...]:
    """Return the class names from classes.txt or a data.yaml (`names:` in any of YOLO's ways); or ()."""
    listed = folder / "classes.txt"
    if listed.is_file():
        return tuple(text for _, text in listed_lines(listed))
    return next((names for path in _files(folder) if (names := _names(_key(path, _NAMES), path))), ())


def read_points_shape(folder: Path) -> tuple[int, int] | None:
    """Return `kpt_shape:` of a data.yaml, (points, values of each: 2 or 3); None where there is none."""
    for path in _files(folder):
        shape = _key(path, _SHAPE)
        if shape is None:
            continue
        values = [int(text) for text in shape if _is_number(text)] if isinstance(shape, list) else []
        if len(values) != 2 or values[1] not in (2, 3) or not 1 <= values[0] <= 1000 or len(shape) != 2:
            raise DataError(f"{path}: expected {_SHAPE}: [POINTS, 2 or 3], found {_shown(shape)}")
        return values[0], values[1]
    return None


def _files(folder: Path) -> Iterator[Path]:
    # The last is for a split, valid/images beside data.yaml.
    candidates = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*.yml")), folder.parent / "data.yaml"]
    return (path for path in candidates if path.is_file())


def _key(path: Path, key: str) -> Any:
    """Return what stands behind a key of a file, in texts; None where it has none. Other files may be anything."""
    text = read_text(path)
    if not re.search(rf"^['\"]?{key}['\"]?[ \t]*:", text, re.MULTILINE):
        return None
    try:
        data = parse_yaml(text)
    except ValueError as error:
        raise DataError(f"{path}: cannot read the `{key}:` entry: {error}; names with signs need quotes") from error
    return data.get(key) if isinstance(data, dict) else None


def _names(value: Any, path: Path) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, Mapping) and all(map(_is_number, value)):
        by_index = {int(key): name for key, name in value.items()}
    elif isinstance(value, list):
        by_index = dict(enumerate(value))
    else:
        raise DataError(
            f"{path}: cannot read the `names:` entry, {_shown(value)}; write it as `- name` or `0: name` lines"
        )
    for index, name in by_index.items():
        if not isinstance(name, str):
            raise DataError(f"{path}: expected a name for class {index}, found {_shown(name)}; put it in quotes")
    return _dense(by_index, path)


def _is_number(text: Any) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[0-9]{1,9}", text) is not None


def _shown(value: Any) -> str:
    """Some of what was found, as it could have been written."""
    text = str(value).replace("'", "")
    return text if len(text) <= 60 else f"{text[:57]}..."


def _dense(by_index: dict[int, str], path: Path) -> tuple[str, ...]:
    if by_index and max(by_index) > _MOST_CLASSES:
        raise DataError(f"{path}: class index {max(by_index)} in `names:` is out of range (0..{_MOST_CLASSES})")
    size = max(by_index, default=-1) + 1
    return tuple(by_index.get(index, f"class {index}") for index in range(size))
