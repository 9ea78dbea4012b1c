"""Pre-processing that a file beside the model tells step by step: resize, pad, cut, normalize."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

from edge_export.model.graph_io import ImageInput
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["Steps"]


@dataclass(frozen=True)
class Steps:
    """What the steps come to; None where no step says it. Means and deviations are of scaled pixels."""

    size: Union[tuple[int, int], None] = None  # width and height
    keeps_ratio: bool = False
    centred: bool = False  # a picture that keeps its form, in what is filled up
    short_side: int = 0  # that the picture gets before it is cut
    pad_value: int = 0
    interpolation: Literal["nearest", "linear", "cubic", "area"] = "linear"
    rgb: bool = True
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def preprocess(self, image: ImageInput) -> Preprocess | None:
        """The pre-processing for a graph's image input, whose size the graph or a step tells; None where none does.

        What keeps the picture's form is filled up at the right and below, or all around.
        """
        width, height = (image.width, image.height) if image.width and image.height else self.size or (0, 0)
        if not width or not height or image.channels != 3 or len(self.mean) != 3 or len(self.std) != 3:
            return None
        fit: Literal["crop", "letterbox", "stretch"] = "letterbox" if self.keeps_ratio else "stretch"
        if self.short_side:
            fit = "crop"
        try:
            return Preprocess(
                width=width,
                height=height,
                fit=fit,
                anchor="top-left" if fit == "letterbox" and not self.centred else "center",
                pad_value=self.pad_value if fit == "letterbox" else 114,
                resize_short=self.short_side,
                interpolation=self.interpolation,
                colour="rgb" if self.rgb else "bgr",
                scale=self.scale,
                mean=self.mean,
                std=self.std,
                layout=image.layout,
                dtype=image.dtype,
            )
        except ValueError:  # no numbers that pixels can be normalized with
            return None
