"""Whether a picture shows what another one showed, beyond what the sensor and the codec make of one scene.

Never by a mean over all of it: three limits, of the place that differs most. A speck is a pixel that differs; a hair
that no pixel of stands out is seen once each is taken with its neighbours; a breath of dust by blocks of 8 x 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Difference", "difference", "exceeds", "learnt_noise"]

_BLOCK = 8
_LEAST, _MOST = (4.0, 2.0, 1.0), (40.0, 12.0, 8.0)
_OFTEN, _ROOM = 95, 1.5  # of pictures of one scene, in per cent, what differs least; by how much the limit is beyond it


@dataclass(frozen=True)
class Difference:
    """Levels of 255, each of the place that differs most: a pixel, a pixel with its neighbours, a block's mean."""

    pixel: float
    near: float
    block: float

    @property
    def values(self) -> tuple[float, float, float]:
        """All three."""
        return self.pixel, self.near, self.block


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Difference:
    """Compare two pictures, uint8 [height, width, 3] of one size."""
    return Difference(_pixel(first, second), *_soft(first, second))


def exceeds(first: NDArray[np.uint8], second: NDArray[np.uint8], noise: Difference) -> bool:
    """Whether two pictures differ by more than `noise` anywhere, and so do not show the same."""
    if first.shape != second.shape or _pixel(first, second) > noise.pixel:
        return True
    near, block = _soft(first, second)
    return near > noise.near or block > noise.block


def _pixel(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(cv2.norm(first, second, cv2.NORM_INF))


def _soft(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tuple[float, float]:
    old, new = (cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (first, second))
    signed = cv2.subtract(new, old, dtype=cv2.CV_16S) * np.int16(16)  # so that blurring does not round it away
    near = cv2.norm(cv2.GaussianBlur(signed, (5, 5), 1.0), cv2.NORM_INF) / 16
    sums = cv2.boxFilter(cv2.absdiff(new, old), cv2.CV_16U, (_BLOCK, _BLOCK), normalize=False)
    return near, cv2.norm(sums, cv2.NORM_INF) / _BLOCK**2


def learnt_noise(differences: Sequence[Difference]) -> Difference | None:
    """Return the limits for a source, from pictures and what came before each; None: no two showed the same.

    Only those count that differ as little as sensors and codecs do. A few among them in which something small appeared
    do not widen the limits: what most pictures keep to, and a half more.
    """
    still = [one.values for one in differences if all(v <= most for v, most in zip(one.values, _MOST, strict=True))]
    if not still:
        return None
    usual = np.percentile(np.array(still), _OFTEN, axis=0)
    limits = [
        max(least, min(_ROOM * float(value), most)) for value, least, most in zip(usual, _LEAST, _MOST, strict=True)
    ]
    return Difference(*(round(limit, 2) for limit in limits))
