"""Made-up pictures with white dots, and a model that finds them, for what looks at parts of pictures."""

import cv2
import numpy as np

from edge_runtime.results import Box, Prediction, Result

__all__ = ["SHAPE", "Finder", "picture"]

SHAPE = (300, 400)


def picture(*dots, shape=SHAPE):
    """A gray picture with white squares of 9 pixels around these places, x and y."""
    image = np.full((*shape, 3), 90, np.uint8)
    for x, y in dots:
        image[y - 4 : y + 5, x - 4 : x + 5] = 255
    return image


class Finder:
    """A model that finds white things: all that is 200 or lighter and connected. Remembers its batches."""

    def __init__(self):
        self.batches = []

    def run(self, images):
        self.batches.append([image.shape[:2] for image in images])
        return [self._result(image) for image in images]

    def _result(self, image):
        count, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 1] >= 200).astype(np.uint8))
        found = tuple(
            Prediction("open", 0, 0.9, Box(float(x), float(y), float(x + w), float(y + h)))
            for x, y, w, h, _ in stats[1:count].tolist()
        )
        return Result("NG" if found else "OK", (f"open x{len(found)}",) if found else (), found)
