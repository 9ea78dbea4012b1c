"""What edge-bench measures and what it reports. `Report` is the object that --json prints, key by key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Union

from edge_runtime.files.sizes import format_size
from edge_tools.bench.confine import Charges

__all__ = [
    "About",
    "Blocks",
    "Case",
    "Climate",
    "Emulated",
    "EngineName",
    "Host",
    "Latency",
    "MeasuredCase",
    "Report",
    "Row",
    "Status",
    "Sustained",
]

EngineName = Literal["edgeline", "onnxruntime"]
Status = Literal["ok", "refused", "killed"]


@dataclass(frozen=True)
class Case:
    """One engine on `model` (a bundle for edgeline, an ONNX file for onnxruntime), one limit in bytes, one batch.

    `precision` is the model's, in a word or two ("int8"). `named` cases say their model's name, for there are others.
    """

    engine: EngineName
    model: str
    memory_limit: Union[int, None]
    batch: int
    precision: str = ""
    named: bool = False

    def __str__(self) -> str:
        limit = "no limit" if self.memory_limit is None else format_size(self.memory_limit)
        return f"{self.engine}{f' {self.name}' * self.named}, {limit}, batch {self.batch}"

    @property
    def name(self) -> str:
        """Return the model's file name."""
        return Path(self.model).name


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
class Sustained:
    """A long run without a pause, in windows of `window_s`: `images_per_s` and the hottest zone after each of them.

    `first` is the first window, `steady` the median of the second half of them. `p99_ms` is of all its calls.
    """

    images: int
    seconds: float
    window_s: float
    first: float
    steady: float
    p99_ms: float
    images_per_s: tuple[float, ...]
    celsius: tuple[Union[float, None], ...] = ()


@dataclass(frozen=True)
class Row:
    """One case as measured; every figure is None unless `status` is "ok".

    `concurrency`: calls at a time, always 1. `cold_start_ms` is from just before the process was started to its first
    result, `peak_bytes` the most memory the whole process ever had, `base_bytes` what the interpreter and the libraries
    take before anything is opened, `max_abs_diff` the largest difference of any output from the reference. `label` says
    what the figures are not ("emulated limits, ..."), "" where they are this machine's own. `watts` (mean) and
    `joules_per_image` are of the sustained run, None without a sensor.
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
    model: str = ""
    precision: str = ""
    label: str = ""
    sustained: Union[Sustained, None] = None
    watts: Union[float, None] = None
    joules_per_image: Union[float, None] = None


@dataclass(frozen=True)
class MeasuredCase:
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
class Climate:
    """How warm it is (the hottest thermal zone) and why the clocks are held down, now and since boot."""

    celsius: Union[float, None] = None
    zone: str = ""
    throttled: tuple[str, ...] = ()
    throttled_before: tuple[str, ...] = ()


@dataclass(frozen=True)
class Emulated:
    """The board whose limits were set: its memory and what of it a process was left, storage, cores given of its own.

    `sources` say where the figures are from, `label` goes with every figure that was measured so.
    """

    board: str
    name: str
    label: str
    memory_bytes: int
    limit_bytes: int
    storage: str
    storage_bytes_per_s: Union[int, None]
    cores: float
    board_cores: int
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def memory(self) -> str:
        """Return the board's memory as it is sold: a "1 GB" board has 1 GiB."""
        return f"{self.memory_bytes / (1 << 30):g} GiB"


@dataclass(frozen=True)
class About:
    """When, where and what was measured. `board` and `board_name` are this machine's profile, `how` it was found.

    `power`: the sensor and what it covers, or why there is none. `idle_watts`: before anything was started.
    `load` is the mean number of processes that wanted a core in the minute before: a busy machine measures slowly.
    `versions` by package, `bundle` by what the manifest tells of it.
    """

    date_utc: str
    command: str
    board: str
    board_name: str
    how: str
    versions: dict[str, str]
    bundle: dict[str, str]
    before: Climate = Climate()
    after: Climate = Climate()
    power: str = ""
    idle_watts: Union[float, None] = None
    load: Union[float, None] = None


@dataclass(frozen=True)
class Report:
    """Everything that edge-bench found out. `label` is the rows'; `emulated` is None without --as."""

    bundle: str
    device: str
    host: Host
    rows: tuple[Row, ...]
    label: str = ""
    emulated: Union[Emulated, None] = None
    about: Union[About, None] = None
