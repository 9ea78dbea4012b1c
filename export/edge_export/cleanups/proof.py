"""What a clean-up has to go by, and the one form that all of them have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import onnx

from edge_export.cleanups.shapes import Dim, Shapes
from edge_export.graph.outside import WeightFolder
from edge_export.probe import Probe

__all__ = ["CleanUp", "Proof"]


@dataclass(frozen=True)
class Proof:
    """`probe`: the answers that a rewrite must not change; None: the graph could not be run, so it is not rewritten.

    `shapes` are those decided on for the inputs, `declared` those that the file gives for the outputs. New big weights
    come to lie in `weights`; None: inside the graph.
    """

    probe: Probe | None = None
    shapes: Shapes = field(default_factory=Shapes)
    declared: Mapping[str, tuple[Dim, ...] | None] = field(default_factory=dict)
    weights: WeightFolder | None = None


# A graph and the proof: the graph rewritten, or the very same where nothing was done, and sentences that say what.
CleanUp = Callable[[onnx.ModelProto, Proof], tuple[onnx.ModelProto, list[str]]]
