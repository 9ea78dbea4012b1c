"""Decide how a bundle is run on this machine within a limit: a pure function of what was measured.

The work is divided: costs.py looks up the measurements, residency.py finds the frontier of latency against memory,
offsets.py and layout.py lay out the arena, why.py finds words. Here the best member of the frontier that fits is
chosen, beside the whole graph in one session, and for a smaller batch where nothing fits the one that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.errors import EngineError, MemoryLimitError, UsageError
from edge_runtime.files.sizes import format_size
from edge_runtime.plan.costs import batches
from edge_runtime.plan.measurements import Limit, Measurements, Speeds
from edge_runtime.plan.options import Option, Task, block_options, whole_options
from edge_runtime.plan.plan import Plan

__all__ = ["plan"]

# Plans whose latencies differ by less are equally fast: the one that takes less memory is better.
_SAME = 1.01
# What a larger limit could give is told up to a plan that is as near to the fastest as this.
_NEAR = 1.1
# Blocks have to be faster than the whole graph by this, which is more than measurements differ by, to be worth it.
_CLEARLY = 1.03


def plan(manifest: Manifest, measurements: Measurements, speeds: Speeds, limit: Limit) -> Plan:
    """Return the fastest plan that fits `limit`; of plans within 1 % of it the one that takes the least memory.

    Deterministic; for one batch a larger limit never gives a slower plan. If `limit.batch` images do not fit together
    in any way, the largest number that does is planned. Raises MemoryLimitError with the smallest limit that can be
    met (a limit of exactly that is), UsageError for a batch below 1, EngineError for measurements that are not
    complete.
    """
    if limit.batch < 1:
        raise UsageError(f"expected a batch of 1 or more images, found {limit.batch}")
    if not measurements.blocks and measurements.whole is None:
        raise EngineError(f"nothing was measured of {manifest.model.name}; prepare the bundle again")
    inputs = frozenset(spec.name for spec in manifest.inputs)
    outputs = frozenset(spec.name for spec in manifest.outputs)
    sizes = batches(measurements, limit.batch)
    choices = [_Choice(Task(measurements, speeds, limit, size, inputs, outputs)) for size in sizes]
    # The largest that fits. One after another: a larger batch mostly needs more memory, but one that is run in parts
    # may need a little less than a single image.
    for choice in choices:
        if choice.best is not None:
            return replace(choice.best, near_bytes=choice.near)
    raise _too_small(manifest, limit, choices)


class _Choice:
    """The options for one batch and the best of them; nothing is computed before it is asked for."""

    def __init__(self, task: Task) -> None:
        self.task = task

    @cached_property
    def best(self) -> Plan | None:
        """The plan for the limit; None if nothing fits."""
        whole, block = self._fastest(self._whole), self._fastest(self._blocks)
        if whole is None or block is None:
            return whole or block
        if whole.latency_ms > _CLEARLY * block.latency_ms:
            return block
        # The two are one figure, measured twice: with the better one, a larger limit never promises less.
        return replace(
            whole,
            latency_ms=min(whole.latency_ms, block.latency_ms),
            compute_ms=min(whole.compute_ms, block.latency_ms),
        )

    @property
    def least(self) -> int:
        """The smallest peak of all options, in bytes."""
        best = math.inf
        for option in sorted([*self._whole, *self._blocks], key=_by_memory):
            if option.least >= best:
                break
            best = min(best, option.plan.peak_bytes)
        return int(best)

    @property
    def near(self) -> int:
        """The smallest peak of a plan that is about as fast as the fastest at any limit, in bytes."""
        options = [*self._whole, *self._blocks]
        enough = _NEAR * min(option.latency for option in options)
        best = math.inf
        for option in sorted(options, key=_by_memory):
            if option.least >= best:
                break
            if option.latency <= enough:
                best = min(best, option.plan.peak_bytes)
        return int(best)

    @cached_property
    def _whole(self) -> list[Option]:
        return whole_options(self.task)

    @cached_property
    def _blocks(self) -> list[Option]:
        return block_options(self.task)

    def _fastest(self, options: Sequence[Option]) -> Plan | None:
        """Return the fastest plan that fits, or one that is as fast and smaller.

        With the limit the latency falls and never rises: the fastest can only get faster, so fewer plans count as
        equally fast, and of two that count and fit the smaller one was preferred at every limit.
        """
        limit = math.inf if self.task.limit.process_bytes is None else self.task.limit.process_bytes
        fitting = [option for option in options if option.least <= limit]
        by_latency = sorted(fitting, key=lambda option: (option.latency, option.least))
        best = next((option.plan for option in by_latency if option.plan.peak_bytes <= limit), None)
        if best is None:
            return None
        enough = _SAME * best.latency_ms
        for option in sorted(fitting, key=_by_memory):
            if option.least > best.peak_bytes:
                break
            if option.latency <= enough:
                best = min(best, option.plan, key=lambda plan: (plan.peak_bytes, plan.latency_ms))
        return best


def _by_memory(option: Option) -> tuple[int, float]:
    return option.least, option.latency


def _too_small(manifest: Manifest, limit: Limit, choices: Sequence[_Choice]) -> MemoryLimitError:
    wanted = choices[0].task.batch
    needs = {choice.task.batch: choice.least for choice in choices}
    batch = min(needs, key=lambda size: (needs[size], size))
    more = f"; batch {wanted} needs {_rounded_up(needs[wanted])}" if wanted != batch else ""
    libraries = format_size(limit.base_bytes - limit.reserve_bytes)
    frames = f", {format_size(limit.reserve_bytes)} kept for frames" if limit.reserve_bytes else ""
    return MemoryLimitError(
        f"a limit of {format_size(limit.process_bytes or 0)} cannot be met: {manifest.model.name} needs at least "
        f"{_rounded_up(needs[batch])} with batch {batch} ({libraries} of it the interpreter and "
        f"its libraries{frames}){more}; raise --memory-limit to that",
        needs[batch],
    )


def _rounded_up(size: int) -> str:
    """Return a size in MB that, given as a limit, is not below `size`."""
    return f"{math.ceil(size / 1e5) / 10:.1f} MB"
