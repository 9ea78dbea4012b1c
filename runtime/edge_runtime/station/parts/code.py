"""Codes in pictures: zxing-cpp where it is installed (the extra codes), else what OpenCV reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import cv2

from edge_runtime.errors import UsageError
from edge_runtime.station.parts.settings import CodeId, CodeKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ReadCode", "open_code_reader"]

# The texts of all codes in a picture, uint8 [height, width, 3], BGR; each once, in the order of the alphabet.
ReadCode = Callable[["NDArray[np.uint8]"], list[str]]

_ZXING: Mapping[CodeKind, str] = {
    "qr": "QRCode",
    "micro_qr": "MicroQRCode",
    "datamatrix": "DataMatrix",
    "aztec": "Aztec",
    "pdf417": "PDF417",
    "code128": "Code128",
    "code39": "Code39",
    "code93": "Code93",
    "ean13": "EAN13",
    "ean8": "EAN8",
    "upca": "UPCA",
    "upce": "UPCE",
    "itf": "ITF",
    "codabar": "Codabar",
}
_OPENCV: Mapping[str, CodeKind] = {"EAN_13": "ean13", "EAN_8": "ean8", "UPC_A": "upca", "UPC_E": "upce"}


def open_code_reader(settings: CodeId) -> ReadCode:
    """Return what reads the codes of a recipe. Raises UsageError where nothing here does."""
    here = find_spec("zxingcpp") is not None
    beyond = sorted(set(settings.kinds) - {"qr", *_OPENCV.values()})
    if settings.reader == "zxing" or (settings.reader == "auto" and here):
        if not here:
            raise UsageError("the reader zxing is not installed here: pip install 'edgeline[codes]'")
        return _zxing(settings.kinds or tuple(_ZXING))
    if beyond:
        raise UsageError(f"OpenCV does not read {', '.join(beyond)}: pip install 'edgeline[codes]' does")
    return _opencv(settings.kinds or ("qr", *_OPENCV.values()))


def _zxing(kinds: Sequence[CodeKind]) -> ReadCode:
    import zxingcpp

    formats = zxingcpp.barcode_formats_from_str(",".join(_ZXING[kind] for kind in kinds))

    def read(image: NDArray[np.uint8]) -> list[str]:
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return sorted({found.text for found in zxingcpp.read_barcodes(gray, formats) if found.valid and found.text})

    return read


def _opencv(kinds: Sequence[CodeKind]) -> ReadCode:
    square = cv2.QRCodeDetector() if "qr" in kinds else None
    bars = cv2.barcode.BarcodeDetector() if set(kinds) - {"qr"} else None

    def read(image: NDArray[np.uint8]) -> list[str]:
        found: set[str] = set()
        if square is not None:
            found.update(square.detectAndDecodeMulti(image)[1])
        if bars is not None:
            _, texts, types, _ = bars.detectAndDecodeWithType(image)
            found.update(text for text, kind in zip(texts, types, strict=True) if _OPENCV.get(_word(kind)) in kinds)
        return sorted(found - {""})

    return read


def _word(kind: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", kind.upper())
