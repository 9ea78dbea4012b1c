"""The small language of shapes: dimensions as sums of numbers and symbols, laid over the shapes of a graph.

`Sizes` are the symbols that are bound so far. A dimension that the graph does not tell fits anything and binds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge_export.model.families.family import Out, Shown
from edge_export.model.graph_io import ImageInput, Output

__all__ = ["MOST_FINISHED", "Unlike", "cells_of", "known_sizes", "lay"]

# Boxes that a model has chosen itself: no published one gives more.
MOST_FINISHED = 1000
_TERM = re.compile(r"(?:(\d+)\*)?([A-Z])(?:/(\d+))?|(\d+)")


@dataclass(frozen=True)
class Unlike:
    """Why an output does not fit its pattern, and which part of it did (0..1)."""

    reason: str
    near: float


def known_sizes(shown: Shown, strides: tuple[int, ...]) -> dict[str, int]:
    """The symbols that are known before any output is looked at: A, H, W of the image, C of the labels."""
    sizes: dict[str, int] = {}
    image = shown.image
    if image is not None and image.width and image.height:
        sizes["H"], sizes["W"] = image.height, image.width
        sizes["A"] = cells_of(image, strides)
    if shown.labels:
        sizes["C"] = len(shown.labels)
    return sizes


def cells_of(image: ImageInput, strides: tuple[int, ...]) -> int:
    """The cells of a head's grids. Where a stride does not divide a side, the last cell is whole."""
    return sum(-(-image.width // stride) * -(-image.height // stride) for stride in strides)


def lay(pattern: Out, output: Output, sizes: Mapping[str, int], position: int) -> dict[str, int] | Unlike:
    """The symbols bound after `output` is found to fit `pattern`, or why it does not."""
    where = f"output {position} {output.name!r}"
    if pattern.name and not re.fullmatch(pattern.name, output.name):
        return Unlike(f"{where} is not called {_spoken(pattern.name)}", 0.0)
    if pattern.kind and output.kind and (pattern.kind == "f") != (output.kind == "f"):
        return Unlike(f"{where} holds {_KINDS[output.kind]}, this family has {_KINDS[pattern.kind]} there", 0.2)
    shape = output.shape
    if shape is None:
        return dict(sizes)
    wanted = f"[{', '.join(pattern.shape)}]"
    if len(shape) != len(pattern.shape):
        return Unlike(f"{where} has {len(shape)} dimensions, this family's has {len(pattern.shape)}: {wanted}", 0.1)
    bound, fitting, reason = dict(sizes), 0, ""
    # Those with one symbol first: they bind what the sums need.
    for axis in sorted(range(len(shape)), key=lambda axis: len(_TERM.findall(pattern.shape[axis]))):
        found = _bind(pattern.shape[axis], shape[axis], bound)
        if found:
            reason = reason or f"{where} is {_shown(shape)}: {shape[axis]} is not {found}"
        else:
            fitting += 1
    return Unlike(f"{reason}, this family has {wanted}", 0.3 + 0.6 * fitting / len(shape)) if reason else bound


def _bind(text: str, size: int | None, bound: dict[str, int]) -> str:
    """Bind what `size` says of the symbols of one dimension; else what was expected there ("" where it fits)."""
    if text in ("*", "N") or size is None:
        return ""
    total, free = 0, []
    for factor, symbol, divisor, number in _TERM.findall(text):
        if number:
            total += int(number)
        elif symbol in bound:
            total += int(factor or 1) * (-(-bound[symbol] // int(divisor or 1)))
        else:
            free.append((symbol, int(factor or 1), int(divisor or 1)))
    if not free:
        return "" if size == total else text if str(total) == text else f"{text} = {total}"
    if len(free) > 1:
        return ""  # another output, or what is read of the row, tells them apart
    symbol, factor, divisor = free[0]
    rest = size - total
    if rest < 1 or rest % factor:
        return text
    value = rest // factor * divisor
    if symbol == "K" and value > MOST_FINISHED:
        return f"at most {MOST_FINISHED} boxes"
    bound[symbol] = value
    return ""


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('?' if dim is None else str(dim) for dim in shape)}]"


def _spoken(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern).replace(".*", "...")


_KINDS = {"f": "floats", "i": "whole numbers", "u": "whole numbers", "b": "yes or no"}
