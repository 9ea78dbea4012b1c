"""What is wrong with how a station looks at its pictures, as far as that can be known before it does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.errors import DataError, EdgelineError
from edge_runtime.inspect.sources.images import read_image
from edge_runtime.inspect.sources.open import looks_live, open_source
from edge_runtime.station.view.joining import refusals
from edge_runtime.station.view.masks import mask_picture, masked_pixels, rect_of
from edge_runtime.station.view.settings import Mask, ViewSettings
from edge_runtime.station.view.tiling import Rect
from edge_runtime.station.view.view import referred

__all__ = ["view_mistakes"]

_Size = tuple[int, int]  # height and width
_Found = Iterator[tuple[str, str]]


def view_mistakes(view: ViewSettings, facts: ModelFacts | None, source: str) -> _Found:
    """Yield keys of a station with what is wrong with them. `facts` None: the bundle cannot be read.

    The first picture of a `source` that is files is opened; of a camera the reference tells how large its pictures are.
    """
    if facts is not None:
        yield from refusals(view, facts)
    size = _first_size(source)
    if view.reference is not None:
        try:
            shape = read_image(view.reference.picture).shape
            referred(view.reference)
        except DataError as error:
            yield "reference", str(error)
        else:
            if size not in (None, shape[:2]):
                yield "reference", f"it has {_words(shape[:2])} pixels, the pictures of the source {_words(size)}"
            size = size or shape[:2]
    region = None
    if size is not None:
        try:
            region = rect_of(view.region, *size)
        except DataError as error:
            yield "region", str(error)
    if view.mask is not None:
        yield from _of_mask(view.mask, size, region)


def _of_mask(mask: Mask, size: _Size | None, region: Rect | None) -> _Found:
    try:
        picture = mask_picture(mask)
        size = size or (None if picture is None else (picture.shape[0], picture.shape[1]))
        if size is None:
            return
        masked = masked_pixels(mask, picture, *size)
    except DataError as error:
        yield "mask", str(error)
        return
    rect = region or Rect(0, 0, size[1], size[0])
    if masked[rect.top : rect.bottom, rect.left : rect.right].all():
        yield "mask", "it covers all of the region: nothing would be judged"


def _first_size(source: str) -> _Size | None:
    """Height and width of the first picture of files, None where there is none to be read: others say why."""
    if looks_live(source) or "://" in source:
        return None
    with contextlib.suppress(EdgelineError, OSError), contextlib.closing(open_source(source)) as opened:
        for frame in opened:
            return None if frame.image is None else (frame.image.shape[0], frame.image.shape[1])
    return None


def _words(size: _Size | None) -> str:
    return "" if size is None else f"{size[1]}x{size[0]}"
