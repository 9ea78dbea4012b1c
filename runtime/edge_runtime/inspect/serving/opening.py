"""From the settings to an engine and what drives it, for several sources, deadlines or lanes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import MemoryLimitError
from edge_runtime.inspect.opening import Driven, Progress, open_engine
from edge_runtime.inspect.room import frames_bytes
from edge_runtime.inspect.serving.explaining import explain_to
from edge_runtime.inspect.serving.measuring import measure_costs
from edge_runtime.inspect.serving.outcome import frames_held
from edge_runtime.inspect.serving.serve import Serving
from edge_runtime.inspect.settings import RunSettings
from edge_runtime.inspect.sources.base import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.engine import Engine

__all__ = ["open_served"]

_LARGEST = 8  # images together where nobody says how many: more brings hardly anything on any board


def open_served(
    settings: RunSettings, firsts: Sequence[Frame | None], progress: Progress, cleanup: contextlib.ExitStack
) -> Driven:
    """Open the engine and learn what batches cost on it; `firsts`: each source's first frame.

    `cleanup` closes them should this fail, and what decisions are written to.
    """
    engine, largest = _largest_that_fits(settings, firsts, progress)
    with contextlib.ExitStack() as failing:
        failing.callback(engine.close)
        table = settings.batching.table or measure_costs(engine, _picture(firsts), largest)
        explain = explain_to(settings.batching.explain, cleanup)
        held = frames_held(len(firsts), engine.lanes, largest)
        driven = Driven(engine, Serving(table, settings.timed, explain=explain), held)
        failing.pop_all()
    return driven


def _largest_that_fits(settings: RunSettings, firsts: Sequence[Frame | None], progress: Progress) -> tuple[Engine, int]:
    """Open the engine for the largest batch that there may be; returns both.

    Within a limit that is as many as there are sources, and fewer where that does not fit: what is streamed is then
    read once for all of them.
    """
    asked = settings.batching.batch
    if settings.engine.options.memory_limit is None:
        largest = asked or _LARGEST
        return open_engine(settings.engine, largest, 0, False, progress), largest
    priorities = {source.priority for source in settings.inputs.sources}
    preempt = {"urgent", "background"} <= priorities
    largest = asked or min(_LARGEST, len(firsts))
    while True:
        held = frames_held(len(firsts), 1, largest)
        reserve = frames_bytes(firsts, held + 1, largest)  # of each source one is being read
        try:
            return open_engine(settings.engine, largest, reserve, preempt, progress), largest
        except MemoryLimitError:
            if largest == 1 or asked is not None:
                raise
        largest //= 2


def _picture(firsts: Sequence[Frame | None]) -> NDArray[np.uint8]:
    """A frame to measure with: the first that could be read."""
    for frame in firsts:
        if frame is not None and frame.image is not None:
            return frame.image
    return np.zeros((480, 640, 3), np.uint8)
