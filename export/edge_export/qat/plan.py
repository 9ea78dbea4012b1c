"""What is going to be trained: the clean float graph and the QDQ graph that export makes of it. No torch here.

This is the seam to the exporter: everything that QAT uses of its passes is called from this file.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.graph import Graph
from edge_export.passes.calibrate import calibrate
from edge_export.pipeline import load_draft
from edge_export.quant.arrived import arrived_quantized
from edge_export.quant.cache import WeightCache
from edge_export.quant.noise import decibels
from edge_export.quant.noise_bench import NoiseBench
from edge_export.quant.qdq import plan_of, to_qdq
from edge_export.quant.select import Compute, compute_nodes
from edge_export.state import CalibrationSet, Draft, ExportOptions, FactFlags, KnownFacts, Mix, Progress, QuantParams
from edge_runtime.errors import ModelError, UsageError

__all__ = ["PrepareOptions", "QatPlan", "make_plan"]

# A layer that int8 alone takes below this is kept float by "auto": what is left is no signal to learn from.
BREAKS_DB = 6.0
_SAMPLES, _STEP = 8, 2


@dataclass(frozen=True)
class PrepareOptions:
    """What `prepare` may be told. `flags` and `input_shapes` say of the model what its file does not.

    `keep_float`: names or shell patterns of nodes that stay float, "auto" for those that int8 breaks, ("none",) for
    none. `samples`: at most so many give ranges and train (0: all); some more are held back.
    """

    keep_float: tuple[str, ...] = ("auto",)
    samples: int = 256
    seed: int = 0
    flags: FactFlags = dataclasses.field(default_factory=FactFlags)
    input_shapes: dict[str, tuple[int | str, ...]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class QatPlan:
    """`reference` is the clean float graph, `qdq` the graph to be trained; `int8` its integer nodes, `arrays` their
    float weights and biases by name. `training` gave the ranges, `holdout` did not.
    """

    reference: onnx.ModelProto
    qdq: onnx.ModelProto
    int8: tuple[Compute, ...]
    arrays: dict[str, NDArray[np.generic]]
    facts: KnownFacts
    training: CalibrationSet
    holdout: CalibrationSet
    notes: tuple[str, ...]


def make_plan(
    source: str, calibration: Path | tuple[CalibrationSet, CalibrationSet], options: PrepareOptions, progress: Progress
) -> QatPlan:
    """Load, clean and calibrate a model as edge-export does, and write its QDQ graph.

    `source` is an .onnx file or package.module:factory; `calibration` a path, or the samples that give ranges and
    those that are held back. Raises what edge-export raises, and ModelError for a model that is quantized already or
    has no layer that can be int8.
    """
    asked = ExportOptions(
        source=source,
        output=Path(f"{Path(source).stem}.edge"),
        flags=options.flags,
        calibrate=calibration if isinstance(calibration, Path) else None,
        random_calibration=not isinstance(calibration, Path),
        samples=options.samples,
        seed=options.seed,
        input_shapes=options.input_shapes,
        target="none",
    )
    draft = load_draft(asked, progress)
    if not isinstance(calibration, Path):
        draft = dataclasses.replace(draft, calibration=calibration[0], holdout=calibration[1])
    if arrived_quantized(draft.model):
        raise ModelError(f"{source} is quantized already; give the float model that it was made from")
    if draft.options.quantize != "int8":
        raise ModelError(f"{source} cannot be int8: {draft.notes[-1]}; export it again with opset 13 to 22")
    draft = calibrate(draft, progress)
    graph = Graph(draft.model)
    candidates = compute_nodes(graph)
    int8 = _choose(draft, options.keep_float, progress)
    if not int8:
        refused = next((item.refusal for item in candidates if item.refusal), "it has no Conv, Gemm or MatMul")
        raise ModelError(f"{source}: no layer is left that could be int8 ({refused}); there is nothing to train for")
    mix = Mix.of("int8", (item.name for item in int8))
    plan = plan_of(graph, mix, candidates)
    needed = {item.weight for item in int8} | {item.bias for item in int8 if item.bias}
    arrays = {name: graph.array(name) for name in sorted(needed)}
    params = _distinct(draft.params or {}, set(plan.scale_of.values()))
    qdq = to_qdq(draft.model, mix, plan, candidates, params, WeightCache(arrays))
    return QatPlan(
        draft.model, qdq, int8, arrays, draft.facts, draft.calibration, draft.holdout, (*draft.notes, *draft.warnings)
    )


def _choose(draft: Draft, keep_float: Sequence[str], progress: Progress) -> tuple[Compute, ...]:
    """Return the nodes that become int8, in graph order."""
    with NoiseBench(draft, _SAMPLES) as bench:
        able = list(bench.able)
        patterns = [pattern for pattern in keep_float if pattern not in ("auto", "none")]
        for pattern in patterns:
            if not any(_matches(item, pattern) for item in able):
                near = ", ".join(repr(item.name) for item in able[:4])
                raise UsageError(f"--keep-float {pattern!r} matches no layer that can be int8; they are named {near}")
        able = [item for item in able if not any(_matches(item, pattern) for pattern in patterns)]
        if "auto" not in keep_float:
            return tuple(able)
        kept = []
        with progress.step("layers that int8 breaks", len(able)) as advance:
            for item in able:
                worst = bench.worst(Mix.of("int8", [item.name]), _STEP)
                kept += [item] if decibels(worst) >= BREAKS_DB else []
                advance()
        return tuple(kept)


def _matches(item: Compute, pattern: str) -> bool:
    return item.name == pattern or fnmatch.fnmatchcase(item.name, pattern)


def _distinct(params: dict[str, QuantParams], used: set[str]) -> dict[str, QuantParams]:
    """Make scales that are equal by chance differ in their last bit: equal ones share one constant in the file, and
    would be trained as one.
    """
    seen: set[np.float32] = set()
    found = {}
    for name in sorted(used):
        scale = np.float32(params[name].scale)
        while scale in seen:
            scale = np.nextafter(scale, np.float32(np.inf), dtype=np.float32)
        seen.add(scale)
        found[name] = QuantParams(float(scale), params[name].zero_point)
    return found
