"""Which pictures of a folder show good parts, and which show defects: by folders, or by labels of objects.

| what lies there | a picture is bad |
| --- | --- |
| `ok/` and `ng/` | in `ng/` |
| other folders of pictures, one of them `good/`, `ok/` or a class that is OK | in any other |
| COCO: a JSON file with `images`, `annotations`, `categories`, or such a file itself | with an object that counts |
| YOLO: `images/` and `labels/` (DOTA: `labelTxt/`), or texts beside the pictures | with an object that counts |
| DeepPCB: `test.txt` or `trainval.txt` with pairs `X.jpg X.txt` | with an object that counts |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.images import images_in
from edge_runtime.vision.class_names import class_name

__all__ = ["Labelled", "Truth", "read_labelled"]

_GOOD = ("ok", "good")


@dataclass(frozen=True)
class Labelled:
    """A picture, and whether it shows a defect."""

    path: Path
    bad: bool


@dataclass(frozen=True)
class Truth:
    """What tells good from bad: the model's labels, the classes that are defects (all when empty), or that are OK."""

    labels: Sequence[str] = ()
    defects: Collection[str] = ()
    good: Collection[str] = ()

    def is_bad(self, names: Iterable[str]) -> bool:
        """Whether a picture with objects of these classes shows a defect."""
        return any(name not in self.good and (not self.defects or name in self.defects) for name in names)


def read_labelled(place: Path, truth: Truth) -> list[Labelled]:
    """Return the pictures in the order of their names. Raises DataError in one line where nothing known lies there."""
    if place.is_file() and place.suffix.lower() == ".json":
        return _coco(place, truth)
    if place.is_file() and _is_pairs(place):
        return _pairs(place, truth)
    if not place.is_dir():
        raise DataError(f"{place} is not there; expected a folder with ok/ and ng/, or with labels")
    for read in (_ok_and_ng, _found_coco, _found_pairs, _yolo, _class_folders):
        if found := read(place, truth):
            return sorted(found, key=lambda one: str(one.path))
    raise DataError(
        f"no labelled pictures in {place}; looked for the folders ok/ and ng/, COCO (*.json, annotations/*.json), YOLO "
        "and DOTA (images/ with labels/ or labelTxt/), DeepPCB (test.txt with pairs), and folders of which one is good/"
    )


def _ok_and_ng(place: Path, truth: Truth) -> list[Labelled]:
    folders = {child.name.lower(): child for child in place.iterdir() if child.is_dir()}
    if not {"ok", "ng"} <= set(folders):
        return []
    return [Labelled(path, name == "ng") for name in ("ok", "ng") for path in images_in(folders[name].rglob("*"))]


def _class_folders(place: Path, truth: Truth) -> list[Labelled]:
    folders = [child for child in place.iterdir() if child.is_dir() and not child.name.startswith(".")]
    good = [child for child in folders if child.name.lower() in _GOOD or child.name in truth.good]
    if not good:
        return []
    return [Labelled(path, child not in good) for child in folders for path in images_in(child.rglob("*"))]


def _found_coco(place: Path, truth: Truth) -> list[Labelled]:
    files = [path for folder in (place, place / "annotations") for path in sorted(folder.glob("*.json"))]
    found = [path for path in files if any(key in _head(path) for key in (b'"images"', b'"annotations"'))]
    if len(found) > 1:
        raise DataError(f"{place} has several files of annotations; name one of them: {found[0]}")
    return _coco(found[0], truth) if found else []


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 16)


