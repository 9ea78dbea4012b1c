"""Modbus TCP: a controller's coils, or bits of its registers, as the wires of a handshake. This end is the client."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from edge_runtime.errors import DependencyError, OutputError
from edge_runtime.outputs.handshake import Seen, Shown, Wires, without_result
from edge_runtime.outputs.shaking_settings import ModbusLink

__all__ = ["ModbusWires", "open_modbus_wires"]

_TIMEOUT_S = 1.0


class ModbusWires:
    """Opens the connection when it is first needed, and again after each failure."""

    def __init__(self, link: ModbusLink) -> None:
        self._link = link
        self._client: Any = None
        self._told: Shown | None = None

    def read(self) -> Seen:
        """Ask for the two bits of the controller, and for the name of the part where there is one."""
        link = self._link
        if link.words:
            (word,) = self._values("read_holding_registers", link.read, 1)
            trigger, acknowledged = bool(word & 1), bool(word & 2)
        else:
            trigger, acknowledged = map(bool, self._values("read_coils", link.read, 2))
        part = None
        if trigger and link.id_at is not None:
            part = _text(self._values("read_holding_registers", link.id_at, link.id_words))
        return Seen(trigger, acknowledged, part=part)

    def write(self, shown: Shown) -> None:
        """Write what has changed: a result's bits and numbers before `valid` goes up; with it they go down."""
        before = self._told
        if before == shown:
            return
        self._told = None  # not known, should anything fail
        if before is None or (before.valid and shown.valid and _result(before) != _result(shown)):
            self._bits(replace(without_result(shown), ready=False, busy=False))
        if shown.valid and (before is None or _result(before) != _result(shown)):
            self._numbers(shown)
            self._bits(replace(shown, valid=False))
            self._bits(shown)
        else:
            if before is None or before.bits != shown.bits:
                self._bits(shown)
            if before is None or (before.part, before.code) != (shown.part, shown.code):
                self._numbers(shown)
        self._told = shown

    def close(self) -> None:
        """Close the connection."""
        client, self._client, self._told = self._client, None, None
        if client is not None:
            client.close()

    def _numbers(self, shown: Shown) -> None:
        if self._link.numbers_at is not None:
            self._ask("write_registers", self._link.numbers_at, [shown.part, shown.code])

    def _bits(self, shown: Shown) -> None:
        if self._link.words:
            word = sum(1 << place for place, bit in enumerate(shown.bits) if bit)
            self._ask("write_registers", self._link.write, [word])
        else:
            self._ask("write_coils", self._link.write, list(shown.bits))

    def _values(self, what: str, address: int, count: int) -> list[int]:
        answer = self._ask(what, address, count=count)
        found = list(answer.bits if what == "read_coils" else answer.registers)[:count]
        if len(found) < count:
            self.close()
            raise OutputError(f"{self._link.address} answers with {len(found)} of {count} values at {address}")
        return found

    def _ask(self, what: str, address: int, *more: Any, **named: int) -> Any:
        from pymodbus.exceptions import ModbusException

        try:
            answer = getattr(self._connected(), what)(address, *more, device_id=self._link.unit, **named)
        except (ModbusException, OSError) as error:
            self.close()
            raise OutputError(f"{self._link.address} does not answer: {error}") from error
        if answer.isError():
            self.close()
            wanted = what.replace("_", " ")
            raise OutputError(
                f"{self._link.address} refuses to {wanted} at {address}, unit {self._link.unit}: {answer}; "
                "check the addresses in the recipe against the controller's"
            )
        return answer

    def _connected(self) -> Any:
        if self._client is None:
            from pymodbus.client import ModbusTcpClient

            client = ModbusTcpClient(self._link.host, port=self._link.port, timeout=_TIMEOUT_S, retries=0)
            if not client.connect():
                client.close()
                raise OutputError(f"{self._link.address} cannot be reached; check address, cable and firewall")
            self._client = client
        return self._client


def open_modbus_wires(link: ModbusLink) -> Wires:
    """Return the wires; nothing is connected yet. Raises DependencyError where pymodbus is not installed."""
    try:
        import pymodbus  # noqa: F401
    except ImportError as error:
        raise DependencyError("modbus needs pymodbus, not installed here: pip install 'edgeline[station]'") from error
    logging.getLogger("pymodbus").addHandler(logging.NullHandler())  # what it says at each attempt, we say once
    return ModbusWires(link)


def _result(shown: Shown) -> tuple[object, ...]:
    return (shown.valid, shown.ok, shown.ng, shown.no_read, shown.warn, shown.part, shown.code)


def _text(registers: list[int]) -> str | None:
    """Two characters in each register, the first in its upper half, up to a zero."""
    data = b"".join(register.to_bytes(2, "big") for register in registers).partition(b"\0")[0]
    return data.decode("utf-8", "replace").strip() or None
