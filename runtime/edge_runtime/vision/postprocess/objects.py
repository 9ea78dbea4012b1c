"""What a detected object has beside its upright box: a turned one, key points, a mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import EngineError
from edge_runtime.results import Mask, OrientedBox, Point, Prediction
from edge_runtime.vision.postprocess.boxes import to_original
from edge_runtime.vision.postprocess.candidates import Candidates, Question, named
from edge_runtime.vision.postprocess.images import lie_together
from edge_runtime.vision.postprocess.masks import check_maps, masks_of
from edge_runtime.vision.postprocess.oriented import oriented, oriented_to_original, upright
from edge_runtime.vision.postprocess.points import points_of_rows, points_to_original
from edge_runtime.vision.postprocess.seen import chosen
from edge_runtime.vision.postprocess.tensors import floats, output_of, split
from edge_runtime.vision.settings import Settings

__all__ = ["detailed"]

Floats = NDArray[np.float32]
Predictions = tuple[Prediction, ...]
Outputs = Mapping[str, NDArray[np.generic]]


def detailed(
    ask: Question,
    found: Candidates,
    outputs: Outputs,
    image: tuple[int, int],
    labels: Sequence[str],
    settings: Settings,
) -> tuple[Predictions, Predictions]:
    """What is judged of an image, and what is reported of it: only this with all that objects have.

    `outputs` are a batch's, `image` is the number of the image in it and how many there are.
    """
    place = ask.place
    turned = None
    if found.angles is None:
        boxes, alive = to_original(found.boxes, place)
    else:
        turned = oriented_to_original(oriented(found.boxes, found.angles), place)
        limit = np.array([place.width, place.height] * 2)
        boxes = np.asarray(np.clip(upright(turned), 0, limit), np.float32)
        alive = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    judged = named(found, boxes, alive, labels)
    shown = list(chosen(judged, settings))
    where = np.flatnonzero(alive)[shown]
    found = found.take(where)
    rows = [None] * len(shown) if turned is None else [OrientedBox(*row) for row in turned[where].tolist()]
    points = _points(ask, found, outputs, image)
    masks = _masks(ask, found, outputs, image, boxes[where])
    pixels = place.width * place.height
    return judged, tuple(
        dataclasses.replace(
            judged[number],
            oriented=row,
            points=points[i] if points else (),
            mask=mask,
            area=None if mask is None else int(np.count_nonzero(mask.inside)) / pixels,
        )
        for i, (number, row, mask) in enumerate(zip(shown, rows, masks, strict=True))
    )


def _points(ask: Question, found: Candidates, outputs: Outputs, image: tuple[int, int]) -> list[tuple[Point, ...]]:
    spec, points = ask.spec.points, found.points
    if spec is not None and spec.output:
        values = _of_image(ask, outputs, spec.output, image)
        points = points_of_rows(ask, spec, floats(values, spec.output), _rows(ask, found)) if len(found.boxes) else None
    return [] if points is None else points_to_original(points, ask.place)


def _masks(
    ask: Question, found: Candidates, outputs: Outputs, image: tuple[int, int], boxes: Floats
) -> Iterable[Mask | None]:
    spec, place = ask.spec.masks, ask.place
    if spec is None:
        return [None] * len(boxes)
    if spec.kind == "prototypes" and found.masks is None:
        raise EngineError(f"format {ask.spec.format!r} has no weights of prototypes; export again without masks")
    maps = check_maps(spec, _of_image(ask, outputs, spec.output, image, each_row=spec.kind != "prototypes"))
    if not len(boxes):
        return []
    if found.masks is not None and spec.kind == "prototypes":
        return masks_of(spec, maps, found.masks, boxes, place)
    if found.angles is None:  # not clipped: the map is stretched over the whole box
        scale = np.array([place.scale_x, place.scale_y] * 2, np.float32)
        boxes = (found.boxes - np.array([place.offset_x, place.offset_y] * 2, np.float32)) / scale
    return masks_of(spec, maps, _rows(ask, found), boxes, place)


def _rows(ask: Question, found: Candidates) -> NDArray[np.int64]:
    if found.rows is None:
        raise EngineError(
            f"format {ask.spec.format!r} does not tell which rows of other outputs belong to its boxes; "
            f"export again without masks and key points"
        )
    return found.rows


def _of_image(
    ask: Question, outputs: Outputs, name: str, image: tuple[int, int], each_row: bool = True
) -> NDArray[np.generic]:
    """One image's part of an output; rows of all images that lie together are counted through all of them."""
    if each_row and lie_together(ask, outputs):
        return output_of(outputs, name)
    found: NDArray[np.generic] = split(outputs, name, image[1])[image[0]]
    return found
