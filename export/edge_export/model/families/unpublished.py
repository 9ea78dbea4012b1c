"""Finished boxes in an order of columns that no family publishes: tried where no row of the table can be true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from edge_export.model.families.common import FIT_UNTOLD, LETTERBOX
from edge_export.model.families.family import Family, Match, Out, Reading, Shown
from edge_export.model.families.recognise import fit
from edge_export.model.families.ultralytics_metadata import of_task
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Column, Detect, Postprocess

__all__ = ["unpublished"]

_ORDERS: tuple[tuple[Column, ...], ...] = (
    ("box", "score", "class"),
    ("box", "class", "score"),
    ("score", "class", "box"),
    ("class", "score", "box"),
)
_BOXES: tuple[tuple[Literal["xyxy", "cxcywh"], bool], ...] = (
    ("xyxy", False), ("cxcywh", False), ("xyxy", True), ("cxcywh", True)
)  # fmt: skip


def unpublished(shown: Shown) -> tuple[Reading, ...]:
    """The ways to read one output of rows of six numbers: a box, a score and a class in any usual order."""
    found = (fit(shown, row) for row in _rows())
    return tuple(reading for reading in found if isinstance(reading, Reading))


def _rows() -> Iterator[Family]:
    for batch in (("N",), ()):
        for columns in _ORDERS:
            for box, normalized in _BOXES:
                yield Family(
                    name=f"{'-'.join(columns)}-{box}{'-normalized' if normalized else ''}",
                    source="no family publishes it",
                    outputs=(Out((*batch, "K", "6")),),
                    read=_read(columns, box, normalized),
                    pixels=LETTERBOX,
                    unsure=FIT_UNTOLD,
                    thresholds=Thresholds(confidence=0.25, iou=0.45),
                    when=of_task("detect"),
                )


def _read(
    columns: tuple[Column, ...], box: Literal["xyxy", "cxcywh"], normalized: bool
) -> Callable[[Match], Postprocess]:
    def read(match: Match) -> Postprocess:
        return Detect(format="final", outputs=match.names, box=box, normalized=normalized, nms=False, columns=columns)

    return read
