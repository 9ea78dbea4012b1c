"""From an image to the model's input tensor: the one implementation, for calibration and for the device."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Union

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import DataError, EngineError
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.resample import Filter, resample

__all__ = ["Preprocessor"]

# OpenCV's 8-bit linear kernels for ARM round otherwise for each number of channels, and of a gray image they often get
# the first column wrong, by up to 255 (OpenCV 4.14 and 5.0, tools/arm). The exact one is within 1 of x86's everywhere.
_ON_ARM = platform.machine().lower().startswith(("aarch64", "arm"))
_OPENCV_KERNELS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR_EXACT if _ON_ARM else cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
_PILLOW_KERNELS: dict[str, Filter] = {
    "pil-bilinear": "bilinear",
    "pil-bicubic": "bicubic",
    "pil-lanczos": "lanczos",
}
_Element = Union[np.float32, np.uint16, np.uint8]
# cv2.LUT only moves table entries, but does not know float16.
_SAME_BYTES: dict[str, type[_Element]] = {
    "float32": np.float32,
    "float16": np.uint16,
    "uint8": np.uint8,
    "int8": np.uint8,
}


class Preprocessor:
    """Applies one manifest.Preprocess. Stateless after construction, so threads may share it.

    A pixel is one of 256 values, so scaling, normalisation and dtype are one table per channel, computed in
    float64 and rounded once: exact, and faster than arithmetic.
    """

    def __init__(self, spec: Preprocess) -> None:
        self.spec = spec
        self.dtype: np.dtype[np.generic] = np.dtype(spec.dtype)
        self.shape = spec.shape
        self._tables = _tables(spec, self.dtype)  # [channels, 256]

    def place(self, height: int, width: int) -> Placement:
        """Where an image of this size (pixels) lands in the input."""
        new_width, new_height, left, top = self._geometry(height, width)
        return Placement(
            width=width,
            height=height,
            input_width=self.spec.width,
            input_height=self.spec.height,
            scale_x=new_width / width,
            scale_y=new_height / height,
            offset_x=float(left),
            offset_y=float(top),
        )

    def write(self, image: NDArray[np.uint8], out: NDArray[np.generic]) -> Placement:
        """Pre-process uint8 `image`, [H, W, 3] BGR or [H, W] gray, into `out`, of `shape` and `dtype`, whole.

        Raises DataError for any other image, EngineError for an `out` that does not fit.
        """
        _check_image(image)
        if out.shape != self.shape or out.dtype != self.dtype or not out.flags.c_contiguous:
            raise EngineError(
                f"expected a contiguous {self.dtype} buffer of shape {self.shape} to pre-process into, "
                f"found {out.dtype} {out.shape}; allocate it from Preprocessor.shape and .dtype"
            )
        height, width = image.shape[:2]
        new_width, new_height, left, top = self._geometry(height, width)
        if self.spec.colour == "gray" and image.ndim == 3:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        image = self._resize(image, new_width, new_height)

        # A centre crop has negative offsets: what sticks out of the input on any side is cut here.
        image = image[max(-top, 0) : self.spec.height - top, max(-left, 0) : self.spec.width - left]
        top, left = max(top, 0), max(left, 0)
        rows, columns = slice(top, top + image.shape[0]), slice(left, left + image.shape[1])
        target: NDArray[_Element] = out.view(_SAME_BYTES[self.spec.dtype])
        if self.spec.layout == "nchw":
            self._write_planes(image, target[:, rows, columns])
            self._pad(target, rows, columns)
        else:
            self._write_pixels(image, target[rows, columns])
            self._pad(target.transpose(2, 0, 1), rows, columns)
        return self.place(height, width)

    def batch(self, images: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.generic], list[Placement]]:
        """Pre-process images into a new array [N, *shape]; the placements are in the images' order."""
        tensor = np.empty((len(images), *self.shape), self.dtype)
        return tensor, [self.write(image, out) for image, out in zip(images, tensor, strict=True)]

    def _geometry(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Width and height of the resized image, and where its left top corner lies in the input."""
        spec = self.spec
        if spec.fit == "stretch":
            return spec.width, spec.height, 0, 0
        if spec.fit == "crop":
            # torchvision: Resize truncates the long side, CenterCrop rounds the offset half to even.
            new_width, new_height = self._covering(height, width)
            left = round((new_width - spec.width) / 2.0)
            top = round((new_height - spec.height) / 2.0)
            return new_width, new_height, -left, -top
        ratio = min(spec.height / height, spec.width / width)
        if spec.anchor == "top-left":  # YOLOX, yolox/data/data_augment.py, preproc
            return max(int(width * ratio), 1), max(int(height * ratio), 1), 0, 0
        # Ultralytics, data/augment.py, LetterBox
        new_width, new_height = max(round(width * ratio), 1), max(round(height * ratio), 1)
        left = round((spec.width - new_width) / 2 - 0.1)
        top = round((spec.height - new_height) / 2 - 0.1)
        return new_width, new_height, left, top

    def _covering(self, height: int, width: int) -> tuple[int, int]:
        spec = self.spec
        if spec.resize_short:
            by_width = width <= height
            short_width = short_height = spec.resize_short
        else:  # the smallest image of the same shape that covers the input
            by_width = spec.width * height >= spec.height * width
            short_width, short_height = spec.width, spec.height
        if by_width:
            return short_width, max(int(short_width * height / width), spec.height)
        return max(int(short_height * width / height), spec.width), short_height

    def _resize(self, image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        if image.shape[:2] == (height, width):
            return image
        kernel = _PILLOW_KERNELS.get(self.spec.interpolation)
        if kernel is not None:
            return resample(image, width, height, kernel)
        interpolation = _OPENCV_KERNELS[self.spec.interpolation]
        return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)

    def _write_planes(self, image: NDArray[np.uint8], target: NDArray[_Element]) -> None:
        for channel, plane in enumerate(target):
            # OpenCV's images are BGR; a gray image feeds every channel.
            source = 2 - channel if self.spec.colour == "rgb" else channel
            values = image if image.ndim == 2 else cv2.extractChannel(image, source)
            cv2.LUT(values, self._tables[channel], plane)

    def _write_pixels(self, image: NDArray[np.uint8], target: NDArray[_Element]) -> None:
        if self.spec.colour == "gray":
            cv2.LUT(image, self._tables[0], target[:, :, 0])
            return
        pixels: cv2.typing.MatLike = image
        if image.ndim == 2:
            pixels = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        elif self.spec.colour == "rgb":
            pixels = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        cv2.LUT(pixels, np.ascontiguousarray(self._tables.T).reshape(256, 1, -1), target)

    def _pad(self, planes: NDArray[_Element], rows: slice, columns: slice) -> None:
        # Only the border: the engine reuses the buffer, so it has to be written for every image.
        for plane, table in zip(planes, self._tables, strict=True):
            value = table[self.spec.pad_value]
            plane[: rows.start] = value
            plane[rows.stop :] = value
            plane[rows, : columns.start] = value
            plane[rows, columns.stop :] = value


def _tables(spec: Preprocess, dtype: np.dtype[np.generic]) -> NDArray[_Element]:
    pixels = np.arange(256, dtype=np.float64) * spec.scale
    mean, std = np.array(spec.mean, np.float64)[:, None], np.array(spec.std, np.float64)[:, None]
    values = (pixels - mean) / std
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        values = np.clip(np.rint(values), limits.min, limits.max)
    tables: NDArray[_Element] = np.ascontiguousarray(values.astype(dtype)).view(_SAME_BYTES[spec.dtype])
    return tables


def _check_image(image: NDArray[np.uint8]) -> None:
    if not isinstance(image, np.ndarray):
        raise DataError(f"expected an image as a numpy array, found {type(image).__name__}; read it with cv2.imread")
    shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not shaped or image.size == 0:
        raise DataError(
            f"expected a uint8 image [height, width, 3] (BGR) or [height, width] (gray), "
            f"found {image.dtype} {list(image.shape)}; convert it with cv2.cvtColor or astype first"
        )
