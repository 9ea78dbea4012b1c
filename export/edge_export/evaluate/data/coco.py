"""COCO annotations of instances or key points: one JSON file with `images`, `annotations`, `categories`.

Category ids have gaps (COCO's 80 classes use ids 1..90): classes are renumbered 0..n-1 in ascending order of
id, which is the order that detectors trained on COCO answer in.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from edge_export.evaluate.data.coco_objects import CocoObject, read_object, truth_of
from edge_export.evaluate.data.images import read_text, spread
from edge_export.evaluate.data.truth import Labelled, LabelledSet, Part
from edge_runtime.errors import DataError

__all__ = ["find_coco", "open_coco"]

_PLACES = ("annotations", "", "labels")


def find_coco(folder: Path, parts: Collection[Part] = ()) -> Path | None:
    """Return the JSON file of a folder, preferring a validation split, and instances, or key points where `parts` asks
    for them; None if there is none.
    """
    found = [path for place in _PLACES for path in sorted((folder / place).glob("*.json")) if _looks_right(path)]
    kind = "keypoints" if "points" in parts else "instances"
    return min(found, key=lambda path: ("val" not in path.name, kind not in path.name), default=None)


def _looks_right(path: Path) -> bool:
    """Look at the keys near the file's start only: annotation files reach hundreds of megabytes."""
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    if path.name.startswith("instances"):
        return True
    return any(key in head for key in (b'"images"', b'"annotations"', b'"categories"'))


def open_coco(path: Path, limit: int, seed: int, parts: Collection[Part] = ()) -> LabelledSet:
    """Read a file of annotations, and the `parts` that it has; images are looked for beside it.

    Raises DataError naming file and entry.
    """
    data = _load(path)
    categories = sorted((_integer(c, "id", path), str(c.get("name", ""))) for c in data["categories"])
    index = {category: position for position, (category, _) in enumerate(categories)}
    entries = sorted((str(e.get("file_name", "")), _integer(e, "id", path)) for e in data["images"])
    root = _image_root(path, entries)
    chosen = [entries[i] for i in spread(len(entries), limit, seed)]
    wanted = {identity for _, identity in chosen}
    objects: dict[int, list[CocoObject]] = defaultdict(list)
    for number, entry in enumerate(data["annotations"]):
        if (identity := _integer(entry, "image_id", path)) in wanted:
            objects[identity].append(read_object(entry, index, f"{path}: annotations[{number}]", parts))
    count = _points_count(objects, path)
    items = [Labelled(root / name, truth_of(objects[identity], count)) for name, identity in chosen]
    empty = sum(not objects[identity] for _, identity in chosen)
    return LabelledSet(
        task="detect",
        format="COCO key points" if count else "COCO instances",
        items=tuple(items),
        names=tuple(name for _, name in categories),
        description=f"{path.name}: {len(items)} of {len(entries)} images, seed {seed}",
        notes=(f"{empty} of {len(items)} images have no annotation: taken as showing no object",) if empty else (),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}); download the annotations again"
        ) from error
    for key in ("images", "annotations", "categories"):
        entries = data.get(key) if isinstance(data, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: expected COCO instances with a list of objects {key!r}, found none")
    if not data["images"]:
        raise DataError(f"{path}: the list of images is empty; choose another annotation file")
    return dict(data)


def _integer(entry: dict[str, Any], key: str, path: Path) -> int:
    value = entry.get(key)
    if not isinstance(value, int):
        raise DataError(f"{path}: expected an integer {key!r} in every entry, found {value!r} in {str(entry)[:60]}")
    return value


def _points_count(objects: dict[int, list[CocoObject]], path: Path) -> int:
    """How many key points an object has; 0 where none has any."""
    counts = {len(one.points) // 3 for listed in objects.values() for one in listed if one.points}
    if len(counts) > 1:
        numbers = " and ".join(map(str, sorted(counts)))
        raise DataError(f"{path}: objects have {numbers} key points; expected as many in each")
    return counts.pop() if counts else 0


def _image_root(path: Path, entries: list[tuple[str, int]]) -> Path:
    base = path.parent.parent if path.parent.name in ("annotations", "labels") else path.parent
    # instances_val2017.json belongs to val2017/
    split = path.stem.removeprefix("instances_").removeprefix("person_keypoints_")
    roots = [base / "images" / split, base / split, base / "images", base, path.parent]
    for root in roots:
        if (root / entries[0][0]).is_file():
            return root
    looked = ", ".join(str(root) for root in roots)
    raise DataError(
        f"{path} names {entries[0][0]!r}, which is in none of {looked}; put the images beside the annotations"
    )
