"""The settings of a run, one dataclass for each stage of the pipeline. A command reads its flags into them, once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle.trust import USUAL, TrustPolicy
from edge_runtime.inspect.health.settings import HealthSettings
from edge_runtime.inspect.sinks.base import OutputSettings
from edge_runtime.inspect.sources.options import DroppedOptions, SourceOptions, StreamOptions
from edge_runtime.opening.options import OpenOptions

if TYPE_CHECKING:
    from edge_runtime.batching.vocabulary import CostTable, Priority

__all__ = ["BatchSettings", "EngineSettings", "InputSettings", "RunSettings", "SourceSettings"]


@dataclass(frozen=True)
class SourceSettings:
    """One source as the user typed it. A verdict later than `deadline_ms` after its frame was taken is late.

    `health` None: as for all sources of the run; `dropped`, for a watched folder, and `stream` too.
    """

    text: str
    priority: Priority = "normal"
    deadline_ms: float = math.inf
    health: HealthSettings | None = None
    dropped: DroppedOptions | None = None
    stream: StreamOptions | None = None


@dataclass(frozen=True)
class InputSettings:
    """What is looked at. `realtime`: video files give their frames as a camera would. `max_frames` of each source.
    `whole`: pictures are looked at in all their resolution, and so are not decoded smaller than they are.

    `health`: which pictures are not judged.
    """

    sources: tuple[SourceSettings, ...]
    options: SourceOptions = field(default_factory=SourceOptions)
    realtime: bool = False
    max_frames: int | None = None
    health: HealthSettings = field(default_factory=HealthSettings)
    whole: bool = False


@dataclass(frozen=True)
class EngineSettings:
    """What judges: the bundle, how it is opened, and what is reported (None: as the bundle says; `everything`: all).

    `options.batch` and `.preempt` are not looked at: they follow from the sources. `.reserve_bytes` of a limit are what
    is taken beside engine and frames.
    """

    bundle: Path
    options: OpenOptions
    confidence: float | None = None
    iou: float | None = None
    max_det: int | None = None
    classes: tuple[str, ...] | None = None
    everything: bool = False
    min_area: float | None = None
    trust: TrustPolicy = USUAL


@dataclass(frozen=True)
class BatchSettings:
    """What is judged together. `batch` None: as measured, or one at a time.

    `timed`: it was asked when verdicts come, and records and summary say it. `explain`: the file for every decision.
    `table`: what batches cost, as a tuned profile has it; None: measured in a moment at the start.
    """

    batch: int | None = None
    timed: bool = False
    explain: Path | None = None
    table: CostTable | None = None


@dataclass(frozen=True)
class RunSettings:
    """All of them. `heading`: lines for people that say what this machine is and how the bundle is run on it."""

    engine: EngineSettings
    inputs: InputSettings
    batching: BatchSettings = field(default_factory=BatchSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    heading: tuple[str, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether more is asked than the verdicts of one source."""
        return self.batching.timed or len(self.inputs.sources) > 1

    @property
    def served(self) -> bool:
        """Whether it takes readers and lanes: otherwise one thread does everything in turn."""
        return self.timed or self.engine.options.session.lanes > 1
