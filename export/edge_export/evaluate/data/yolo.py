"""YOLO labels: images/**/NAME.jpg with labels/**/NAME.txt, lines `class cx cy w h`, fractions of the image.

A line of a segmentation label, `class x1 y1 x2 y2 x3 y3 ...`, becomes the box around its polygon. An image
without a label file has no objects (Ultralytics' convention); such images are counted and reported.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np

from edge_export.evaluate.data.images import find_images, listed_lines, read_text, spread
from edge_export.evaluate.data.truth import BoxTruth, Labelled, LabelledSet
from edge_runtime.errors import DataError

__all__ = ["is_yolo", "open_yolo", "read_yolo_names"]


def is_yolo(folder: Path) -> bool:
    """Say whether the folder holds images/ and labels/ with text files in it."""
    labels = folder / "labels"
    return (folder / "images").is_dir() and labels.is_dir() and next(labels.rglob("*.txt"), None) is not None


def open_yolo(folder: Path, limit: int, seed: int) -> LabelledSet:
    """Read a YOLO data set. Raises DataError with file:line for a line that is not a label."""
    images = find_images(folder / "images")
    if not images:
        raise DataError(f"no images in {folder / 'images'}; a YOLO data set has images/ beside labels/")
    chosen = [images[index] for index in spread(len(images), limit, seed)]
    missing = 0
    items = []
    for image in chosen:
        label = (folder / "labels" / image.relative_to(folder / "images")).with_suffix(".txt")
        missing += not label.is_file()
        items.append(Labelled(image, _read_label(label) if label.is_file() else _boxes([], [])))
    notes = (f"{missing} of {len(items)} images have no label file: taken as showing no object",) if missing else ()
    if missing == len(items):
        raise DataError(
            f"none of the {len(items)} images in {folder / 'images'} has a label file in "
            f"{folder / 'labels'}; "
            "expected labels/SUB/NAME.txt for images/SUB/NAME.jpg"
        )
    return LabelledSet(
        task="detect",
        format="YOLO labels",
        items=tuple(items),
        names=read_yolo_names(folder),
        description=f"{folder.name}: {len(items)} of {len(images)} images, seed {seed}",
        notes=notes,
    )


def _boxes(rows: list[list[float]], classes: list[int]) -> BoxTruth:
    return BoxTruth(
        np.array(rows, dtype=np.float64).reshape(-1, 4),
        np.array(classes, dtype=np.int64),
        np.zeros(len(classes), dtype=np.bool_),
        normalized=True,
    )


def _read_label(path: Path) -> BoxTruth:
    rows: list[list[float]] = []
    classes: list[int] = []
    for number, text in listed_lines(path):
        fields = text.split()
        try:
            class_id, values = int(fields[0]), [float(value) for value in fields[1:]]
        except ValueError:
            class_id, values = -1, []
        polygon = len(values) >= 6 and len(values) % 2 == 0
        if class_id < 0 or not (len(values) == 4 or polygon) or not all(-0.01 <= v <= 1.01 for v in values):
            raise DataError(
                f"{path}:{number}: expected `class cx cy w h` or a polygon `class x y x y x y ...` with "
                f"fractions "
                f"0..1, found {text[:60]!r}; mend the line or remove it"
            )
        if polygon:
            rows.append([min(values[0::2]), min(values[1::2]), max(values[0::2]), max(values[1::2])])
        else:
            cx, cy, width, height = values
            rows.append([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2])
        classes.append(class_id)
    return _boxes(rows, classes)


def read_yolo_names(folder: Path) -> tuple[str, ...]:
    """Return the class names from classes.txt or a data.yaml (`names:` in any of YOLO's ways); or ()."""
    listed = folder / "classes.txt"
    if listed.is_file():
        return tuple(text for _, text in listed_lines(listed))
    candidates = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*.yml")), folder.parent / "data.yaml"]
    for path in candidates:  # the last is for a split, valid/images beside data.yaml
        if path.is_file() and (names := _yaml_names(path)):
            return names
    return ()


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
