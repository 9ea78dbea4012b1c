"""What OpenCV cannot read, read by Pillow, which comes with the extra [images]; the only place that imports it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["by_pillow"]

# What Pillow raises of a damaged file.
_FAULTS = (OSError, RuntimeError, ValueError, SyntaxError, EOFError, MemoryError)


def by_pillow(data: bytes, kind: str, reason: str, page: int | None = None) -> NDArray[Any]:
    """Return page `page` of a picture (None: the one to be shown) as [height, width, 3 or 4], BGR.

    Raises DataError; `reason`: why OpenCV does not do it.
    """
    try:
        from PIL import Image, ImageOps

        if kind == "HEIC":
            from pillow_heif import register_heif_opener

            register_heif_opener()
    except ImportError:
        raise DataError(
            f"{reason}; OpenCV does not read every {kind}, pip install 'edgeline[images]' brings what may"
        ) from None
    try:
        Image.MAX_IMAGE_PIXELS = None  # Room has seen to it
        with Image.open(io.BytesIO(data)) as file:
            if page is not None:
                file.seek(page)
            upright = ImageOps.exif_transpose(file)
            read = np.asarray(upright.convert("RGBA" if upright.has_transparency_data else "RGB"))
    except _FAULTS as error:
        raise DataError(f"{reason}; Pillow: {error}") from error
    return np.ascontiguousarray(read[..., [2, 1, 0, 3][: read.shape[2]]])
