"""Events as messages of an MQTT 5 broker. The broker retains the last one of each station: so it knows what it has.

An event is told when its PUBACK has come. Whether one whose PUBACK was lost has arrived is asked of the broker: the
retained message of its topic says so, and what it has is not sent again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from edge_runtime.errors import OutputError
from edge_runtime.inspect.record import to_line
from edge_runtime.outputs.base import ElsewhereError, published
from edge_runtime.outputs.mqtt_link import Heard, Link, Wishes, client_id
from edge_runtime.outputs.settings import Mqtt
from edge_runtime.store.entries import VERDICTS
from edge_runtime.store.reading import Stored

__all__ = ["MqttOutput"]

_AT_ONCE = 100
_PATIENCE_S = 3.0  # for a connection, and for an acknowledgement: an output that ends is waited for


class MqttOutput:
    """Publishes to PREFIX/STATION/verdict; PREFIX/_online/CLIENT is "online" or, by our last will, "offline"."""

    def __init__(self, settings: Mqtt, stations: Sequence[str]) -> None:
        self._prefix = settings.prefix
        self._lock = threading.Lock()
        self._retained: dict[str, str] = {}  # by topic, the last event that the broker has of it
        self._number = 0
        self._url = settings.url
        self._ahead: set[str] = set()  # events that were taken while one before them was refused
        client = client_id(settings, settings.prefix, *stations)
        availability = f"{settings.prefix}/_online/{client}"
        found = _discovery(settings, stations, availability) if settings.home_assistant else {}
        topics = {self._topic(station): 1 for station in stations}
        self._link = Link(settings, client, Wishes(topics, self._hear, availability, found))

    def delivered(self) -> str | None:
        """The broker is asked once there is a connection (see `send`): nobody waits for one here."""
        return None

    def send(self, events: Sequence[Stored]) -> int:
        """Publish the first of them. Raises ElsewhereError after each connect, for what was under way before it."""
        number = self._link.wait(_PATIENCE_S)
        if number != self._number:
            self._number = number
            with self._lock:
                last = list(self._retained.values())
            if last:
                raise ElsewhereError(last)
        batch = events[:_AT_ONCE]
        left = [event for event in batch if event.event_id not in self._ahead]
        records = [published(event) for event in left]
        messages = [(self._topic(record["station"]), to_line(record).encode()) for record in records]
        taken = self._link.publish(messages, _PATIENCE_S)
        self._ahead.update(left[place].event_id for place in taken.places)
        told = next((place for place, event in enumerate(batch) if event.event_id not in self._ahead), len(batch))
        if not told:
            raise OutputError(f"{self._url} has not taken a message: {taken.why}")
        self._ahead.difference_update(event.event_id for event in batch[:told])
        return told

    def close(self) -> None:
        """Say that nobody is here any more."""
        self._link.close()

    def _topic(self, station: str) -> str:
        return f"{self._prefix}/{station}/verdict"

    def _hear(self, message: Heard) -> None:
        """Remember which event the broker has retained; somebody else's message there is none of ours."""
        try:
            event_id = str(json.loads(message.payload)["event_id"])
        except (ValueError, KeyError, TypeError):
            return
        with self._lock:
            self._retained[message.topic] = event_id


def _discovery(settings: Mqtt, stations: Sequence[str], availability: str) -> dict[str, bytes]:
    """Return what Home Assistant learns the stations from: a topic and its payload for each of their entities."""
    found = {}
    for station in stations:
        name = f"edgeline_{settings.prefix.replace('/', '_')}_{station}"
        topic = f"{settings.prefix}/{station}/verdict"
        device = {
            "identifiers": [name],
            "name": f"Edgeline {station}",
            "manufacturer": "Edgeline",
            "sw_version": version("edgeline"),
        }
        shared = {"state_topic": topic, "availability_topic": availability, "qos": 1, "device": device}
        entities: dict[tuple[str, str], dict[str, Any]] = {
            ("sensor", "verdict"): {
                "name": "Verdict",
                "device_class": "enum",
                "options": list(VERDICTS),
                "value_template": "{{ value_json.verdict }}",
                "json_attributes_topic": topic,
                "json_attributes_template": _ATTRIBUTES,
            },
            ("binary_sensor", "problem"): {
                "name": "Problem",
                "device_class": "problem",
                "value_template": "{{ 'OFF' if value_json.verdict == 'OK' else 'ON' }}",
            },
            ("sensor", "part"): {"name": "Part", "value_template": "{{ value_json.part or '' }}"},
        }
        for (kind, what), entity in entities.items():
            config = {**entity, "unique_id": f"{name}_{what}", **shared}
            found[f"{settings.home_assistant}/{kind}/{name}/{what}/config"] = json.dumps(config).encode()
    return found


_ATTRIBUTES = (
    "{{ {'event_id': value_json.event_id, 'reasons': value_json.reasons, 'part': value_json.part, "
    "'ts_utc': value_json.ts_utc} | tojson }}"
)
