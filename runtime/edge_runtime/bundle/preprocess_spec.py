"""How an image becomes a model's input tensor: what the manifest says of it. Sizes are pixels of that input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Preprocess"]

_FLOAT32_MAX = 3.4e38


@dataclass(frozen=True)
class Preprocess:
    """How an image (uint8, height x width x 3, BGR as OpenCV reads it) becomes the model's input tensor.

    Steps, in this order: colour -> fit to width x height -> (pixel * scale - mean) / std -> layout -> dtype.
    `mean` and `std` have one value per channel, in the order of `colour`, in units of the scaled pixel.
    """

    width: int
    height: int
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    # letterbox: where the image lies in the padded canvas; YOLOX pads right and below ("top-left").
    anchor: Literal["center", "top-left"] = "center"
    pad_value: int = 114
    # crop: the image is resized so that its short side has this many pixels, then cut from the centre. 0: as fit.
    resize_short: int = 0
    # plain names are OpenCV's kernels; pil-* are Pillow's antialiased ones (torchvision, Hugging Face), bit for bit.
    interpolation: Literal["nearest", "linear", "cubic", "area", "pil-bilinear", "pil-bicubic", "pil-lanczos"] = (
        "linear"
    )
    colour: Literal["rgb", "bgr", "gray"] = "rgb"
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "float16", "uint8", "int8"] = "float32"

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image in the model's input, without the batch."""
        channels = len(self.mean)
        return (channels, self.height, self.width) if self.layout == "nchw" else (self.height, self.width, channels)

    def __post_init__(self) -> None:
        channels = 1 if self.colour == "gray" else 3
        if not (0 < self.width <= 16384 and 0 < self.height <= 16384):
            raise ValueError(f"width and height must be 1..16384 pixels, found {self.width}x{self.height}")
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(
                f"mean and std need {channels} values for {self.colour}, found {len(self.mean)} and {len(self.std)}"
            )
        if any(value == 0 for value in self.std) or self.scale == 0:
            raise ValueError("std and scale must not be zero")
        ends = [(p * self.scale - m) / s for m, s in zip(self.mean, self.std, strict=True) for p in (0, 255)]
        if not all(abs(end) <= _FLOAT32_MAX for end in ends):
            raise ValueError("scale, mean and std make values that float32 cannot hold")
        if not 0 <= self.pad_value <= 255:
            raise ValueError(f"pad_value must be 0..255, found {self.pad_value}")
        if self.resize_short and not max(self.width, self.height) <= self.resize_short <= 16384:
            raise ValueError(
                f"resize_short must be 0, or from the crop's {self.width}x{self.height} to 16384 pixels, "
                f"found {self.resize_short}"
            )
