"""From what a recipe says to a trigger: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from edge_runtime.inspect.sources.base import Source
from edge_runtime.outputs.gpio import open_gpio_wires
from edge_runtime.outputs.modbus import open_modbus_wires
from edge_runtime.station.triggers.base import Line, Trigger, TriggeredSource
from edge_runtime.station.triggers.every import EveryTrigger
from edge_runtime.station.triggers.handshake import shaking
from edge_runtime.station.triggers.presence import PresenceTrigger
from edge_runtime.station.triggers.settings import HttpTrigger, MqttTrigger, Presence, Timing, TriggerEntry
from edge_runtime.station.triggers.signalled import WAITING_BYTES, SignalledTrigger

__all__ = ["TRIGGERS", "triggered", "waiting_bytes"]


def _http(settings: HttpTrigger, line: Line) -> Trigger:
    from edge_runtime.station.triggers.http import http_trigger  # a server, which others do without

    return http_trigger(settings, line)


def _mqtt(settings: MqttTrigger, line: Line) -> Trigger:
    from edge_runtime.station.triggers.mqtt import mqtt_trigger  # TLS, which others do without

    return mqtt_trigger(settings, line)


# A new kind of trigger is one file and one row: settings with a field in TriggerEntry, which names the row, and what
# makes a trigger (base.py) of them and of its station's Line. What is announced from outside is signalled.py's.
TRIGGERS: Mapping[str, Callable[[Any, Line], Trigger]] = {
    "every": lambda settings, line: EveryTrigger(settings),
    "presence": PresenceTrigger,
    "http": _http,
    "mqtt": _mqtt,
    "modbus": lambda settings, line: SignalledTrigger(settings, line, shaking(settings, open_modbus_wires)),
    "gpio": lambda settings, line: SignalledTrigger(settings, line, shaking(settings, open_gpio_wires)),
}


def triggered(source: Source, entry: TriggerEntry | None, line: Line) -> Source:
    """Return the source with its trigger; None: each frame is a part, and those that come too fast are none."""
    if entry is None:
        return source
    kind, settings = _named(entry)
    return TriggeredSource(source, TRIGGERS[kind](settings, line))


def waiting_bytes(entry: TriggerEntry | None) -> int:
    """Return how many bytes of pictures may wait between a trigger and whoever judges them."""
    return WAITING_BYTES if entry is not None and isinstance(_named(entry)[1], (Presence, Timing)) else 0


def _named(entry: TriggerEntry) -> tuple[str, Any]:
    return next((f.name, found) for f in fields(entry) if (found := getattr(entry, f.name)) is not None)
