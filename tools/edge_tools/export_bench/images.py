"""Which images a model is calibrated on and which it is judged on: never the same ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_export.evaluate.data import open_labelled
from edge_export.evaluate.data.images import find_images, read_image
from edge_export.evaluate.data.truth import BoxTruth, ClassTruth, Labelled, LabelledSet
from edge_runtime.errors import DataError
from edge_runtime.files.atomic import write_text
from edge_runtime.vision.preprocess import Preprocessor
from edge_tools.calibration_data import write_npz
from edge_tools.export_bench.places import CHECKOUT, Places
from edge_tools.export_bench.subjects import Images, Subject

__all__ = ["calibration_images", "judged_images", "labelled_images", "write_list", "write_tensors"]

_PERSON = 0  # coco's class
_SEEN_AREA = 0.005  # of the image: the Visual Wake Words data set's own rule (arXiv 1906.05721, section 3)


def calibration_images(subject: Subject, places: Places, samples: int) -> list[Path]:
    """Return the images to calibrate on, at most `samples`, evenly spaced. Raises DataError for none."""
    found = find_images(_folder(subject.calibrate, places))
    if not found:
        raise DataError(f"no images in {_folder(subject.calibrate, places)}; give --data the folder that holds them")
    count = min(samples, len(found))
    return [found[index * len(found) // count] for index in range(count)]


def judged_images(subject: Subject, places: Places, seen: Sequence[Path]) -> list[Path]:
    """Return the images that answers are compared on where there are no labels."""
    apart = {path.resolve() for path in seen}
    found = [path for kind in subject.images for path in find_images(_folder(kind, places))]
    return [path for path in found if path.resolve() not in apart]


def labelled_images(subject: Subject, places: Places, seen: Sequence[Path], limit: int) -> LabelledSet | None:
    """Return the labelled images to judge on, less those calibrated on; None where there are no labels.

    `limit` is for DeepPCB's 1000 boards (0: all).
    """
    if subject.truth == "images":
        return None
    name = "coco128" if subject.truth == "person" else subject.truth
    labelled = open_labelled(places.data / name, limit if subject.truth == "deeppcb" else 0)
    apart = {path.resolve() for path in seen}
    items = tuple(item for item in labelled.items if item.path.resolve() not in apart)
    labelled = dataclasses.replace(labelled, items=items)
    return _persons(labelled) if subject.truth == "person" else labelled


def write_list(images: Sequence[Path], path: Path) -> None:
    """Write the text file of images that `edge-export --calibrate` takes."""
    write_text(path, "".join(f"{image.resolve()}\n" for image in images))


def write_tensors(subject: Subject, name: str, images: Sequence[Path], path: Path) -> None:
    """Write the same images, pre-processed, as an .npz with the array [samples, ...] of the input `name`."""
    read = [image for one in images if (image := read_image(one)) is not None]
    if len(read) != len(images):
        raise DataError(f"{len(images) - len(read)} of {len(images)} calibration images cannot be read; check the data")
    tensor, _ = Preprocessor(subject.preprocess).batch(read)
    write_npz(path, {name: tensor})


def _folder(kind: Images, places: Places) -> Path:
    return CHECKOUT / "samples" / "pcb" / "images" if kind == "pcb" else places.data / kind


def _persons(labelled: LabelledSet) -> LabelledSet:
    """Turn boxes into one class for each image: 1 when a person takes at least half a percent of it."""
    items = []
    for item in labelled.items:
        assert isinstance(item.truth, BoxTruth)  # YOLO labels
        assert item.truth.normalized
        boxes = item.truth.boxes[item.truth.classes == _PERSON]
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        items.append(Labelled(item.path, ClassTruth(int(np.any(areas >= _SEEN_AREA)))))
    return LabelledSet("classify", labelled.format, tuple(items), ("no person", "person"), labelled.description)
