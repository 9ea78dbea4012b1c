"""Check a layout by its definition alone: this module shares no code with the solver whose work it marks."""

from __future__ import annotations

from typing import Literal

from edge_runtime.errors import EngineError
from edge_runtime.plan.layout.problem import Problem, Solution

__all__ = ["Flaw", "LayoutError", "validate"]

Flaw = Literal["missing buffer", "unknown buffer", "negative offset", "misaligned offset", "beyond the size", "overlap"]


class LayoutError(EngineError):
    """A layout that must not be used; `flaw` names the cause."""

    def __init__(self, flaw: Flaw, details: str) -> None:
        super().__init__(f"{flaw}: {details}; do not use this layout and report it as a defect")
        self.flaw: Flaw = flaw


def validate(problem: Problem, solution: Solution, alignment: int = 1) -> None:
    """Raise LayoutError unless every buffer lies aligned inside the arena and no two live ones share a byte."""
    offsets = solution.offsets
    if strangers := sorted(offsets.keys() - {buffer.id for buffer in problem.buffers}):
        raise LayoutError("unknown buffer", f"the layout places {strangers[0]!r}, which the problem does not have")
    for buffer in problem.buffers:
        if buffer.id not in offsets:
            raise LayoutError("missing buffer", f"the layout has no offset for {buffer.id!r}")
        offset = offsets[buffer.id]
        if offset < 0:
            raise LayoutError("negative offset", f"{buffer.id!r} lies at {offset}")
        if offset % alignment:
            raise LayoutError("misaligned offset", f"{buffer.id!r} lies at {offset}, no multiple of {alignment}")
        if offset + buffer.size > solution.size:
            end = offset + buffer.size
            raise LayoutError("beyond the size", f"{buffer.id!r} ends at {end}, the arena at {solution.size}")
    by_start = sorted((b for b in problem.buffers if b.size), key=lambda b: b.lifespan.lower)
    for position, one in enumerate(by_start):
        for other in by_start[position + 1 :]:
            if other.lifespan.lower >= one.lifespan.upper:
                break
            below, above = sorted((one, other), key=lambda b: offsets[b.id])
            if offsets[below.id] + below.size > offsets[above.id]:
                raise LayoutError("overlap", f"{one.id!r} and {other.id!r} share bytes and are alive at the same step")
