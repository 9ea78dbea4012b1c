"""Each format of Detect: the function that reads it, loaded when a model needs it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edge_runtime.vision.postprocess.candidates import Candidates, Question

__all__ = ["READERS", "Reader"]

Read = Callable[[Question, Sequence[NDArray[np.float32]]], Candidates]


@dataclass(frozen=True)
class Reader:
    """`function` of a module of this folder, and the `least` and the `most` outputs that it reads.

    Outputs beyond the least are read where the manifest names them, or else with `rest`: what a model happens to give
    besides is no anchors. A `finished` detector removed its duplicates itself. `ranks` are the dimensions of the
    outputs, the batch counted, where rows of one image could pass for a batch.
    """

    module: str
    function: str
    least: int = 1
    most: int = 1
    rest: bool = False
    finished: bool = False
    ranks: tuple[int, ...] = ()

    @functools.cache  # noqa: B019 -- one of a few rows of a table, asked every frame
    def load(self) -> Read:
        """The function: one image's tensors, without their batch dimension, become candidates."""
        module = import_module(f"{__package__}.{self.module}")
        return cast("Read", getattr(module, self.function))


READERS: dict[str, Reader] = {
    "yolo": Reader("rows", "yolo"),
    "yolo-objectness": Reader("rows", "yolo"),
    "grid": Reader("grids", "grid", most=32),
    "fastest": Reader("grids", "fastest"),
    "anchors": Reader("by_stride", "anchors", most=32, rest=True),
    "fastest-v2": Reader("by_stride", "fastest_v2", most=32, rest=True),
    "distances": Reader("by_stride", "distances", most=32, rest=True),
    "boxes-scores": Reader("boxes_scores", "boxes_scores", least=2, most=3),
    "final": Reader("final", "final", most=3, finished=True, ranks=(3,)),
    "final-split": Reader("final", "final_split", least=3, most=4, rest=True, finished=True, ranks=(3, 2, 2)),
    "simcc": Reader("simcc", "simcc", least=2, most=2, finished=True, ranks=(3, 3)),
    "final-labels": Reader("final", "final_labels", least=2, most=2, finished=True, ranks=(3, 2)),
}
