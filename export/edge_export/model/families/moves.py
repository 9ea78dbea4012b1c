"""In which order a box's numbers are, told by a picture that is moved: its boxes move along with it.

Static pictures cannot tell x1 y1 x2 y2 from y1 x1 y2 x2 in a square input, nor sizes from right edges in every one.
Where the picture goes to the right, what goes with it is an x, and a size stays as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.vision.postprocess.candidates import Candidates

__all__ = ["Order", "as_moved", "objection", "order_of", "shifted", "spoken", "step_of"]

# What the four numbers of a box are, against how they were read: "swapped" has y before x, "sizes" holds widths and
# heights where right and lower edges were read, "edges" the other way round. "" is not told, "read" as they were read.
Order = Literal["", "read", "swapped", "sizes", "swapped sizes", "edges", "swapped edges"]
_STRIDE = 32  # a picture moved by this is to most heads the same one, some cells further
_FAINT = 0.05
_MOST = 40  # boxes of a picture
_FEWEST = 3
_SURE = 0.25  # of the boxes that moved so; an object that the edge cuts, or attention, changes some of the others
_RIVAL = 0.25  # of that share: as many as another order may explain
# How x1 y1 x2 y2 go, in steps, where the picture goes one to the right.
_STAY = (0.0, 0.0, 0.0, 0.0)
_CORNERS: Mapping[Order, tuple[float, ...]] = {
    "read": (1, 0, 1, 0), "swapped": (0, 1, 0, 1), "sizes": (1, 0, 0, 0), "swapped sizes": (0, 1, 0, 0)
}  # fmt: skip
_CENTRES: Mapping[Order, tuple[float, ...]] = {
    "read": (1, 0, 1, 0), "swapped": (0, 1, 0, 1), "edges": (0.5, 0, 1.5, 0), "swapped edges": (0, 0.5, 0, 1.5)
}  # fmt: skip


def step_of(side: int) -> int:
    """How far to move a picture along a side of the input: about an eighth of it, and whole strides."""
    return max(_STRIDE, round(side / 8 / _STRIDE) * _STRIDE)


def shifted(tensor: NDArray[np.generic], axis: int, step: int) -> NDArray[np.generic]:
    """The picture moved by `step` pixels along an axis, its first row or column filling what comes free."""
    first = np.repeat(tensor.take([0], axis), step, axis=axis)
    rest = tensor.take(np.arange(tensor.shape[axis] - step), axis)
    return np.concatenate([first, rest], axis=axis)


def order_of(post: Detect, seen: Iterable[tuple[Candidates, Candidates, tuple[int, int], int]]) -> Order:
    """Tell the order from boxes before and after a move: `seen` has both, the width and height of the input, and how
    far the picture went: above 0 to the right, below 0 downwards.
    """
    orders = _CENTRES if post.box_order == "cxcywh" else _CORNERS
    known: dict[Order, tuple[float, ...]] = {"": _STAY, **orders}
    hits, tries = dict.fromkeys(known, 0), dict.fromkeys(known, 0)
    for before, after, side, step in seen:
        order = np.argsort(-before.scores, kind="stable")[:_MOST]
        some = before.take(order[before.scores[order] >= _FAINT])
        for name, moves in known.items():
            turned = np.array(moves)[[1, 0, 3, 2]] if step < 0 else np.array(moves)
            found, all_of = _explained(some, after, turned * abs(step), side, abs(step) / 6)
            hits[name], tries[name] = hits[name] + found, tries[name] + all_of
    shares = {name: hits[name] / tries[name] if tries[name] >= _FEWEST else 0.0 for name in hits}
    best = max(shares, key=lambda name: shares[name])
    others = max(share for name, share in shares.items() if name != best)
    sure = shares[best] >= _SURE and hits[best] >= _FEWEST
    return best if sure and others <= _RIVAL * shares[best] else ""


def _explained(
    before: Candidates, after: Candidates, move: NDArray[np.float64], side: tuple[int, int], near: float
) -> tuple[int, int]:
    """How many boxes are there after the move, of those that it leaves within the input."""
    limit = np.array([*side, *side])
    wanted = before.boxes + move
    inside = (wanted > near).all(axis=1) & (wanted < limit - near).all(axis=1)
    found = 0
    for box, score, number in zip(wanted[inside], before.scores[inside], before.classes[inside], strict=True):
        alike = (after.classes == number) & (np.abs(after.scores - score) <= 0.3 * score + 0.02)
        found += bool((np.abs(after.boxes[alike] - box).max(axis=1, initial=0) <= near).any())
    return found, int(inside.sum())


def spoken(order: Order) -> str:
    """What an order is of a box, in words."""
    sizes = "its last two numbers are sizes" if "sizes" in order else ""
    sizes = "its last two numbers are edges" if "edges" in order else sizes
    return " and ".join(part for part in ("y comes before x" if "swapped" in order else "", sizes) if part)


def objection(order: Order) -> str:
    """What is said against boxes that were read in another order than they move in; "" where nothing is."""
    return "" if order in ("", "read") else f"its boxes move along with the pictures as if {spoken(order)}"


def as_moved(post: Detect, order: Order) -> Detect | None:
    """`post` with its boxes in the order that was told; None where that leaves more than one, or none that is read."""
    box: dict[tuple[str, str], Literal["xyxy", "yxyx"]] = {
        ("xyxy", "swapped"): "yxyx",
        ("yxyx", "swapped"): "xyxy",
        ("cxcywh", "edges"): "xyxy",
        ("cxcywh", "swapped edges"): "yxyx",
    }
    wanted = box.get((post.box_order, order))
    if wanted is None or post.format in ("grid", "fastest", "anchors", "fastest-v2", "distances"):
        return None
    columns = post.row if post.format == "final" else post.columns
    return dataclasses.replace(post, box=wanted, columns=columns)
