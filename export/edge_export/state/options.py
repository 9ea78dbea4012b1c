"""What the user asks of an export: one frozen dataclass, every field a flag of `edge-export`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge_runtime.bundle.manifest import Precision

__all__ = ["ExportOptions", "FactFlags"]


@dataclass(frozen=True)
class FactFlags:
    """`preprocess` and `postprocess` hold only the fields that were given, by the manifest's names.

    `family` names a row of the families table. `file` is a JSON file with any of the manifest's keys preprocess,
    postprocess, labels, thresholds, verdict.
    """

    file: Path | None = None
    name: str | None = None
    version: str | None = None
    task: str | None = None
    family: str | None = None
    preprocess: dict[str, Any] = field(default_factory=dict)
    postprocess: dict[str, Any] = field(default_factory=dict)
    labels: Path | None = None
    confidence: float | None = None
    iou: float | None = None
    ok_classes: tuple[str, ...] = ()
    ng_classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportOptions:
    """Options of one export. `flags` holds what the user says of the model; it wins over what its files say.

    `keep_fp16` is ("none",), or any of "auto" (chosen by measurement), node names and shell patterns.
    `effort` is how long to look for a better bundle. `max_drop` is the agreement with FP32 (0..1) that may be lost on
    held-back samples. `target` is where latencies come from: "this-machine" (measured), "none", or a file of them.
    `block_bytes` is the wished size of a block's weights, 0 lets the cut choose. `samples` limits the calibration
    set, 0 takes all of it.
    """

    source: str
    output: Path
    flags: FactFlags = field(default_factory=FactFlags)
    calibrate: Path | None = None
    quantize: Precision = "int8"
    keep_fp16: tuple[str, ...] = ("auto",)
    effort: Literal["fast", "good", "best"] = "good"
    max_drop: float = 0.01
    target: str = "this-machine"
    samples: int = 64
    seed: int = 0
    evaluate: Path | None = None
    evaluate_limit: int = 0
    input_shapes: dict[str, tuple[int | str, ...]] = field(default_factory=dict)
    block_bytes: int = 0
    random_calibration: bool = False
    command: str = ""
