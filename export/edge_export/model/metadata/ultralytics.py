"""Ultralytics' properties in an ONNX file (engine/exporter.py there): the names of the classes, and the image's size.

What its outputs mean is told by the rows of families/ultralytics.py and families/yolo.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_export.model.families.ultralytics_metadata import ORIGIN
from edge_export.model.graph_io import ImageInput
from edge_export.model.parse import label_list, literal, numbers
from edge_export.state import KnownFacts

__all__ = ["image_size", "read_ultralytics"]

_MAX_SIDE = 16384


def read_ultralytics(properties: Mapping[str, str], image: ImageInput | None) -> KnownFacts | None:
    """The class names of an Ultralytics or YOLOv5 export, or of a model whose authors follow them; None without
    `names`.
    """
    if "names" not in properties:
        return None
    notes: list[str] = []
    labels = label_list(literal(properties["names"]))
    if labels is None:
        notes.append("metadata 'names' is not a list of class names and was ignored")
    fixed = image is not None and image.width and image.height
    if not fixed and "imgsz" in properties and image_size(properties) is None:
        notes.append(f"metadata 'imgsz' is no image size ({properties['imgsz'][:40]!r}) and was ignored")
    return KnownFacts(labels=labels, notes=tuple(notes)).found_in(ORIGIN)


def image_size(properties: Mapping[str, str]) -> tuple[int, int] | None:
    """Width and height of `imgsz` ([height, width] or one number)."""
    values = numbers(properties.get("imgsz"))
    sides = [int(v) for v in values or () if v == int(v) and 0 < v <= _MAX_SIDE]
    if len(sides) not in (1, 2) or len(sides) != len(values or ()):
        return None
    return sides[-1], sides[0]
