"""Labels of whole images: one sub-folder per class, or a list with lines `FILE, INDEX` or `FILE INDEX`."""

from __future__ import annotations

import re
from pathlib import Path

from edge_export.evaluate.data.images import IMAGE_SUFFIXES, find_images, listed_lines, spread
from edge_export.evaluate.data.truth import ClassTruth, Labelled, LabelledSet
from edge_runtime.errors import DataError

__all__ = ["class_folders", "find_list", "open_class_folders", "open_list"]

_LINE = re.compile(r"(?P<file>.+?)[\s,;]+(?P<index>-?\d+)$")
_SYNSET = re.compile(r"n\d{8}\s+")


def class_folders(folder: Path) -> list[Path]:
    """Return the sub-folders that hold images, sorted by name: the classes, if there are two or more."""
    children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    return [child for child in children if any(path.suffix.lower() in IMAGE_SUFFIXES for path in child.iterdir())]


def open_class_folders(folder: Path, limit: int, seed: int) -> LabelledSet:
    """Read a folder of class folders; the class names are the folders' names, in sorted order."""
    classes = class_folders(folder)
    found = [(path, index) for index, child in enumerate(classes) for path in find_images(child)]
    chosen = [found[i] for i in spread(len(found), limit, seed)]
    return LabelledSet(
        task="classify",
        format="class folders",
        items=tuple(Labelled(path, ClassTruth(index)) for path, index in chosen),
        names=tuple(child.name for child in classes),
        description=f"{folder.name}: {len(chosen)} of {len(found)} images, seed {seed}",
    )


def find_list(folder: Path) -> Path | None:
    """Return the text file of a folder whose first line is `IMAGE FILE, INDEX`; None if there is none."""
    for path in sorted(folder.glob("*.txt")):
        try:
            first = next(iter(listed_lines(path)), None)
        except DataError:  # some other text, a licence in Latin-1 perhaps
            continue
        found = _LINE.match(first[1]) if first else None
        if found and Path(found["file"].strip()).suffix.lower() in IMAGE_SUFFIXES:
            return path
    return None


def open_list(path: Path, limit: int, seed: int) -> LabelledSet:
    """Read a list of images with class indices. Raises DataError with file:line for a bad line."""
    lines = list(listed_lines(path))
    if not lines:
        raise DataError(f"{path} is empty; expected lines `FILE, INDEX`")
    items = []
    for i in spread(len(lines), limit, seed):
        number, text = lines[i]
        found = _LINE.match(text)
        if found is None or int(found["index"]) < 0:
            raise DataError(f"{path}:{number}: expected `FILE, INDEX`, found {text[:60]!r}; mend the line")
        image = path.parent / found["file"].strip()
        if not image.is_file():
            raise DataError(f"{path}:{number}: the image {image} is not there; mend the line or add the file")
        items.append(Labelled(image, ClassTruth(int(found["index"]))))
    return LabelledSet(
        task="classify",
        format="list of images",
        items=tuple(items),
        names=_names(path.parent),
        description=f"{path.parent.name}/{path.name}: {len(items)} of {len(lines)} images, seed {seed}",
    )


def _names(folder: Path) -> tuple[str, ...]:
    """Return class names from synset_words.txt (`n01440764 tench, Tinca tinca`) or classes.txt; or ()."""
    for name in ("synset_words.txt", "classes.txt", "labels.txt"):
        if (folder / name).is_file():
            return tuple(_SYNSET.sub("", text) for _, text in listed_lines(folder / name))
    return ()
