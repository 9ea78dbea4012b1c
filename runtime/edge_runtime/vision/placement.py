"""Where an image landed in the model's input, so that boxes can be carried back to the original image."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Placement"]


@dataclass(frozen=True)
class Placement:
    """An axis-aligned map, original pixel -> input pixel: x_in = x * scale_x + offset_x (y alike).

    `width` and `height` are the original image's, `input_width` and `input_height` the model input's, in pixels.
    A letterbox has positive offsets (its padding), a centre crop negative ones.
    """

    width: int
    height: int
    input_width: int
    input_height: int
    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
