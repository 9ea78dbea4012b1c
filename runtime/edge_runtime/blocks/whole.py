"""The whole graph in one session within a memory limit: what a generous limit plans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.blocks.sums import sound_graph
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.errors import EngineError
from edge_runtime.ort.block_session import packed_session
from edge_runtime.ort.process import run_named, share_arena
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.runner import Arrays, AtOnce, Tensors
from edge_runtime.plan.plan import Plan

__all__ = ["WholeRunner"]


class WholeRunner(AtOnce):
    """Runs a prepared whole graph, `plan.micro_batch` images at a time. Not safe for several threads at once."""

    def __init__(self, plan: Plan, facts: ModelFacts, graph: Path, threads: int) -> None:
        """Raises ModelError for a graph that does not load."""
        self.plan = plan
        self.providers: tuple[str, ...] = (CPU,)
        share_arena(plan.work_chunk_bytes, plan.work_cap_bytes)
        self._session: Any = packed_session(graph, threads, sound_graph(graph))
        self._outputs = [spec.name for spec in facts.outputs]
        self._free_batch = facts.batch is None

    def run(self, feeds: Arrays) -> Tensors:
        """Run named inputs; larger batches than planned go through in parts. Raises EngineError."""
        count = len(next(iter(feeds.values()))) if self._free_batch else 1
        step = self.plan.micro_batch
        if count <= step:
            return self._run(feeds)
        parts = [
            self._run({name: array[start : start + step] for name, array in feeds.items()})
            for start in range(0, count, step)
        ]
        return {name: _join([part[name] for part in parts]) for name in self._outputs}

    def close(self) -> None:
        """Free the session; running again is an error."""
        self._session = None

    def _run(self, feeds: Arrays) -> Tensors:
        if self._session is None:
            raise EngineError("the engine is closed; open the bundle again")
        return run_named(self._session, self._outputs, feeds)


def _join(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    return np.concatenate(parts, axis=0) if parts[0].ndim else parts[0]
