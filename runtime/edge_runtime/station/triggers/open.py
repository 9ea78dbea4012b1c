"""From what a recipe says to a trigger: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from edge_runtime.inspect.sources.base import Source
from edge_runtime.station.triggers.base import Trigger, TriggeredSource
from edge_runtime.station.triggers.every import EveryTrigger
from edge_runtime.station.triggers.settings import TriggerEntry

__all__ = ["TRIGGERS", "triggered"]

# A new kind of trigger is one file and one row: settings with a field in TriggerEntry, which names the row, and a class
# as in base.py.
TRIGGERS: Mapping[str, Callable[[Any], Trigger]] = {
    "every": EveryTrigger,
}


def triggered(source: Source, entry: TriggerEntry | None) -> Source:
    """Return the source with its trigger; None: each frame is a part, and those that come too fast are none."""
    if entry is None:
        return source
    kind, settings = next((f.name, found) for f in fields(entry) if (found := getattr(entry, f.name)) is not None)
    return TriggeredSource(source, TRIGGERS[kind](settings))
