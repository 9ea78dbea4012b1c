"""Writes events with their pictures into a folder of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import EdgelineError, OutputError, UsageError
from edge_runtime.files.atomic import write_text
from edge_runtime.station.extract.classes import Classes, classes_of
from edge_runtime.station.extract.objects import Kept, annotation, yolo_line
from edge_runtime.store.reading import Asked, Reader

__all__ = ["Extracted", "Form", "extract"]

Form = Literal["coco", "yolo", "pictures"]
Progress = Callable[[str, int, int], None]
Record = Mapping[str, Any]


@dataclass
class Extracted:
    """What was written, and of how many events why not."""

    pictures: int = 0
    objects: int = 0
    classes: Classes = field(default_factory=lambda: Classes(()))
    left_out: Counter[str] = field(default_factory=Counter)


def extract(reader: Reader, asked: Asked, folder: Path, form: Form, progress: Progress) -> Extracted:
    """Write the pictures of the events that are asked for, with their objects as `form` has them.

    Labels are of events that were judged: one that was not would look like a picture of nothing. Raises UsageError for
    a folder that is not empty, OutputError for one that cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there and not empty: nothing is overwritten; name a new folder")
    done = Extracted()
    try:
        with reader.snapshot():
            records = [json.loads(stored.body) for stored in reader.query(asked)]
            chosen = list(_with_pictures(reader, records, form, done))
            done.classes = classes_of(_seen(record for record, _ in chosen), _labels(reader, chosen))
        _Writing(folder, form, done)(chosen, progress)
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    return done


Chosen = Sequence[tuple[Record, Path]]


def _with_pictures(
    reader: Reader, records: Sequence[Record], form: Form, done: Extracted
) -> Iterator[tuple[Record, Path]]:
    for record in records:
        kept = reader.picture(record["event_id"])
        if form != "pictures" and (why := _unlabelled(record)):
            done.left_out[why] += 1
        elif kept is None:
            done.left_out["the picture was not kept"] += 1
        else:
            yield record, reader.folder.pictures / kept.place


def _unlabelled(record: Record) -> str:
    """Why the objects of a record say less than what is to be seen in its picture, "" where they do not."""
    if "answer" not in record or record["verdict"] == "NO_READ":
        return "not judged"
    if any("box" not in found for found in record["predictions"]):
        return "classes of a whole picture have no boxes; --pictures sorts them by verdict"
    if "score" in record and record["verdict"] != "OK" and not record["predictions"]:
        return "an anomaly score of a whole picture has no boxes; --pictures sorts them by verdict"
    return ""


def _seen(records: Iterator[Record]) -> Iterator[tuple[int, str]]:
    return ((found["class"], found["name"]) for record in records for found in record["predictions"] if "box" in found)


def _labels(reader: Reader, chosen: Chosen) -> Iterator[Sequence[str]]:
    """The labels of the bundles that judged, where they are still what they were."""
    wanted = {record["model"]["sha256"] for record, _ in chosen if record["model"]}
    stations = (json.loads(link.body).get("stations", {}) for link in reader.notes())
    for place in {had["bundle"] for each in stations for had in each.values()}:
        with contextlib.suppress(EdgelineError, OSError):
            bundle = read_bundle(Path(place), check_hashes=False)
            if bundle.sha256 in wanted:
                yield bundle.manifest.labels


class _Writing:
    """One folder."""

    def __init__(self, folder: Path, form: Form, done: Extracted) -> None:
        self._folder, self._form, self._done = folder, form, done
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._points = 0

    def __call__(self, chosen: Chosen, progress: Progress) -> None:
        for number, (record, picture) in enumerate(chosen):
            progress(f"{number} of {len(chosen)}", number, len(chosen))
            place = self._place(record, picture)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(picture, place)
            except FileNotFoundError:  # it had to make room meanwhile
                self._done.left_out["the picture was not kept"] += 1
                continue
            self._done.pictures += 1
            if self._form != "pictures":
                self._label(record, place)
        self._finish()

    def _place(self, record: Record, picture: Path) -> Path:
        kind = record["verdict"].lower() if self._form == "pictures" else "images"
        return self._folder / kind / f"{record['event_id']}{picture.suffix}"

    def _label(self, record: Record, place: Path) -> None:
        kept = _kept(record, place)
        found = [one for one in record["predictions"] if "box" in one]
        self._done.objects += len(found)
        if self._form == "coco":
            self._add(record, place, kept, found)
            return
        numbers = self._done.classes
        lines = [yolo_line(one, kept, numbers.number(one["name"])) for one in found]
        self._points = max([self._points, *(len(one.get("keypoints", {"x": ()})["x"]) for one in found)])
        labels = self._folder / "labels"
        labels.mkdir(exist_ok=True)
        write_text(labels / f"{place.stem}.txt", "".join(f"{line}\n" for line in lines))

    def _add(self, record: Record, place: Path, kept: Kept, found: Sequence[Mapping[str, Any]]) -> None:
        image = len(self._images) + 1
        told = {name: record[name] for name in ("event_id", "station", "part", "verdict")}
        date = {"date_captured": record["ts_utc"]}
        size = {"width": kept.width, "height": kept.height}
        self._images.append({"id": image, "file_name": place.name, **size, **date, **told})
        for one in found:
            ids = {"id": len(self._annotations) + 1, "image_id": image}
            category = {"category_id": self._done.classes.number(one["name"]) + 1}
            self._annotations.append({**ids, **category, **(annotation(one, kept) or {})})

    def _finish(self) -> None:
        names = self._done.classes.names
        if self._form == "coco":
            (self._folder / "annotations").mkdir(parents=True, exist_ok=True)
            categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
            data = {"images": self._images, "annotations": self._annotations, "categories": categories}
            write_text(self._folder / "annotations/instances.json", json.dumps(data))
        elif self._form == "yolo":
            self._folder.mkdir(parents=True, exist_ok=True)
            lines = ["path: .", "train: images", "val: images"]
            lines += [f"kpt_shape: [{self._points}, 3]"] * bool(self._points)
            lines += ["names:", *(f"  {number}: {json.dumps(name)}" for number, name in enumerate(names))]
            write_text(self._folder / "data.yaml", "".join(f"{line}\n" for line in lines))


def _kept(record: Record, place: Path) -> Kept:
    """The size of a picture as its file says it: the store keeps PNG (RFC 2083, 4.1.1)."""
    with place.open("rb") as file:
        width, height = struct.unpack(">8x8xII", file.read(24))
    size = record.get("picture", {"width": width, "height": height})
    return Kept(width, height, (size["width"], size["height"]))
