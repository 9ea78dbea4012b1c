"""From the settings to an engine and what drives it, for one source that is taken in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2

from edge_runtime.engine import Engine, open_bundle
from edge_runtime.inspect.in_turn import InTurn
from edge_runtime.inspect.room import frames_bytes
from edge_runtime.inspect.run import Driver
from edge_runtime.inspect.settings import EngineSettings, RunSettings
from edge_runtime.inspect.sources.base import Frame

__all__ = ["Driven", "Progress", "open_engine", "open_in_turn"]


class Progress(Protocol):
    """Told of the steps of a long preparation: what is done, steps done, steps in all; and of its end."""

    def __call__(self, what: str, done: int, total: int) -> None: ...

    def end(self) -> None:
        """Nothing more comes."""
        ...


@dataclass(frozen=True)
class Driven:
    """An open engine with its driver. `held`: how many frames of each source are in memory at most."""

    engine: Engine
    driver: Driver
    held: int


def open_engine(settings: EngineSettings, batch: int, reserve_bytes: int, preempt: bool, progress: Progress) -> Engine:
    """Open the bundle for `batch` images at once; `reserve_bytes` of a limit are left to the frames.

    What the reader takes, `settings.options.reserve_bytes`, is left too.

    Raises what open_bundle raises.
    """
    options = settings.options
    engine = open_bundle(
        settings.bundle,
        confidence=settings.confidence,
        iou=settings.iou,
        max_det=settings.max_det,
        classes=None if settings.classes is None else list(settings.classes),
        memory_limit=options.memory_limit,
        batch=batch,
        use_cache=options.use_cache,
        lock_memory=options.lock_memory,
        reserve_bytes=reserve_bytes + options.reserve_bytes,
        prepare=options.prepare,
        progress=progress,
        session=options.session,
        preempt=preempt,
        everything=settings.everything,
        min_area=settings.min_area,
        trust=settings.trust,
        prepare_limit=options.prepare_limit,
    )
    progress.end()
    if engine.lanes > 1:
        # A core each: OpenCV's own threads would wait busily there for work of a tenth of a millisecond.
        cv2.setNumThreads(1)
    return engine


def open_in_turn(settings: RunSettings, firsts: Sequence[Frame | None], progress: Progress) -> Driven:
    """Open the engine for one source. `firsts`: its first frame, where there is a memory limit."""
    batch = settings.batching.batch or 1
    reserve = 0 if settings.engine.options.memory_limit is None else frames_bytes(firsts, batch, batch)
    return Driven(open_engine(settings.engine, batch, reserve, False, progress), InTurn(batch), batch)
