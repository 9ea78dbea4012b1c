"""GPIO lines (gpiod 2) as the wires of a handshake."""

from __future__ import annotations

import time
from typing import Any

from edge_runtime.errors import DependencyError, OutputError
from edge_runtime.outputs.handshake import Seen, Shown, Wires
from edge_runtime.outputs.shaking_settings import GpioLines

__all__ = ["GpioWires", "open_gpio_wires"]

_OURS = ("ready", "busy", "valid", "ok", "ng", "no_read", "warn", "alive")


class GpioWires:
    """Holds the lines from its first use on. A trigger that comes up and goes down between two looks is seen."""

    def __init__(self, lines: GpioLines) -> None:
        self._lines = lines
        self._request: Any = None
        self._outputs = {name: line for name in _OURS if (line := getattr(lines, name)) is not None}

    def read(self) -> Seen:
        """Look at the controller's lines, and at what has happened on the trigger's since the last look."""
        from gpiod.line import Value

        request = self._held()
        try:
            rose, at = False, None
            while request.wait_edge_events(0):
                for event in request.read_edge_events():
                    if event.line_offset == self._lines.trigger and event.event_type is event.Type.RISING_EDGE:
                        rose, at = True, min(event.timestamp_ns / 1e9, time.monotonic())
            up = {
                line: request.get_value(line) is Value.ACTIVE
                for line in (self._lines.trigger, self._lines.acknowledged)
                if line is not None
            }
        except OSError as error:
            self.close()
            raise OutputError(f"{self._lines.chip}: {error.strerror or error}") from error
        known = self._lines.trigger is not None and up[self._lines.trigger]
        taken = self._lines.acknowledged is not None and up[self._lines.acknowledged]
        return Seen(known, taken, rose, at)

    def write(self, shown: Shown) -> None:
        """Set the lines: `valid` goes down before a result does, and up after it."""
        valid = self._lines.valid
        values = {line: bool(getattr(shown, name)) for name, line in self._outputs.items()}
        if not shown.valid and valid is not None:
            self._set({valid: False})
        self._set({line: up for line, up in values.items() if line != valid})
        if shown.valid and valid is not None:
            self._set({valid: True})

    def close(self) -> None:
        """Let go of the lines."""
        request, self._request = self._request, None
        if request is not None:
            request.release()

    def _set(self, values: dict[int, bool]) -> None:
        from gpiod.line import Value

        if not values:
            return
        try:
            self._held().set_values({line: Value.ACTIVE if up else Value.INACTIVE for line, up in values.items()})
        except OSError as error:
            self.close()
            raise OutputError(f"{self._lines.chip}: {error.strerror or error}") from error

    def _held(self) -> Any:
        if self._request is None:
            self._request = self._requested()
        return self._request

    def _requested(self) -> Any:
        import datetime

        import gpiod
        from gpiod.line import Bias, Direction, Edge, Value

        lines = self._lines
        bias = {"up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "none": Bias.AS_IS}[lines.pull]
        common = {"direction": Direction.INPUT, "bias": bias, "active_low": lines.active_low}
        config: dict[int, Any] = {
            line: gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
            for line in self._outputs.values()
        }
        if lines.acknowledged is not None:
            config[lines.acknowledged] = gpiod.LineSettings(**common)
        if lines.trigger is not None:
            debounce = datetime.timedelta(seconds=lines.debounce)
            config[lines.trigger] = gpiod.LineSettings(edge_detection=Edge.RISING, debounce_period=debounce, **common)
        try:
            return gpiod.request_lines(lines.chip, consumer="edgeline", config=config)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"cannot use the lines {', '.join(map(str, sorted(config)))} of {lines.chip}: {reason}; `gpioinfo` "
                "shows the chips, their lines and who holds them; your user has to be in the group gpio"
            ) from error


def open_gpio_wires(lines: GpioLines) -> Wires:
    """Return the wires; no line is held yet. Raises DependencyError where gpiod is not installed."""
    try:
        import gpiod
    except ImportError as error:
        raise DependencyError("gpio needs gpiod, not installed here: pip install 'edgeline[gpio]'") from error
    if not hasattr(gpiod, "request_lines"):  # Debian's python3-libgpiod 1, of the same name
        raise DependencyError("gpio needs gpiod 2; what is installed here is older: pip install 'edgeline[gpio]'")
    return GpioWires(lines)
