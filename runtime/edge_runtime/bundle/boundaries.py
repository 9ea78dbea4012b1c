"""What crosses from block to block: the values alive at a boundary, and those that some blocks need and give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from edge_runtime.bundle.manifest import Manifest

__all__ = ["Ends", "alive_before", "crossings"]


class Ends(Protocol):
    """What enters and what leaves a block: a manifest's or a measured one."""

    @property
    def inputs(self) -> tuple[str, ...]: ...

    @property
    def outputs(self) -> tuple[str, ...]: ...


def alive_before(blocks: Sequence[Ends], k: int, inputs: Iterable[str], outputs: Iterable[str]) -> list[str]:
    """Return the values that are there before block `k` and that it or a later one reads, or that are `outputs`."""
    made = [*inputs, *(name for block in blocks[:k] for name in block.outputs)]
    wanted = {name for block in blocks[k:] for name in block.inputs} | set(outputs)
    return [name for name in dict.fromkeys(made) if name in wanted]


def crossings(manifest: Manifest, first: int, stop: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the values that enter blocks `first`..`stop`-1 and those that leave them."""
    inside = manifest.blocks[first:stop]
    made = [name for block in inside for name in block.outputs]
    read = [name for block in inside for name in block.inputs]
    later = {name for block in manifest.blocks[stop:] for name in block.inputs}
    later |= {spec.name for spec in manifest.outputs}
    return (
        tuple(dict.fromkeys(name for name in read if name not in made)),
        tuple(dict.fromkeys(name for name in made if name in later)),
    )
