"""The vocabulary of a bundle's manifest.json: frozen dataclasses, no behaviour but their own checks.

A *model fact* lives here and nowhere else. What the machine adds is in the profile, what the run adds is a flag.
Units: sizes in pixels of the model's input, bytes where the name says so, thresholds in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Union

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.versions import MOST_MINOR

__all__ = [
    "Accuracy",
    "Block",
    "Certificate",
    "FileEntry",
    "Latency",
    "Manifest",
    "ModelInfo",
    "NodePrecision",
    "Precision",
    "Provenance",
    "Stage",
]

# "int8" computes in integers. "int8-weights" and "int4-weights" store the weights so and compute in floats, as "fp16"
# does on a CPU.
Precision = Literal["int8", "int8-weights", "int4-weights", "fp16", "fp32"]


@dataclass(frozen=True)
class NodePrecision:
    """The arithmetic chosen for one node that carries weights or could have been quantized, and why."""

    node: str
    op: str
    precision: Precision
    reason: str
    # signal-to-noise ratio (dB) of the outputs when only this node is int8, and for a node that is int8 because it lies
    # between int8 nodes, of the whole mix; None: not measured
    sqnr_db: Union[float, None] = None


@dataclass(frozen=True)
class Block:
    """One slice of the graph: nodes that run together and the bytes of weights.bin that only they need.

    `inputs`/`outputs` are value names; a value is made by an earlier block or is a model input. `offset` is
    4096-aligned. Tensors that several blocks read lie in the block that reads them first.
    """

    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: int
    offset: int
    size: int
    sha256: str  # of those bytes of weights.bin


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and SHA-256 of one file of the bundle."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Accuracy:
    """One measured figure: what was measured on which data, FP32 against the bundle."""

    metric: str  # "top1", "map50", "map33", "sqnr_db", "agreement", ...
    data: str  # "imagenet: 300 images", "calibration: 32 images", ...
    fp32: Union[float, None]  # None for a figure that compares with FP32 itself
    bundle: float
    # the bundle's 95 % interval over images; None: not known
    low: Union[float, None] = None
    high: Union[float, None] = None


@dataclass(frozen=True)
class Stage:
    """One step from FP32 to the bundle, measured on held-back samples (that ranges were not calibrated on)."""

    name: str  # "min-max ranges", "searched ranges", "equalization", "precision search", ...
    sqnr_db: Union[float, None]  # of the part of the outputs that suffers most, against FP32
    agreement: Union[float, None]  # 0..1: same class, boxes matched (F1) or mask IoU against FP32; None for raw tensors
    kept: bool  # False: it gained nothing and was undone
    note: str = ""


@dataclass(frozen=True)
class Latency:
    """Both graphs in plain onnxruntime on the machine that precision was chosen for: medians of alternating runs."""

    machine: str
    threads: int
    fp32_ms: float
    bundle_ms: float


@dataclass(frozen=True)
class Certificate:
    """What the export did to the model and how it knows: the steps in order, and what to try next."""

    effort: Literal["fast", "good", "best"]
    target: str  # what latencies were measured on, "" where precision was chosen without any
    max_drop: float  # loss of agreement with FP32 that was allowed on the held-back samples, 0..1
    held_back: str  # what those samples were
    stages: tuple[Stage, ...]
    latency: Union[Latency, None] = None
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelInfo:
    """Who the model is. `sha256` is that of the source file (FP32), `precision` the mix in words."""

    name: str
    version: str
    sha256: str
    opset: int
    precision: str
    fp32_bytes: int  # size of the source ONNX, external data included
    weight_bytes: int  # weights stored in the bundle


@dataclass(frozen=True)
class Provenance:
    """How the bundle was made: enough to make it again."""

    created_utc: str
    edgeline: str
    onnx: str
    onnxruntime: str
    source: str
    calibration: str
    command: str


@dataclass(frozen=True)
class _Head:
    """What stands first in the file. A base, because a dataclass has the fields of its last base before all others.

    `minor` and `requires` are written where they say something: versions.py.
    """

    schema: Literal[1]
    minor: int = field(default=0, kw_only=True)
    requires: tuple[str, ...] = field(default=(), kw_only=True)
    model: ModelInfo

    def __post_init__(self) -> None:
        if not 0 <= self.minor <= MOST_MINOR:
            raise ValueError(f"minor must be 0..{MOST_MINOR}, found {str(self.minor)[:20]}")


@dataclass(frozen=True)
class Manifest(ModelFacts, _Head):
    """The whole manifest.json: its keys are these fields, in this order, those of the bases before."""

    precision: tuple[NodePrecision, ...]
    blocks: tuple[Block, ...]
    accuracy: tuple[Accuracy, ...]
    provenance: Provenance
    certificate: Union[Certificate, None] = None
    files: dict[str, FileEntry] = field(default_factory=dict)
    digest: str = ""  # of the manifest itself, see seal.py
