"""The right answers to a model: what its family's own package makes of it, as `makers/` write them beside the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["SUFFIX", "Truth", "read_truth"]

SUFFIX = ".answers.json"


@dataclass(frozen=True)
class Truth:
    """One right answer, in pixels of the picture: a class, the area of a class (a mask without a box), or an
    object with a box and what else the family gives.

    `oriented` is x y width height and the angle in radians. `points` are x y confidence. `mask` holds the runs of its
    pixels, first and one past the last of each, counted row by row over a picture of `size` height x width.
    """

    class_id: int
    score: float
    box: tuple[float, ...] = ()
    oriented: tuple[float, ...] = ()
    points: tuple[tuple[float, ...], ...] = ()
    size: tuple[int, ...] = ()
    mask: tuple[tuple[int, int], ...] = ()


def read_truth(path: Path) -> dict[str, list[Truth]]:
    """Return the answers by the picture's file name."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return {name: [_one(row) for row in rows] for name, rows in data.items()}


def _one(row: dict[str, Any]) -> Truth:
    return Truth(
        class_id=row["class"],
        score=row["score"],
        box=tuple(row.get("box", ())),
        oriented=tuple(row.get("xywhr", ())),
        points=tuple(tuple(point) for point in row.get("points", ())),
        size=tuple(row["mask"]["size"]) if "mask" in row else (),
        mask=tuple((start, end) for start, end in row["mask"]["runs"]) if "mask" in row else (),
    )
