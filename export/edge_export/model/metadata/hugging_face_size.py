"""How a Hugging Face image processor fits an image: the many spellings of size, crop_size and crop_pct."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edge_export.model.parse import number

__all__ = ["Fit", "read_fit"]

_MAX_SIDE = 16384
_CONVNEXT_STRETCHES_FROM = 384  # ConvNextImageProcessor.resize: from this size on nothing is cropped
_DEFAULT_CROP_PCT = 224 / 256


@dataclass(frozen=True)
class Fit:
    """Input size in pixels, and how an image gets there."""

    width: int
    height: int
    fit: Literal["stretch", "crop"] = "stretch"
    resize_short: int = 0


def read_fit(processor: Mapping[str, Any], config: Mapping[str, Any], notes: list[str]) -> Fit | None:
    """The fit that `size`, `crop_size` and `crop_pct` describe; None when no size is known."""
    size = _pair(processor.get("size"), config)
    kind = str(processor.get("image_processor_type") or processor.get("feature_extractor_type") or "")
    short, longest = _short(processor.get("size"))
    if not processor.get("do_resize", True):
        size = _pair(config.get("image_size"), config)
        if size:
            notes.append(f"the folder's processor does not resize; images are stretched to {size[1]}x{size[0]}")
        return Fit(size[1], size[0]) if size else None
    if kind.startswith(("ConvNext", "ConvNeXT", "ConvNeXt")) and short:
        return _convnext(short, processor)
    crop = (
        _pair(processor.get("crop_size"), config) if processor.get("do_center_crop", "crop_size" in processor) else None
    )
    if short and longest:
        return _detector(short, longest, notes)
    if crop and short:
        return _crop(crop, _resize_short(short, kind, processor))
    if crop and size and crop != size:
        if size[0] == size[1]:
            notes.append(f"images are resized on their short side to {size[0]} before the crop, not stretched")
            return _crop(crop, size[0])
        notes.append(f"the crop of {crop[1]}x{crop[0]} out of {size[1]}x{size[0]} is left out; images are stretched")
        return Fit(crop[1], crop[0])
    if size:
        return Fit(size[1], size[0])
    if short:
        notes.append(
            f"the folder's processor keeps the aspect ratio (short side {short}); a fixed {short}x{short} "
            f"was chosen: images are cut to it from the centre"
        )
        return Fit(short, short, "crop", short)
    return Fit(crop[1], crop[0], "crop", max(crop)) if crop else None


def _convnext(short: int, processor: Mapping[str, Any]) -> Fit:
    if short >= _CONVNEXT_STRETCHES_FROM:
        return Fit(short, short)
    percent = number(processor.get("crop_pct", _DEFAULT_CROP_PCT), 0.05, 1.0) or _DEFAULT_CROP_PCT
    return Fit(short, short, "crop", int(short / percent))


def _resize_short(short: int, kind: str, processor: Mapping[str, Any]) -> int:
    if kind.startswith("Levit"):
        return int(256 / 224 * short)
    percent = number(processor.get("crop_pct"), 0.05, 1.0)
    return int(short / percent) if percent else short


def _crop(crop: tuple[int, int], short: int) -> Fit:
    height, width = crop
    return Fit(width, height, "crop", max(short, width, height))


def _detector(short: int, longest: int, notes: list[str]) -> Fit:
    """DETR's sizes depend on the image; a device's graph has one."""
    notes.append(
        f"the folder's processor keeps the aspect ratio (short side {short}, long side at most {longest}); "
        f"a fixed {short}x{short} was chosen: images are stretched to it, --input-shape pixel_values:1,3,H,W "
        f"chooses another"
    )
    return Fit(short, short)


def _short(size: Any) -> tuple[int | None, int | None]:
    if not isinstance(size, dict):
        return None, None
    return _side(size.get("shortest_edge")), _side(size.get("longest_edge") or size.get("max_size"))


def _pair(size: Any, config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width from {"height", "width"}, [height, width] or one number."""
    if isinstance(size, dict):
        size = [size.get("height"), size.get("width")]
    if isinstance(size, (list, tuple)):
        sides = [_side(side) for side in size]
        return (sides[0], sides[1]) if len(sides) == 2 and sides[0] and sides[1] else None
    side = _side(size)
    return (side, side) if side else None


def _side(value: Any) -> int | None:
    side = number(value, 1, _MAX_SIDE)
    return int(side) if side is not None and side == int(side) else None
