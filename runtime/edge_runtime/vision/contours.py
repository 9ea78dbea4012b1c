"""The outlines of an object's mask."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.results import Mask

__all__ = ["contours", "outline"]

Corners = NDArray[np.int32]


def contours(mask: Mask) -> list[Corners]:
    """The outer outline of each part of a mask: the centres of its border's pixels [n, 2], x and y; largest first."""
    inside = np.ascontiguousarray(mask.inside).view(np.uint8)
    found = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(mask.left, mask.top))[0]
    return [np.asarray(part, np.int32).reshape(-1, 2) for part in sorted(found, key=cv2.contourArea, reverse=True)]


def outline(mask: Mask) -> Corners:
    """One polygon [n, 2] for all parts: lines that go there and back again, and cover nothing, connect them."""
    parts = contours(mask)
    if not parts:
        return np.empty((0, 2), np.int32)
    first = parts[0][:1]
    return np.concatenate([parts[0], *(np.concatenate([first, part, part[:1]]) for part in parts[1:])])
