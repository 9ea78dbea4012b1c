"""Where a picture shows what its reference shows: by corners that are found again, or by making both alike (ECC)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

import cv2
import numpy as np

from edge_runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Ecc", "Features", "LostError", "Registering"]

_FEATURE_SIDE, _ECC_SIDES = 1024, (128, 512)  # pixels of the longer side that is looked at
_CORNERS = 1000
_LEAST_CORNERS, _LEAST_SHARE = 15, 0.25  # of corners that move together: found by chance there are not a tenth of it
_OFF = 3.0  # pixels by which a corner may miss its place
_ALIKE = 0.6  # least correlation after ECC
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)


class LostError(DataError):
    """What the reference shows was not found in a picture."""


class Features:
    """By ORB's corners, and the similarity that most of them agree on (RANSAC, which is the same each time)."""

    def __init__(self, reference: NDArray[np.uint8]) -> None:
        """Raise DataError for a reference that has too little to be known by."""
        self._orb = cv2.ORB_create(_CORNERS)  # type: ignore[attr-defined]
        self._matcher = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True)
        gray, self._scale = _gray(reference, _FEATURE_SIDE)
        self._points, self._words = self._corners(gray)
        if len(self._points) < 4 * _LEAST_CORNERS:
            raise DataError(
                f"the reference has only {len(self._points)} corners to be known by; take a picture with more in it, "
                "or method: ecc"
            )

    def find(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return [2, 3]: where pixels of the reference are in a picture of the same size. Raises LostError."""
        points, words = self._corners(_gray(image, _FEATURE_SIDE)[0])
        matches = self._matcher.match(self._words, words) if len(points) else ()
        if len(matches) < _LEAST_CORNERS:
            raise LostError(f"moved: {len(matches)} of the reference's corners were found again")
        ours = np.array([self._points[match.queryIdx] for match in matches])
        theirs = np.array([points[match.trainIdx] for match in matches])
        found, inside = cv2.estimateAffinePartial2D(
            ours, theirs, method=cv2.RANSAC, ransacReprojThreshold=_OFF, maxIters=2000, confidence=0.999
        )
        agree = 0 if found is None else int(np.count_nonzero(inside))
        if agree < max(_LEAST_CORNERS, _LEAST_SHARE * len(matches)):
            raise LostError(f"moved: {agree} of {len(matches)} of the reference's corners are where the others are")
        moved = np.array(found, np.float64)
        moved[:, 2] /= self._scale
        return moved

    def _corners(self, gray: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        points, words = self._orb.detectAndCompute(gray, None)
        if words is None:
            return np.empty((0, 2)), np.empty((0, 32), np.uint8)
        return np.array([point.pt for point in points], np.float64), np.asarray(words, np.uint8)


class Ecc:
    """By the shift and turn that make both pictures most alike, light aside (Evangelidis and Psarakis, 2008)."""

    def __init__(self, reference: NDArray[np.uint8]) -> None:
        """Raise DataError for a reference that is the same everywhere."""
        self._levels = [_gray(reference, side) for side in _ECC_SIDES]
        if float(self._levels[-1][0].std()) < 2.0:
            raise DataError("the reference shows nothing to be known by: it is nearly of one colour")
        self._window = cv2.createHanningWindow(self._levels[0][0].shape[::-1], cv2.CV_32F)

    def find(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return [2, 3], as Features does. Raises LostError."""
        views = [_gray(image, side)[0] for side in _ECC_SIDES]
        (coarse, scale), (fine, fine_scale) = self._levels
        # From where it is, and from where the edges say: the one that ends more alike is not the wrong valley.
        right, down = cv2.phaseCorrelate(coarse.astype(np.float32), views[0].astype(np.float32), self._window)[0]
        starts = [np.eye(2, 3), np.array([[1.0, 0.0, right / scale], [0.0, 1.0, down / scale]])]
        ends = [_refined(coarse, views[0], start, scale) for start in starts]
        alike, moved = max(ends, key=lambda end: end[0])
        if alike > 0:
            alike, moved = _refined(fine, views[1], moved, fine_scale)
        if alike < _ALIKE:
            raise LostError(f"moved: the picture is like the reference by {alike:.2f}, and should be by {_ALIKE}")
        return moved


Registering = Union[Features, Ecc]


def _refined(
    reference: NDArray[np.uint8], view: NDArray[np.uint8], moved: NDArray[np.float64], scale: float
) -> tuple[float, NDArray[np.float64]]:
    """How alike both are after ECC from a start on, and the place it ends at; 0 where it comes to nothing."""
    start = moved.astype(np.float32)
    start[:, 2] *= scale
    everywhere = np.full(reference.shape, 255, np.uint8)
    try:
        alike, found = cv2.findTransformECC(reference, view, start, cv2.MOTION_EUCLIDEAN, _STEPS, everywhere, 5)
    except cv2.error:
        return 0.0, moved
    end = np.array(found, np.float64)
    end[:, 2] /= scale
    return float(alike), end


def _gray(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], float]:
    """A picture in gray, its longer side as long as that at most, and by what it was made smaller."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = min(side / max(gray.shape), 1.0)
    if scale < 1.0:
        size = max(round(gray.shape[1] * scale), 1), max(round(gray.shape[0] * scale), 1)
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8), scale
