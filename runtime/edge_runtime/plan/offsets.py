"""Where everything lies in the arena: lifespans of values and streamed weights, and their layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_runtime.plan.layout import Buffer, Lifespan, lay_out
from edge_runtime.plan.measurements import Measurements, ValueMeasurement
from edge_runtime.plan.plan import ALIGNMENT, Place, ValuePlan

__all__ = [
    "Arena",
    "Streams",
    "aligned",
    "arrange",
    "lifespans",
    "plan_values",
    "values_live",
    "windows",
]

# Bytes and lifespan of the streamed weights, by block.
Streams = Mapping[int, tuple[int, Lifespan]]


@dataclass(frozen=True)
class Arena:
    """A layout: places of values by name and of streamed weights by block, and the size of it all."""

    values: Mapping[str, Place]
    weights: Mapping[int, Place]
    size: int


def lifespans(measurements: Measurements, outputs: frozenset[str]) -> dict[str, Lifespan]:
    """Return the steps in which each value is alive, see plan.py; what nobody reads is an output too."""
    blocks = measurements.blocks
    made = {name: k + 1 for k, block in enumerate(blocks) for name in block.outputs}
    read = {name: k + 1 for k, block in enumerate(blocks) for name in block.inputs}
    spans = {}
    for value in measurements.values:
        lower = made.get(value.name, 0)
        if value.name in outputs or (lower > 0 and value.name not in read):
            spans[value.name] = Lifespan(0, len(blocks) + 2)
        else:
            spans[value.name] = Lifespan(lower, read.get(value.name, lower) + 1)
    return spans


def values_live(measurements: Measurements, batch: int, outputs: frozenset[str]) -> tuple[list[int], list[int]]:
    """Return the bytes of values alive in each step: those that lie in the arena, aligned, and those that do not."""
    steps = len(measurements.blocks) + 2
    planned, unplanned = [0] * steps, [0] * steps
    spans = lifespans(measurements, outputs)
    for value in measurements.values:
        size = aligned(value.bytes_of(batch))
        for step in range(spans[value.name].lower, spans[value.name].upper):
            (planned if value.planned else unplanned)[step] += size
    return planned, unplanned


def windows(loaded: Sequence[bool]) -> dict[int, Lifespan]:
    """Return for each block that is loaded, streamed or reloaded, the steps in which it is in memory.

    The loader is one block ahead: it starts when the loaded block before computes, for the first in step 0.
    """
    found, lower = {}, 0
    for k, is_loaded in enumerate(loaded):
        if is_loaded:
            found[k] = Lifespan(lower, k + 2)
            lower = k + 1
    return found


def arrange(measurements: Measurements, batch: int, outputs: frozenset[str], streams: Streams) -> Arena:
    """Lay out the planned values and the streamed weights."""
    spans = lifespans(measurements, outputs)
    buffers = [
        Buffer(f"value {value.name}", spans[value.name], aligned(value.bytes_of(batch)))
        for value in measurements.values
        if value.planned
    ]
    buffers += [Buffer(f"weights {k}", span, aligned(size)) for k, (size, span) in streams.items()]
    offsets, size = lay_out(buffers)
    places = {
        buffer.id: Place(offsets[buffer.id], buffer.size, buffer.lifespan.lower, buffer.lifespan.upper)
        for buffer in buffers
    }
    return Arena(
        values={value.name: places[f"value {value.name}"] for value in measurements.values if value.planned},
        weights={k: places[f"weights {k}"] for k in streams},
        size=size,
    )


def plan_values(values: Sequence[ValueMeasurement], batch: int, places: Mapping[str, Place]) -> tuple[ValuePlan, ...]:
    """Return the plans of the values, in their order."""
    return tuple(
        ValuePlan(value.name, value.dtype, value.shape_of(batch), value.axis, places.get(value.name))
        for value in values
    )


def aligned(size: int) -> int:
    """Return the size of a place for `size` bytes."""
    return size + -size % ALIGNMENT
