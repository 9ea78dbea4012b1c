"""What a recipe says of a handshake with a controller, over Modbus TCP or GPIO lines (HANDSHAKE.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from edge_runtime.outputs.handshake import Acknowledging

__all__ = ["GpioLines", "GpioOutput", "Handshaking", "ModbusLink", "ModbusOutput"]


@dataclass(frozen=True, kw_only=True)
class Handshaking:
    """How a handshake with a controller goes (HANDSHAKE.md), over whatever it goes."""

    acknowledge: Acknowledging = field(
        default="bit",
        metadata={"help": "A result stands until a bit says that it is taken, the trigger falls, or (none) the next."},
    )
    result_within: float = field(
        default=1.0, metadata={"unit": "seconds", "help": "A result that is not stored by then is told as NO_READ."}
    )
    acknowledge_within: float = field(
        default=2.0, metadata={"unit": "seconds", "help": "Of an output: a result that is not taken by then goes away."}
    )
    heartbeat: float = field(
        default=0.5, metadata={"unit": "seconds", "help": "Of a trigger: alive changes so often while verdicts come."}
    )
    poll: float = field(
        default=0.02, metadata={"unit": "seconds", "help": "From one look at the controller's bits to the next."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError for no time."""
        if min(self.result_within, self.acknowledge_within, self.heartbeat, self.poll) <= 0:
            raise ValueError("the times of a handshake are longer than nothing")


@dataclass(frozen=True, kw_only=True)
class ModbusLink(Handshaking):
    """A controller that is asked over Modbus TCP: where its bits and numbers are, counted from 0."""

    SHORT: ClassVar[str] = "address"

    address: str = field(metadata={"help": "The controller: plc.local, 192.168.0.5:502."})
    unit: int = field(default=1, metadata={"help": "The unit behind the address, 0 to 255."})
    words: bool = field(
        default=False, metadata={"help": "Bits are those of one holding register each way, instead of coils."}
    )
    read: int = field(
        default=0, metadata={"help": "What the controller writes: trigger, then acknowledged (coils, or bits 0 and 1)."}
    )
    write: int = field(
        default=100,
        metadata={"help": "What the station writes: ready, busy, valid, OK, NG, NO_READ, WARN, alive, in this order."},
    )
    numbers_at: int | None = field(
        default=None,
        metadata={"help": "Two holding registers: a count of parts; 1 OK, 2 WARN, 3 NG, 4 NO_READ or 0."},
    )
    id_at: int | None = field(
        default=None, metadata={"help": "Holding registers with the part's name, two characters each, ended by 0."}
    )
    id_words: int = field(default=8, metadata={"help": "How many they are."})

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be an address, and places that lie over one another."""
        super().__post_init__()
        if not self.host or not 0 < self.port < 65536 or not 0 <= self.unit < 256:
            raise ValueError("address is HOST or HOST:PORT, and unit is 0 to 255")
        bits = (1, 1) if self.words else (2, 8)
        places = {"read": (self.read, bits[0], self.words), "write": (self.write, bits[1], self.words)}
        if self.numbers_at is not None:
            places["numbers_at"] = (self.numbers_at, 2, True)
        if self.id_at is not None:
            places["id_at"] = (self.id_at, self.id_words, True)
        for name, (first, count, _) in places.items():
            if first < 0 or not 1 <= count <= 100 or first + count > 65536:
                raise ValueError(f"{name} is an address of 0 to 65535, and id_words 1 to 100")
        named = list(places.items())
        for number, (one, (first, count, registers)) in enumerate(named):
            for other, (begin, length, others) in named[:number]:
                if registers == others and first < begin + length and begin < first + count:
                    raise ValueError(f"{other} and {one} lie over one another")

    @property
    def host(self) -> str:
        """The address without its port."""
        return self._parted()[0]

    @property
    def port(self) -> int:
        """The port, 502 where none is said, 0 for what is none."""
        return self._parted()[1]

    def _parted(self) -> tuple[str, int]:
        host, colon, port = self.address.rpartition(":")
        if not colon or port.endswith("]") or (":" in host and not host.startswith("[")):
            return self.address.strip("[]"), 502
        return host.strip("[]"), int(port) if port.isascii() and port.isdigit() else 0


@dataclass(frozen=True, kw_only=True)
class GpioLines(Handshaking):
    """Lines of a GPIO chip, by their numbers on it."""

    chip: str = field(default="/dev/gpiochip0", metadata={"help": "The chip, as gpioinfo names it."})
    trigger: int | None = field(default=None, metadata={"help": "In: a part is there, when it comes up."})
    acknowledged: int | None = field(default=None, metadata={"help": "In: the result is taken."})
    ready: int | None = field(default=None, metadata={"help": "Out: a part may come."})
    busy: int | None = field(default=None, metadata={"help": "Out: a part is looked at."})
    valid: int | None = field(default=None, metadata={"help": "Out: the result holds."})
    ok: int | None = field(default=None, metadata={"help": "Out: OK, or WARN."})
    ng: int | None = field(default=None, metadata={"help": "Out: NG."})
    no_read: int | None = field(default=None, metadata={"help": "Out: NO_READ."})
    warn: int | None = field(default=None, metadata={"help": "Out: WARN, beside OK."})
    alive: int | None = field(default=None, metadata={"help": "Out: changes as long as verdicts come."})
    active_low: bool = field(default=False, metadata={"help": "Inputs are up at 0 V."})
    pull: Literal["up", "down", "none"] = field(default="none", metadata={"help": "The inputs' resistors."})
    debounce: float = field(
        default=0.005, metadata={"unit": "seconds", "help": "A trigger that is up for a shorter time is none."}
    )
    acknowledge: Acknowledging = field(
        default="none",
        metadata={"help": "A result stands until (bit) the line acknowledged, the trigger falls, or (none) the next."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for lines that are used twice, and for those that lack."""
        super().__post_init__()
        names = ("trigger", "acknowledged", "ready", "busy", "valid", "ok", "ng", "no_read", "warn", "alive")
        lines = [line for name in names if (line := getattr(self, name)) is not None]
        if len(set(lines)) < len(lines) or min(lines, default=0) < 0:
            raise ValueError("each line is used once")
        if self.ok is None and self.ng is None:
            raise ValueError("a result needs the line ok or the line ng")
        if self.acknowledge == "bit" and self.acknowledged is None:
            raise ValueError("acknowledge: bit needs the line acknowledged")


@dataclass(frozen=True, kw_only=True)
class ModbusOutput(ModbusLink):
    """Results over Modbus, of a station that something else triggers."""

    def __post_init__(self) -> None:
        """Raise ValueError for a trigger that there is not."""
        super().__post_init__()
        _without_trigger(self)


@dataclass(frozen=True, kw_only=True)
class GpioOutput(GpioLines):
    """Results on GPIO lines, of a station that something else triggers."""

    def __post_init__(self) -> None:
        """Raise ValueError for a trigger that there is not."""
        super().__post_init__()
        _without_trigger(self)
        if self.trigger is not None:
            raise ValueError("a line that triggers belongs to the station's trigger, which tells results too")


def _without_trigger(settings: Handshaking) -> None:
    if settings.acknowledge == "trigger":
        raise ValueError("an output has no trigger that could acknowledge; a station's trigger tells results too")
