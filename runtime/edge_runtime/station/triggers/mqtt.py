"""Parts that messages of an MQTT topic announce."""

from __future__ import annotations

import json

from edge_runtime.outputs.mqtt_link import Heard, Link, Wishes, client_id
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.settings import MqttTrigger
from edge_runtime.station.triggers.signalled import SignalledTrigger, Signals

__all__ = ["mqtt_trigger", "part_of"]

_LONGEST = 256  # characters of a part's id


def mqtt_trigger(settings: MqttTrigger, line: Line) -> SignalledTrigger:
    """Return the trigger that `mqtt:` asks for."""
    return SignalledTrigger(settings, line, lambda signals: _Listener(settings, signals))


class _Listener:
    def __init__(self, settings: MqttTrigger, signals: Signals) -> None:
        """Begin to listen; a broker that is not there is waited for, and that is said."""
        self._settings, self._signals = settings, signals
        client = client_id(settings, "trigger", settings.topic, signals.line.station)
        # By QoS 2, so that a message is one part, if whoever sends it does so too.
        self._link = Link(settings, client, Wishes({settings.topic: 2}, self._hear, changed=self._say))

    def close(self) -> None:
        self._link.close()

    def _hear(self, message: Heard) -> None:
        if message.retained:  # of before; its part has gone by
            return
        part, why = part_of(message.payload, self._settings.part)
        if why:
            self._signals.line.say(f"{self._signals.line.station}: a part without its id, {message.topic}: {why}")
        if refused := self._signals.announce(part).refused:
            self._signals.line.say(f"{self._signals.line.station}: a trigger of {message.topic} is refused: {refused}")

    def _say(self, why: str) -> None:
        place = f"{self._signals.line.station}: the trigger {self._settings.url} {self._settings.topic}"
        self._signals.line.say(
            f"{place}: {why}; parts are NOT HEARD OF meanwhile" if why else f"{place} is listened to"
        )


def part_of(payload: bytes, key: str) -> tuple[str | None, str]:
    """Return the part's id that a message holds, and why it holds none that could be read."""
    try:
        text = payload.decode("utf-8").strip()
        if key:
            value = json.loads(text)[key]
            if isinstance(value, bool) or not isinstance(value, (str, int)):
                return None, f"{key} is no text"
            text = str(value).strip()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, f"expected JSON with the key {key}" if key else "expected UTF-8 text"
    if len(text) > _LONGEST:
        return None, f"it has more than {_LONGEST} characters"
    return text or None, ""
