"""Hold samples back from calibration: precision is chosen, and each repair judged, on data that gave no range."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from edge_export.evaluate.data.calibration import ImageCalibration, NpzCalibration, RandomCalibration, SmoothImages
from edge_export.state import CalibrationSet

__all__ = ["hold_out", "with_holdout"]

T = TypeVar("T")

MOST_HELD_OUT = 32
# A set of this many samples or fewer is too small to be parted: both uses see all of it.
TOO_FEW = 3


def with_holdout(samples: int) -> int:
    """Return how many samples to open so that `samples` are left for calibration (0: all there are)."""
    return samples + min(MOST_HELD_OUT, max(1, samples // 4)) if samples else 0


def hold_out(calibration: CalibrationSet, samples: int) -> tuple[CalibrationSet, CalibrationSet]:
    """Part an opened set in what gives ranges (at most `samples`, 0: no limit) and what is held back.

    Data that is made up is made up anew. A set of TOO_FEW is not parted; the description says so.
    """
    total = len(calibration)
    if isinstance(calibration, RandomCalibration):
        return calibration, dataclasses.replace(calibration, seed=calibration.seed + 1, count=min(total, 4))
    if isinstance(calibration, SmoothImages):
        return calibration, dataclasses.replace(calibration, seed=calibration.seed + 1, count=min(total, 4))
    if total <= TOO_FEW:
        return calibration, calibration
    surplus = total - samples if samples else 0
    held = set(_spread(total, surplus if surplus >= total // 5 > 0 else min(MOST_HELD_OUT, total // 4)))
    words = f"{calibration.description}, {len(held)} of them held back"
    if isinstance(calibration, ImageCalibration):
        given, kept = _parted(calibration.paths, held)
        return (
            dataclasses.replace(calibration, paths=given, description=words),
            dataclasses.replace(calibration, paths=kept, description=f"{len(held)} held-back images"),
        )
    if isinstance(calibration, NpzCalibration):
        chosen, left = _parted(calibration.chosen, held)
        return (
            dataclasses.replace(calibration, chosen=chosen, description=words),
            dataclasses.replace(calibration, chosen=left, description=f"{len(held)} held-back samples"),
        )
    return calibration, calibration


def _spread(total: int, count: int) -> list[int]:
    """Return `count` places spread evenly over `total`, the first one left out: golden samples come from the front."""
    return [min(total - 1, (2 * index + 1) * total // (2 * count)) for index in range(count)]


def _parted(items: Sequence[T], held: set[int]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    given = tuple(item for index, item in enumerate(items) if index not in held)
    kept = tuple(item for index, item in enumerate(items) if index in held)
    return given, kept
