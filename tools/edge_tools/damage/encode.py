"""Still-picture formats: how a gray board becomes the bytes of a file. A table, read by name."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pillow_heif
from PIL import Image, features

from edge_tools.damage.boards import coloured

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FORMATS", "Format"]

Gray = Any  # uint8 [height, width]


@dataclass(frozen=True)
class Format:
    """`encode` gives a file of one picture, or of several: then the first page shows the clean board."""

    suffix: str
    encode: Callable[[Gray, Gray], bytes]
    pages: int = 1

    def __call__(self, picture: Gray, clean: Gray) -> bytes:
        """Return the bytes of a file with the picture; the clean one is the first page where there are two."""
        return self.encode(picture, clean)


def _pil(image: Image.Image, kind: str, **options: Any) -> bytes:
    into = io.BytesIO()
    image.save(into, kind, **options)
    return into.getvalue()


def _gray(kind: str, **options: Any) -> Callable[[Gray, Gray], bytes]:
    return lambda picture, clean: _pil(Image.fromarray(picture), kind, **options)


def _colour(kind: str, **options: Any) -> Callable[[Gray, Gray], bytes]:
    return lambda picture, clean: _pil(_rgb(picture), kind, **options)


def _two(kind: str, **options: Any) -> Callable[[Gray, Gray], bytes]:
    def encode(picture: Gray, clean: Gray) -> bytes:
        return _pil(_rgb(clean), kind, save_all=True, append_images=[_rgb(picture)], **options)

    return encode


def _rgb(gray: Gray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(coloured(gray)[..., ::-1]))


def _cv(suffix: str, change: Callable[[Gray], NDArray[Any]]) -> Callable[[Gray, Gray], bytes]:
    return lambda picture, clean: cv2.imencode(suffix, change(picture))[1].tobytes()


def _transparent(gray: Gray) -> Image.Image:
    """Copper is opaque; the base has alpha 0 and, as many programs write it, the colour black."""
    copper = gray < 128
    rgba = np.zeros((*gray.shape, 4), np.uint8)
    rgba[copper] = np.stack([gray, gray, gray, np.full_like(gray, 255)], axis=2)[copper]
    return Image.fromarray(rgba)


def _twelve(gray: Gray) -> NDArray[np.uint16]:
    levels: NDArray[np.uint16] = np.multiply(gray, 16, dtype=np.uint16)
    return levels


FORMATS: dict[str, Format] = {
    "jpeg": Format(".jpg", _colour("JPEG", quality=90)),
    "jpeg 4:4:4": Format(".jpg", _colour("JPEG", quality=95, subsampling=0)),
    "jpeg gray": Format(".jpg", _gray("JPEG", quality=90)),
    "jpeg progressive": Format(".jpg", _colour("JPEG", quality=90, progressive=True)),
    "jpeg progressive gray": Format(".jpg", _gray("JPEG", quality=90, progressive=True)),
    "jpeg restarts": Format(".jpg", _colour("JPEG", quality=90, restart_marker_rows=1)),
    "jpeg gray restarts": Format(".jpg", _gray("JPEG", quality=90, restart_marker_blocks=20)),
    "png": Format(".png", _colour("PNG")),
    "png gray": Format(".png", _gray("PNG")),
    "png 16 bit": Format(".png", _cv(".png", lambda gray: gray.astype(np.uint16) * 257)),
    "png 12 in 16 bit": Format(".png", _cv(".png", _twelve)),
    "png palette": Format(".png", lambda picture, clean: _pil(Image.fromarray(picture).convert("P"), "PNG")),
    "png transparent": Format(".png", lambda picture, clean: _pil(_transparent(picture), "PNG")),
    "apng": Format(".png", _two("PNG", duration=200), pages=2),
    "tiff strips": Format(".tif", _gray("TIFF", strip_size=640 * 16)),
    "tiff lzw": Format(".tif", _colour("TIFF", compression="tiff_lzw")),
    "tiff deflate": Format(".tif", _colour("TIFF", compression="tiff_adobe_deflate")),
    "tiff jpeg": Format(".tif", _colour("TIFF", compression="jpeg", quality=90)),
    "tiff 12 in 16 bit": Format(".tif", _cv(".tif", _twelve)),
    "tiff float": Format(".tif", lambda picture, clean: _pil(Image.fromarray(np.float32(picture / 255)), "TIFF")),
    "tiff pages": Format(".tif", _two("TIFF", compression="tiff_adobe_deflate"), pages=2),
    "webp": Format(".webp", _colour("WEBP", quality=90)),
    "webp lossless": Format(".webp", _colour("WEBP", lossless=True, method=1)),
    "webp animated": Format(".webp", _two("WEBP", duration=200, quality=90, method=1), pages=2),
    "bmp": Format(".bmp", _colour("BMP")),
    "pgm": Format(".pgm", _gray("PPM")),
    "ppm": Format(".ppm", _colour("PPM")),
    "gif": Format(".gif", lambda picture, clean: _pil(Image.fromarray(picture), "GIF")),
    "gif animated": Format(".gif", _two("GIF", duration=200), pages=2),
    "jpeg 2000": Format(".jp2", _cv(".jp2", coloured)),
}
if features.check("avif"):
    FORMATS["avif"] = Format(".avif", _colour("AVIF", quality=85, speed=10))
pillow_heif.register_heif_opener()
FORMATS["heic"] = Format(".heic", _colour("HEIF", quality=90))