def _coco(file: Path, truth: Truth) -> list[Labelled]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        names = {one["id"]: str(one["name"]) for one in data["categories"]}
        seen: dict[Any, set[str]] = {one["id"]: set() for one in data["images"]}
        for one in data["annotations"]:
            seen[one["image_id"]].add(names[one["category_id"]])
        pictures = [(str(one["file_name"]), truth.is_bad(seen[one["id"]])) for one in data["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no file of COCO's annotations: {type(error).__name__} {error}") from error
    _check_names(file, names.values(), truth)
    roots = (file.parent, file.parent / "images", file.parent.parent / "images", file.parent.parent)
    root = next((root for root in roots if pictures and (root / pictures[0][0]).is_file()), None)
    if root is None:
        raise DataError(
            f"the pictures of {file} are not beside it, nor in images/: {pictures[0][0] if pictures else ''}"
        )
    return [Labelled(root / name, bad) for name, bad in pictures]


def _check_names(file: Path, names: Iterable[str], truth: Truth) -> None:
    """A defect that is called otherwise would be a good part."""
    known = set(names)
    if truth.defects and not known & set(truth.defects):
        raise DataError(
            f"{file} has none of the classes that are looked for, {', '.join(sorted(truth.defects))}; it has "
            f"{', '.join(sorted(known)[:10])}"
        )


def _yolo(place: Path, truth: Truth) -> list[Labelled]:
    images = place / "images" if (place / "images").is_dir() else place
    labels = next((place / name for name in ("labels", "labelTxt") if (place / name).is_dir()), images)
    read = _dota_names if labels.name == "labelTxt" else _yolo_names
    found: list[Labelled] = []
    missing: list[Path] = []
    for path in images_in(images.rglob("*")):
        text = (labels / path.relative_to(images)).with_suffix(".txt")
        if text.is_file():
            found.append(Labelled(path, truth.is_bad(read(text, truth))))
        else:
            missing.append(path)
    if found and missing:  # half a set of labels is no proof that the rest is good
        raise DataError(
            f"{len(missing)} pictures of {place} have no label file, {missing[0].name} for one; an empty file says "
            "that a picture shows nothing"
        )
    return found


def _lines(file: Path, read: Callable[[list[str]], str | None]) -> list[str]:
    names = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    for number, line in enumerate(lines, 1):
        if words := line.split():
            try:
                name = read(words)
            except (ValueError, IndexError) as error:
                raise DataError(f"{file}:{number}: this is no label: {line[:60]!r}") from error
            names += [] if name is None else [name]
    return names


def _yolo_names(file: Path, truth: Truth) -> list[str]:
    def name(words: list[str]) -> str:
        if len(words) < 5 or not all(abs(float(word)) <= 2 for word in words[1:5]):
            raise ValueError(words)
        return _numbered(int(words[0]), truth)

    return _lines(file, name)


def _dota_names(file: Path, truth: Truth) -> list[str]:
    def name(words: list[str]) -> str | None:
        if ":" in words[0]:  # imagesource:..., gsd:...
            return None
        if not all(float(word) < float("inf") for word in words[:8]):
            raise ValueError(words)
        return words[8]

    return _lines(file, name)


def _is_pairs(file: Path) -> bool:
    first = next((line.split() for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line), [])
    return len(first) == 2 and first[1].endswith(".txt")


def _found_pairs(place: Path, truth: Truth) -> list[Labelled]:
    files = [place / name for name in ("test.txt", "trainval.txt")]
    found = next((file for file in files if file.is_file() and _is_pairs(file)), None)
    return [] if found is None else _pairs(found, truth)


def _pairs(file: Path, truth: Truth) -> list[Labelled]:
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if len(words) != 2:
            raise DataError(f"{file}:{number}: expected a picture and its labels, found {line[:60]!r}")
        picture, labels = file.parent / words[0], file.parent / words[1]
        if not picture.is_file():  # DeepPCB's lists name the pair, not the picture that was taken
            picture = picture.with_name(f"{picture.stem}_test{picture.suffix}")
        names = _lines(labels, lambda words: _numbered(int(words[4]) - 1, truth))
        found.append(Labelled(picture, truth.is_bad(names)))
    return found


def _numbered(number: int, truth: Truth) -> str:
    if number < 0 or (truth.labels and number >= len(truth.labels)):
        raise ValueError(number)
    return class_name(truth.labels, number)
