"""From what a recipe says to outputs: one table. Stations that name the same one share it, and its queue."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from edge_runtime.outputs.base import Output
from edge_runtime.outputs.json_lines import open_json_lines
from edge_runtime.outputs.settings import OutputEntry

__all__ = ["OUTPUTS", "OutputRow", "Wanted", "wanted_outputs"]


@dataclass(frozen=True)
class OutputRow:
    """A kind of output: the name of its queue, and what opens it, of its settings."""

    queue: Callable[[Any], str]
    open: Callable[[Any], Output]


# A new kind of output is one file and one row: settings with a field in OutputEntry, which names the row, and a class
# as in base.py. The name of a queue outlives restarts: it must not change with what does not change the receiver.
OUTPUTS: Mapping[str, OutputRow] = {
    "jsonl": OutputRow(lambda settings: str(settings.path.resolve()), open_json_lines),
}


@dataclass(frozen=True)
class Wanted:
    """An output that stations ask for: the name of its queue, what is told, and how it is opened."""

    name: str
    stations: tuple[str, ...]
    open: Callable[[], Output]


def wanted_outputs(stations: Sequence[tuple[str, Sequence[OutputEntry]]]) -> list[Wanted]:
    """Return the outputs of some stations, by name, in the order in which they are first named."""
    found: dict[str, Wanted] = {}
    for station, entries in stations:
        for entry in entries:
            name, wanted = _wanted(entry, station)
            known = found.get(name)
            if known is not None and station not in known.stations:
                wanted = Wanted(name, (*known.stations, station), known.open)
            found[name] = wanted if known is None or station not in known.stations else known
    return list(found.values())


def _wanted(entry: OutputEntry, station: str) -> tuple[str, Wanted]:
    kind, settings = next(
        (field.name, found) for field in fields(entry) if (found := getattr(entry, field.name)) is not None
    )
    row = OUTPUTS[kind]
    name = f"{kind} {row.queue(settings)}"
    return name, Wanted(name, (station,), functools.partial(row.open, settings))
