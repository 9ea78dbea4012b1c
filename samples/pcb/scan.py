"""What a line scanner and a threshold make of a board: wavy edges, dashed teeth, JPEG grain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pcb.canvas import Mask


@dataclass(frozen=True)
class Scanner:
    """The scanner's faults. Lengths in pixels, noise in fractions of full scale."""

    wave: float  # how far edges wander
    wavelength: float  # over what distance they do
    ripple: float  # the same over a few pixels only: what makes a drilled hole look ragged
    blur: float
    noise: float
    bias: float  # of the threshold: above 0 copper shrinks
    tilt: float  # shear of the picture, pixels per pixel

    @classmethod
    def random(cls, rng: np.random.Generator) -> Scanner:
        return cls(
            wave=float(rng.choice([0.15, 0.3, 0.5, 1.0])),
            wavelength=float(rng.uniform(16, 90)),
            ripple=float(rng.choice([0.0, 0.0, 0.15, 0.3])),
            blur=float(rng.uniform(0.5, 1.6)),
            noise=float(rng.uniform(0.01, 0.12)),
            bias=float(np.clip(rng.normal(0, 0.1), -0.2, 0.2)),
            tilt=float(rng.normal(0, 0.003)),
        )


def _field(rng: np.random.Generator, shape: tuple[int, int], wavelength: float) -> NDArray[np.float32]:
    """Smooth noise [H, W] of about unit height that changes over `wavelength` pixels."""
    height, width = (max(3, round(side / wavelength) + 3) for side in shape)
    coarse = rng.normal(0, 1, (height, width)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def binarise(copper: Mask, rng: np.random.Generator, scanner: Scanner) -> Mask:
    """The copper as scanned and thresholded, [H, W] uint8 of 0 and 1."""
    height, width = copper.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    shift_x, shift_y = (
        scanner.wave * _field(rng, copper.shape, scanner.wavelength) + scanner.ripple * _field(rng, copper.shape, 5)
        for _ in range(2)
    )
    map_x = xs + shift_x + scanner.tilt * (ys - height / 2)
    map_y = ys + shift_y - scanner.tilt * (xs - width / 2)
    grey = cv2.remap(copper.astype(np.float32), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    grey = cv2.GaussianBlur(grey, (0, 0), scanner.blur)
    most = 0.8 * (0.5 - abs(scanner.bias))  # more would sprinkle specks over plain ground
    grain = np.clip(rng.standard_normal(copper.shape, np.float32) * scanner.noise, -most, most)
    return np.asarray(grey + grain > 0.5 + scanner.bias, np.uint8)


def picture(copper: Mask, quality: int) -> NDArray[np.uint8]:
    """The grey picture [H, W] that is stored: copper black on white, through JPEG at `quality` (0: exact)."""
    exact = np.asarray((1 - copper) * 255, np.uint8)
    if quality == 0:
        return exact
    stored = cv2.imencode(".jpg", exact, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE), np.uint8)
