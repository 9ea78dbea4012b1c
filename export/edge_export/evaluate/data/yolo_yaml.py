"""What a YOLO data set's data.yaml says: its class names (or classes.txt), and the shape of its key points."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from edge_export.evaluate.data.images import listed_lines, read_text
from edge_runtime.errors import DataError

__all__ = ["read_points_shape", "read_yolo_names"]


def read_yolo_names(folder: Path) -> tuple[str, ...]:
    """Return the class names from classes.txt or a data.yaml (`names:` in any of YOLO's ways); or ()."""
    listed = folder / "classes.txt"
    if listed.is_file():
        return tuple(text for _, text in listed_lines(listed))
    return next((names for path in _files(folder) if (names := _yaml_names(path))), ())


def read_points_shape(folder: Path) -> tuple[int, int] | None:
    """Return `kpt_shape:` of a data.yaml, (points, values of each: 2 or 3); None where there is none."""
    for path in _files(folder):
        if found := re.search(
            r"^kpt_shape:(?:\s*[\[(-])?\s*(\d+)\s*(?:,|\n\s*-)\s*(\d+)", read_text(path), re.MULTILINE
        ):
            count, values = int(found[1]), int(found[2])
            if not 1 <= count <= 1000 or values not in (2, 3):
                raise DataError(f"{path}: expected kpt_shape: [POINTS, 2 or 3], found [{count}, {values}]")
            return count, values
    return None


def _files(folder: Path) -> Iterator[Path]:
    # The last is for a split, valid/images beside data.yaml.
    candidates = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*.yml")), folder.parent / "data.yaml"]
    return (path for path in candidates if path.is_file())


def _yaml_names(path: Path) -> tuple[str, ...]:
    """Read `names: [a, b]`, `names:` with `- a` lines, or with `0: a` lines; only this key of YAML."""
    text = read_text(path)
    if inline := re.search(r"^names:\s*([\[{].*?[\]}])", text, re.MULTILINE | re.DOTALL):
        return _inline_names(inline.group(1), path)
    if not (block := re.search(r"^names:[ \t]*(?:#.*)?\n((?:[ \t]*(?:-|\d+:).*\n?|[ \t]*\n)+)", text, re.MULTILINE)):
        return ()
    by_index: dict[int, str] = {}
    for line in block.group(1).splitlines():
        if found := re.match(r"\s*(?:-|(\d+):)\s*(.+?)\s*(?:#.*)?$", line):
            by_index[int(found.group(1)) if found.group(1) else len(by_index)] = found.group(2).strip("'\"")
    return _dense(by_index, path)


def _inline_names(text: str, path: Path) -> tuple[str, ...]:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):  # YAML needs no quotes: [cat, dog] or {0: cat, 1: dog}
        parts = [part.strip().strip("'\"") for part in text[1:-1].split(",") if part.strip()]
        if text.startswith("["):
            return tuple(parts)
        pairs = [part.partition(":") for part in parts]
        if not all(key.strip().isdigit() for key, _, _ in pairs):
            raise DataError(f"{path}: cannot read the `names:` entry; write it as `0: name` lines") from None
        return _dense({int(key): name.strip().strip("'\"") for key, _, name in pairs}, path)
    if isinstance(value, dict):
        return _dense({int(key): str(name) for key, name in value.items()}, path)
    return tuple(str(name) for name in value)


def _dense(by_index: dict[int, str], path: Path) -> tuple[str, ...]:
    if by_index and max(by_index) > 100_000:
        raise DataError(f"{path}: class index {max(by_index)} in `names:` is out of range (0..100000)")
    size = max(by_index, default=-1) + 1
    return tuple(by_index.get(index, f"class {index}") for index in range(size))
