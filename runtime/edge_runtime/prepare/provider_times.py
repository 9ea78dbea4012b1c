"""What was measured of providers, as the prepared folder keeps it: providers-*.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

__all__ = ["AssignedBlocks", "Assignment", "MeasuredProviders", "ProviderTimes"]


@dataclass(frozen=True)
class ProviderTimes:
    """What was measured of one provider, in ms for one batch; `whole_ms` of the whole graph, each None where not used.

    `block_ms` is () where blocks were not measured one by one. `overhead_ms`: of a run that computes nothing.
    `refused`: why the whole graph is not used on it, "" where it is. `wrong`: the same of blocks, one line each.
    """

    provider: str
    whole_ms: Union[float, None]
    block_ms: tuple[Union[float, None], ...]
    overhead_ms: float
    refused: str = ""
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class AssignedBlocks:
    """Blocks `first`..`stop`-1 on one provider, by its full name."""

    provider: str
    first: int
    stop: int


@dataclass(frozen=True)
class Assignment:
    """Parts that make the whole model, and the lower quartile of their runs in turns with the other candidates'."""

    parts: tuple[AssignedBlocks, ...]
    ms: float


@dataclass(frozen=True)
class MeasuredProviders:
    """providers-*.json: `candidates` gave the right answer, the first is the one to use; () where none did."""

    schema: Literal[1]
    providers: tuple[ProviderTimes, ...]
    candidates: tuple[Assignment, ...]
