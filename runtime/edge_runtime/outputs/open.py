"""From what a recipe says to outputs: one table. Stations that name the same one share it, and its queue."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from edge_runtime.outputs.base import Output
from edge_runtime.outputs.gpio import open_gpio_wires
from edge_runtime.outputs.handshaking import HandshakeOutput
from edge_runtime.outputs.json_lines import open_json_lines
from edge_runtime.outputs.modbus import open_modbus_wires
from edge_runtime.outputs.settings import Mqtt, OpcUa, OutputEntry, Prometheus, Webhook

State = Callable[[], Mapping[str, Any]]  # how the stations do: what station/board.py says
__all__ = ["OUTPUTS", "WATCHERS", "OutputRow", "Wanted", "Watcher", "kind_of", "open_watchers", "wanted_outputs"]


@dataclass(frozen=True)
class OutputRow:
    """A kind of output: the name of its queue, and what opens it, of its settings and the stations it is told of."""

    queue: Callable[[Any], str]
    open: Callable[[Any, Sequence[str]], Output]


class Watcher(Protocol):
    """What shows how the stations do to whoever asks, in threads of its own. It has no queue."""

    def close(self) -> None:
        """Show nothing any more."""
        ...


# What a kind needs (TLS, HTTP, asyncio) is loaded where a recipe names it: it takes megabytes.


def _mqtt(settings: Mqtt, stations: Sequence[str]) -> Output:
    from edge_runtime.outputs.mqtt import MqttOutput

    return MqttOutput(settings, stations)


def _webhook(settings: Webhook, stations: Sequence[str]) -> Output:
    from edge_runtime.outputs.webhook import WebhookOutput

    return WebhookOutput(settings)


def _opcua(settings: OpcUa, stations: Sequence[str]) -> Output:
    from edge_runtime.outputs.opcua import OpcUaOutput

    return OpcUaOutput(settings, stations)


def _prometheus(settings: Prometheus, stations: Sequence[str], state: State) -> Watcher:
    from edge_runtime.outputs.prometheus import PrometheusPage

    return PrometheusPage(settings, stations, state)


# A new kind of output is one file and one row: settings with a field in OutputEntry, which names the row, and a class
# as in base.py. The name of a queue outlives restarts: it must not change with what does not change the receiver.
OUTPUTS: Mapping[str, OutputRow] = {
    "jsonl": OutputRow(lambda settings: str(settings.path.resolve()), lambda settings, _: open_json_lines(settings)),
    "mqtt": OutputRow(lambda settings: settings.queue, _mqtt),
    "webhook": OutputRow(lambda settings: settings.queue, _webhook),
    "opcua": OutputRow(lambda settings: f"{settings.address}:{settings.port}", _opcua),
    "modbus": OutputRow(
        lambda settings: f"{settings.host}:{settings.port} {settings.unit} {settings.write}",
        lambda settings, _: HandshakeOutput(open_modbus_wires(settings), settings),
    ),
    "gpio": OutputRow(
        lambda settings: f"{settings.chip} {settings.ok} {settings.ng}",
        lambda settings, _: HandshakeOutput(open_gpio_wires(settings), settings),
    ),
}


# What opens them: of the settings, the names of the stations that ask for it, and what says how these do.
WATCHERS: Mapping[str, Callable[[Any, Sequence[str], State], Watcher]] = {
    "prometheus": _prometheus,
}


@dataclass(frozen=True)
class Wanted:
    """An output that stations ask for: the name of its queue, what is told, and how it is opened."""

    name: str
    stations: tuple[str, ...]
    opener: Callable[[Sequence[str]], Output]

    def open(self) -> Output:
        """Open it. Raises EdgelineError where that can never succeed."""
        return self.opener(self.stations)


def wanted_outputs(stations: Sequence[tuple[str, Sequence[OutputEntry]]]) -> list[Wanted]:
    """Return the outputs of some stations, by name, in the order in which they are first named."""
    found: dict[str, Wanted] = {}
    for station, entries in stations:
        for entry in entries:
            if kind_of(entry)[0] in WATCHERS:
                continue
            name, wanted = _wanted(entry, station)
            known = found.get(name)
            if known is not None and station not in known.stations:
                wanted = Wanted(name, (*known.stations, station), known.opener)
            found[name] = wanted if known is None or station not in known.stations else known
    return list(found.values())


def _wanted(entry: OutputEntry, station: str) -> tuple[str, Wanted]:
    kind, settings = kind_of(entry)
    row = OUTPUTS[kind]
    name = f"{kind} {row.queue(settings)}"
    return name, Wanted(name, (station,), functools.partial(row.open, settings))


def open_watchers(stations: Sequence[tuple[str, Sequence[OutputEntry]]], state: State) -> contextlib.ExitStack:
    """Open what shows how it goes, as `state` says (station/board.py); what is returned closes them."""
    wanted: dict[tuple[str, Any], list[str]] = {}
    for station, entries in stations:
        for kind, settings in map(kind_of, entries):
            if kind in WATCHERS and station not in wanted.setdefault((kind, settings), []):
                wanted[kind, settings].append(station)
    with contextlib.ExitStack() as opened:
        for (kind, settings), names in wanted.items():
            opened.enter_context(contextlib.closing(WATCHERS[kind](settings, names, state)))
        return opened.pop_all()


def kind_of(entry: OutputEntry) -> tuple[str, Any]:
    """Return the key that an entry has, and the settings behind it."""
    return next((field.name, found) for field in fields(entry) if (found := getattr(entry, field.name)) is not None)
