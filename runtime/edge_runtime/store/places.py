"""Where pictures wait to be written: places that are taken once, so that a disk that hesitates takes no memory."""

from __future__ import annotations

import contextlib
import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Places", "Put"]


@dataclass(frozen=True, eq=False)
class Put:
    """A copy of a picture, uint8 of any shape, and the place that it lies in."""

    image: NDArray[np.uint8]
    place: NDArray[np.uint8]


class Places:
    """So many, for any threads. All are as large as the first picture from when that comes, and grow for larger ones.

    A picture that waits in a place of its own keeps none of what it was read into: what a station holds is the same
    whether its disk is quick or slow.
    """

    def __init__(self, number: int) -> None:
        self._free: queue.Queue[NDArray[np.uint8]] = queue.Queue(number)
        for _ in range(number):
            self._free.put(_place(0))

    def put(self, image: NDArray[np.uint8], wait: bool) -> Put | None:
        """Copy a picture into a place that is free; None: none is, and `wait` is False."""
        try:
            place = self._free.get(block=wait)
        except queue.Empty:
            return None
        if place.nbytes < image.nbytes:
            self._grow(image.nbytes)
            place = _place(image.nbytes)
        copy = place[: image.nbytes].reshape(image.shape)
        np.copyto(copy, image)
        return Put(copy, place)

    def free(self, put: Put) -> None:
        """Let the next picture have the place."""
        self._free.put(put.place)

    def _grow(self, size: int) -> None:
        with contextlib.suppress(queue.Empty):
            for _ in range(self._free.qsize()):
                place = self._free.get_nowait()
                self._free.put(place if place.nbytes >= size else _place(size))


def _place(size: int) -> NDArray[np.uint8]:
    """Memory that is there, and not only promised."""
    place = np.empty(size, np.uint8)
    place.fill(0)
    return place
