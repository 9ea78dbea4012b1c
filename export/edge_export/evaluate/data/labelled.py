"""Find out which label format a folder holds, and read it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from edge_export.evaluate.data.classes import class_folders, find_list, open_class_folders, open_list
from edge_export.evaluate.data.coco import find_coco, open_coco
from edge_export.evaluate.data.deeppcb import find_deeppcb, is_deeppcb, open_deeppcb
from edge_export.evaluate.data.dota import is_dota, open_dota
from edge_export.evaluate.data.masks import find_masks, open_masks
from edge_export.evaluate.data.truth import LabelledSet, Part
from edge_export.evaluate.data.yolo import is_yolo, open_yolo
from edge_runtime.errors import DataError

__all__ = ["LOOKED_FOR", "NoLabelsError", "open_labelled"]

LOOKED_FOR = (
    "COCO instances (*.json, annotations/*.json)",
    "DeepPCB (test.txt or trainval.txt with image-label pairs)",
    "YOLO (images/ + labels/*.txt)",
    "DOTA (images/ + labelTxt/*.txt)",
    "masks (images/ or JPEGImages/ + masks/ or SegmentationClass/*.png)",
    "a list of images (*.txt with lines `FILE, INDEX`)",
    "class folders (two or more sub-folders with images)",
)


class NoLabelsError(DataError):
    """A folder in which nothing that looks like labels lies; it may still hold images."""


# Where a folder holds only splits, the one that training did not see is meant.
_SPLITS = ("test", "val", "valid", "validation")


def open_labelled(path: Path, limit: int = 0, seed: int = 0, parts: Collection[Part] = ()) -> LabelledSet:
    """Read the labelled data at `path`: a folder, or one list (.txt) or COCO (.json) file.

    At most `limit` images are taken (0: all), spread over the data by `seed`. Raises DataError when nothing
    known lies there or a label cannot be read. Images themselves are not opened. `parts` are what the model gives of an
    object besides its box: what labels hold of them is read too.
    """
    if path.is_file():
        if path.suffix.lower() == ".json":
            return open_coco(path, limit, seed, parts)
        return open_deeppcb(path, limit, seed) if is_deeppcb(path) else open_list(path, limit, seed)
    if not path.is_dir():
        raise DataError(f"{path} is not there; expected a folder with labelled images")
    if coco := find_coco(path, parts):
        return open_coco(coco, limit, seed, parts)
    if deeppcb := find_deeppcb(path):
        return open_deeppcb(deeppcb, limit, seed)
    if is_yolo(path):
        return open_yolo(path, limit, seed, parts)
    if is_dota(path):
        return open_dota(path, limit, seed)
    if masks := find_masks(path):
        return open_masks(*masks, limit, seed)
    if listed := find_list(path):
        return open_list(listed, limit, seed)
    if len(class_folders(path)) >= 2:
        return open_class_folders(path, limit, seed)
    for split in _SPLITS:
        if (path / split).is_dir():
            return open_labelled(path / split, limit, seed, parts)
    raise NoLabelsError(f"no labels in {path}; looked for " + "; ".join(LOOKED_FOR))
