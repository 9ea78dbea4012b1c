"""Pascal-VOC-like masks: an image folder beside a folder of PNG files of the same name, one class per pixel.

Masks are palette or grey PNGs whose pixel value is the class index; 255 means "do not judge" (VOC's borders).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.images import find_images, listed_lines, match_image, spread
from edge_export.evaluate.data.truth import Labelled, LabelledSet, MaskTruth
from edge_runtime.errors import DataError

__all__ = ["find_masks", "open_masks", "read_mask"]

_IMAGES = ("images", "JPEGImages")
_MASKS = ("masks", "SegmentationClass", "labels")


def find_masks(folder: Path) -> tuple[Path, Path] | None:
    """Return (image folder, mask folder) when a known pair of names is there with PNG masks; else None."""
    for images in _IMAGES:
        for masks in _MASKS:
            if (folder / images).is_dir() and next((folder / masks).rglob("*.png"), None) is not None:
                return folder / images, folder / masks
    return None


def open_masks(images: Path, masks: Path, limit: int, seed: int) -> LabelledSet:
    """Pair masks with images of the same name; masks without an image are counted and reported."""
    found = [path for path in find_images(masks) if path.suffix.lower() == ".png"]
    pairs = [(match_image(images / path.relative_to(masks).parent, path.stem), path) for path in found]
    items = [Labelled(image, MaskTruth(mask)) for image, mask in pairs if image is not None]
    if not items:
        raise DataError(
            f"no mask in {masks} has an image of its name in {images}; expected images/X.jpg and masks/X.png"
        )
    chosen = tuple(items[index] for index in spread(len(items), limit, seed))
    lost = len(found) - len(items)
    names = images.parent / "classes.txt"
    return LabelledSet(
        task="segment",
        format="PNG masks",
        items=chosen,
        names=tuple(text for _, text in listed_lines(names)) if names.is_file() else (),
        description=f"{images.parent.name}: {len(chosen)} of {len(items)} images, seed {seed}",
        notes=(f"{lost} of {len(found)} masks have no image of their name: left out",) if lost else (),
    )


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Return class indices, uint8 [height, width]. Raises DataError for a mask that holds colours."""
    mask = _palette_indices(path)
    if mask is None:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise DataError(f"cannot read the mask {path}; expected a PNG with one class index per pixel")
        mask = np.asarray(image)
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise DataError(
            f"{path}: expected a grey or palette PNG of 8 bits with class indices, found {mask.dtype} {mask.shape}"
        )
    return np.asarray(mask, dtype=np.uint8)


def _palette_indices(path: Path) -> NDArray[np.uint8] | None:
    """Read a palette PNG's indices, which OpenCV turns into colours; None when it is not one.

    The colours are looked up in the file's own palette. Black may stand there many times (unused entries are
    padded with it): it means the first. Any other colour that two entries share cannot be told apart:
    DataError.
    """
    data = path.read_bytes()
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[25:26] != b"\x03":  # colour type 3: palette (PNG, section 11.2.2)
        return None
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    palette = _chunk(data, b"PLTE")
    if image is None or palette is None:
        raise DataError(f"cannot read the palette PNG {path}; write the mask again")
    colours = np.frombuffer(palette[: len(palette) // 3 * 3], dtype=np.uint8).reshape(-1, 3)[:, ::-1].astype(np.int64)
    keys, first, count = np.unique(_packed(colours), return_index=True, return_counts=True)
    pixels = _packed(image.astype(np.int64))
    place = np.minimum(np.searchsorted(keys, pixels), len(keys) - 1)
    if np.any(keys[place] != pixels) or np.any((count[place] > 1) & (pixels != 0)):
        raise DataError(f"{path}: two palette entries share a colour, so classes cannot be told apart; save as grey")
    return first[place].astype(np.uint8)


def _packed(colours: NDArray[np.int64]) -> NDArray[np.int64]:
    packed: NDArray[np.int64] = colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
    return packed


def _chunk(data: bytes, kind: bytes) -> bytes | None:
    """Return the body of a PNG file's first chunk of this kind: each is length, kind, body, checksum."""
    position = 8
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] == kind:
            return data[position + 8 : position + 8 + length]
        position += length + 12
    return None
