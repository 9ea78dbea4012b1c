"""What is measured of a picture to compare it with good ones: light, contrast, sharpness, place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CELLS", "TONES", "VIEW", "Measures", "measure", "shift_between"]

CELLS = 8  # a side: the picture in 64 cells
TONES = 16
VIEW = 64  # pixels a side of the small picture by which a shift is found
_LINES = 48  # rows and columns in which sharpness is measured, pixel by pixel
_EDGE, _GRAIN = 24, 6  # levels: what an edge has, and what noise has
_NEAR, _FAR = 1, 4  # pixels to either side: a sharp edge rises as much within the one as within the other


@dataclass(frozen=True, eq=False)
class Measures:
    """Of one picture. Levels are those of gray, 0 to 255; shares and sharpness are from 0 to 1.

    `black` and `white` are the levels that 1 % of the pixels are below and above.
    `tones`, float32 [TONES], is the share of pixels in each of as many steps from black to white.
    `levels` and `textures` (mean difference of neighbours) are float32 [CELLS, CELLS], `view` float32 [VIEW, VIEW].
    `sharpness` is 1 where edges rise within two pixels, less where they take more; 0 where there is no edge.
    """

    brightness: float
    black: float
    white: float
    sharpness: float
    tones: NDArray[np.float32]
    levels: NDArray[np.float32]
    textures: NDArray[np.float32]
    view: NDArray[np.float32]


def measure(image: NDArray[np.uint8], sample: NDArray[np.uint8]) -> Measures:
    """Measure a picture, uint8 [height, width, 3]; `sample` as dead.sampled gives it."""
    gray = cv2.cvtColor(sample, cv2.COLOR_BGR2GRAY)
    counts = cv2.calcHist([gray], [0], None, [256], [0, 256]).ravel() / gray.size
    cumulated = np.cumsum(counts)
    steps = cv2.absdiff(gray[:, 1:], gray[:, :-1]).astype(np.float32)
    levels = cv2.resize(gray.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return Measures(
        brightness=float(levels.mean()),
        black=float(np.searchsorted(cumulated, 0.01)),
        white=float(np.searchsorted(cumulated, 0.99)),
        tones=np.asarray(counts.reshape(TONES, -1).sum(axis=1), np.float32),
        sharpness=_sharpness(image),
        levels=np.asarray(levels, np.float32),
        textures=np.asarray(cv2.resize(steps, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.float32),
        view=cv2.resize(gray, (VIEW, VIEW), interpolation=cv2.INTER_AREA).astype(np.float32),
    )


def _sharpness(image: NDArray[np.uint8]) -> float:
    height, width = image.shape[:2]
    if min(height, width) <= 2 * _FAR:
        return 0.0
    rows = image[:: max(height // _LINES, 1), :, 1].copy()
    columns = image[:, :: max(width // _LINES, 1), 1].T.copy()
    near, far = (_energy(rows, reach) + _energy(columns, reach) for reach in (_NEAR, _FAR))
    if far < _EDGE**2 * 0.001:  # hardly a place in a thousand has an edge
        return 0.0
    return min(near / far * _FAR / _NEAR, 1.0)


def _energy(lines: NDArray[np.uint8], reach: int) -> float:
    """The mean squared difference over 2 * `reach` pixels, small ones left out as noise.

    An edge as sharp as can be counts in as many places as are looked over, a soft one with a part of its height.
    """
    differences = cv2.absdiff(lines[:, 2 * reach :], lines[:, : -2 * reach])
    _, differences = cv2.threshold(differences, _GRAIN, 0, cv2.THRESH_TOZERO)
    return cv2.norm(differences, cv2.NORM_L2SQR) / differences.size


def shift_between(reference: NDArray[np.float32], view: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return by which part of width and height a view is shifted, and how sure that is (up to 1).

    Phase correlation of the edges: light that changes moves nothing.
    """
    (right, down), response = cv2.phaseCorrelate(_edges(reference), _edges(view), _WINDOW)
    return right / VIEW, down / VIEW, float(response)


def _edges(view: NDArray[np.float32]) -> NDArray[np.float32]:
    edges = cv2.magnitude(cv2.Sobel(view, cv2.CV_32F, 1, 0), cv2.Sobel(view, cv2.CV_32F, 0, 1))
    return np.asarray(edges, np.float32)


_WINDOW = cv2.createHanningWindow((VIEW, VIEW), cv2.CV_32F)
