"""What Ultralytics' properties say of a model's kind: names, task, end2end, args, kpt_shape, head, description."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from edge_export.model.families.common import FIT_UNTOLD, LETTERBOX, UNIT
from edge_export.model.families.family import Match, Pixels, Shown
from edge_export.model.families.person import points_with_names
from edge_export.model.parse import boolean, literal, numbers
from edge_runtime.bundle.postprocess_spec import Points

__all__ = [
    "ORIGIN",
    "authors_pixels",
    "finished",
    "fit_untold",
    "is_rtdetr",
    "is_yolo",
    "key_points",
    "of_task",
    "point_values",
    "strides_of",
    "task_of",
    "told_by",
]

ORIGIN = "ultralytics metadata"
_FEWEST_WEIGHTS = 10


def task_of(shown: Shown) -> str | None:
    """The task that the metadata name; "detect" where there are only names (YOLOv5), None without metadata.

    LibreYOLO's have the same names and tasks, and mean other outputs (libreyolo.py).
    """
    ours = "names" in shown.properties and "libreyolo_version" not in shown.properties
    return shown.properties.get("task", "detect") if ours else None


def told_by(*tasks: str) -> Callable[[Match], str]:
    """A row that the metadata's task names, where the number of its classes is known."""

    def told(match: Match) -> str:
        return ORIGIN if match.shown.labels and task_of(match.shown) in tasks else ""

    return told


def of_task(*tasks: str) -> Callable[[Match], str]:
    """A row that is for these tasks, or for a model without metadata."""

    def when(match: Match) -> str:
        task = task_of(match.shown)
        return "" if task is None or task in tasks else f"the metadata name the task {task[:40]!r}"

    return when


def finished(shown: Shown) -> bool | None:
    """Whether the graph suppresses duplicates itself; None where the metadata do not say (before Ultralytics 8.3)."""
    arguments = literal(shown.properties.get("args"))
    nms = arguments.get("nms") if isinstance(arguments, dict) else None
    ends = boolean(shown.properties.get("end2end", ""))
    return True if ends or nms is True else False if ends is False else None


def is_rtdetr(shown: Shown) -> bool:
    """Whether the metadata name RT-DETR: `head` in newer versions, else the description's model."""
    text = shown.properties.get("head", "") + shown.properties.get("description", "")
    return "rtdetr" in text.lower().replace("-", "")


def is_yolo(shown: Shown) -> bool:
    """Whether the metadata's description names a YOLO."""
    return "yolo" in shown.properties.get("description", "").lower()


def authors_pixels(shown: Shown) -> Pixels | None:
    """What a detector takes whose metadata are Ultralytics' own; None where they do not name its kind."""
    if task_of(shown) is None or "task" not in shown.properties:
        return None
    return UNIT if is_rtdetr(shown) else LETTERBOX if is_yolo(shown) else None


def fit_untold(match: Match) -> str:
    """Why it is not known how a picture is fitted to a model of finished boxes that has no metadata.

    RT-DETR stretches it, YOLOs letterbox it. RT-DETR's attention is deformable, and the weights of Ultralytics' YOLOs
    are called by their place in the network: model.0.conv.weight.
    """
    shown = match.shown
    known = "names" in shown.properties or "GridSample" in shown.operators
    theirs = sum(bool(re.match(r"(model\.)*model\.\d+\.", name)) for name in shown.weights)
    return "" if known or theirs >= _FEWEST_WEIGHTS else FIT_UNTOLD


def strides_of(shown: Shown) -> tuple[int, ...]:
    """Strides of the grids whose points the rows are, where the metadata name them; () elsewhere."""
    values = numbers(shown.properties.get("strides")) or ()
    return tuple(int(value) for value in values if value == int(value) and 0 < value <= 1024)


def key_points(shown: Shown) -> Points:
    """The key points that `kpt_shape` tells, else COCO's 17 with a confidence each."""
    shape = numbers(shown.properties.get("kpt_shape")) or ()
    if len(shape) == 2 and shape[1] in (2, 3) and 1 <= shape[0] <= 1000:
        return points_with_names(int(shape[0]), 3 if shape[1] == 3 else 2)
    return points_with_names(17)


def point_values(shown: Shown) -> Mapping[str, int]:
    """The symbol E: how many values of a row are its key points; without metadata also C, the one class of COCO's."""
    points = key_points(shown)
    sizes = {"E": points.count * points.values}
    return sizes if "names" in shown.properties else {**sizes, "C": 1}
