"""Flag values with a form of their own: sizes, shapes, fractions, lists."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import click

__all__ = [
    "ANOMALY_RANGE",
    "COLOUR_VALUES",
    "FRACTIONS",
    "INPUT_SHAPE",
    "MASKS",
    "NAMES",
    "POINTS",
    "SIZE",
    "SIZES",
    "SIZE_BYTES",
    "STRIDES",
]

_UNITS = {
    "": 1,
    "B": 1,
    "K": 1 << 10,
    "KB": 1 << 10,
    "M": 1 << 20,
    "MB": 1 << 20,
    "G": 1 << 30,
    "GB": 1 << 30,
}


class _Value(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A value read by a function that raises ValueError; `example` is shown with the error."""

    def __init__(self, name: str, read: Callable[[str], Any], example: str) -> None:
        self.name, self._read, self._example = name, read, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value, or fail with an example of a good one."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value.strip())
        except (ValueError, ZeroDivisionError, KeyError):
            self.fail(f"expected something like {self._example}, found {value!r}", param, ctx)


def _fraction(text: str) -> float:
    upper, _, lower = text.partition("/")
    return float(upper) / float(lower) if lower else float(upper)


def _size(text: str) -> tuple[int, int]:
    if text.isdigit():
        return int(text), int(text)
    width, height = re.fullmatch(r"(\d+)[x,](\d+)", text, re.IGNORECASE).groups()  # type: ignore[union-attr]
    return int(width), int(height)


def _safe_size(text: str) -> tuple[int, int]:
    try:
        return _size(text)
    except AttributeError as error:
        raise ValueError(text) from error


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([\d.]+)\s*([A-Za-z]*)", text)
    if found is None:
        raise ValueError(text)
    return int(
        float(found[1]) * _UNITS[found[2].upper().removesuffix("IB") + ("B" if "IB" in found[2].upper() else "")]
    )


def _shape(text: str) -> tuple[str, tuple[int | str, ...]]:
    name, colon, dims = text.rpartition(":")
    if not colon or not name:
        raise ValueError(text)
    return name, tuple(int(dim) if dim.strip().isdigit() else _symbol(dim) for dim in dims.split(","))


def _symbol(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", text.strip()):
        raise ValueError(text)
    return text.strip()


def _numbers(text: str) -> list[float]:
    values = [_fraction(part) for part in text.split(",")]
    if len(values) not in (1, 3):
        raise ValueError(text)
    return values


def _sizes(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if len(values) % 2 or not all(0 < value < 65536 for value in values):
        raise ValueError(text)
    return values


def _strides(text: str) -> list[int]:
    values = [int(part) for part in text.split(",")]
    if min(values) < 1:
        raise ValueError(text)
    return values


def _names(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise ValueError(text)
    return names


def _points(text: str) -> dict[str, Any]:
    size, colon, output = text.partition(":")
    count, _, values = size.lower().partition("x")
    return {"count": int(count), "values": {"2": 2, "3": 3}[values]} | ({"output": output} if colon else {})


def _masks(text: str) -> dict[str, Any]:
    output, colon, kind = text.rpartition(":")
    if not colon:
        return {"output": text, "kind": "prototypes"}
    kind, times, count = kind.partition("x")
    if not output or kind not in ("prototypes", "boxes", "image"):
        raise ValueError(text)
    return {"output": output, "kind": kind} | ({"count": int(count)} if times else {})


def _anomaly_range(text: str) -> tuple[float, float, float]:
    minimum, maximum, threshold = (float(part) for part in text.split(","))
    if not (minimum < maximum and math.isfinite(maximum - minimum) and math.isfinite(threshold)):
        raise ValueError(text)
    return minimum, maximum, threshold


SIZE = _Value("WxH", _safe_size, "640x480")
SIZE_BYTES = _Value("SIZE", _bytes, "8MB")
INPUT_SHAPE = _Value("NAME:SHAPE", _shape, "images:1,3,224,224")
FRACTIONS = _Value("FRACTION", _fraction, "1/255")
COLOUR_VALUES = _Value("VALUES", _numbers, "0.485,0.456,0.406")
SIZES = _Value("SIZES", _sizes, "10,13,16,30,33,23")
STRIDES = _Value("STRIDES", _strides, "8,16,32")
NAMES = _Value("NAMES", _names, "boxes,scores")
POINTS = _Value("POINTS", _points, "17x3 (x, y and a confidence), 5x2, or 17x3:keypoints (an output of their own)")
MASKS = _Value("MASKS", _masks, "output1 (prototypes), output1:prototypesx64, masks:boxes or masks:image")
ANOMALY_RANGE = _Value("RANGE", _anomaly_range, "0.0,42.5,17.3 (minimum, maximum, threshold)")
