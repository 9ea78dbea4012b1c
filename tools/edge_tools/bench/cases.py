"""What edge-bench measures and what it reports. `Report` is the object that --json prints, key by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

from edge_runtime.sizes import format_size
from edge_tools.bench.confine import Charges

__all__ = ["Blocks", "Case", "EngineName", "Host", "Latency", "Measured", "Report", "Row", "Status"]

EngineName = Literal["edgeline", "onnxruntime"]
Status = Literal["ok", "refused", "killed"]


@dataclass(frozen=True)
class Case:
    """One engine on `model` (a bundle for edgeline, an ONNX file for onnxruntime), one limit in bytes, one batch."""

    engine: EngineName
    model: str
    memory_limit: Union[int, None]
    batch: int

    def __str__(self) -> str:
        limit = "no limit" if self.memory_limit is None else format_size(self.memory_limit)
        return f"{self.engine}, {limit}, batch {self.batch}"


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one call on the whole batch; None where there was no result."""

    p50: Union[float, None] = None
    p95: Union[float, None] = None
    p99: Union[float, None] = None


@dataclass(frozen=True)
class Blocks:
    """How many blocks are held in each form; all 0 for an engine that has no blocks."""

    resident: Union[int, None] = None
    streamed: Union[int, None] = None
    reloaded: Union[int, None] = None


@dataclass(frozen=True)
class Row:
    """One case as measured; every figure is None unless `status` is "ok".

    `cold_start_ms` is from just before the process was started to its first result, `peak_bytes` the most memory the
    whole process ever had, `base_bytes` what the interpreter and the libraries take before anything is opened,
    `max_abs_diff` the largest difference of any output from the reference.
    """

    engine: EngineName
    memory_limit_bytes: Union[int, None]
    batch: int
    concurrency: Union[int, None]
    confined: bool
    status: Status
    message: str
    latency_ms: Latency = Latency()
    images_per_s: Union[float, None] = None
    cold_start_ms: Union[float, None] = None
    peak_bytes: Union[int, None] = None
    base_bytes: Union[int, None] = None
    blocks: Blocks = Blocks()
    max_abs_diff: Union[float, None] = None


@dataclass(frozen=True)
class Measured:
    """A row, and what its control group was charged (None when it was not confined)."""

    row: Row
    charges: Union[Charges, None] = None


@dataclass(frozen=True)
class Host:
    """The machine that measured. `page_cache` says what was done with it."""

    cpu: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    onnxruntime: str
    page_cache: str


@dataclass(frozen=True)
class Report:
    """Everything that edge-bench found out."""

    bundle: str
    device: str
    host: Host
    rows: tuple[Row, ...]
