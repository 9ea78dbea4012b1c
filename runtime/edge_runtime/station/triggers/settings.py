"""What a recipe says of a trigger: one dataclass for each kind, and a field for each in `TriggerEntry`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from edge_runtime.inspect.secret import Secret
from edge_runtime.outputs.settings import Broker
from edge_runtime.outputs.shaking_settings import GpioLines, ModbusLink

__all__ = [
    "Every",
    "GpioTrigger",
    "HttpTrigger",
    "ModbusTrigger",
    "MqttTrigger",
    "Presence",
    "Timing",
    "TriggerEntry",
]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Of a camera, which frames show a part that something outside announces; settings of such triggers inherit it."""

    frames: int = field(default=1, metadata={"help": "How many frames in a row are looked at of each part."})
    delay: float = field(
        default=0.0,
        metadata={"unit": "seconds", "help": "From the trigger to when the part is before the camera: 0s, 250ms."},
    )
    deadline: float = field(
        default=1.0,
        metadata={"unit": "seconds", "help": "A part of which no frame is taken within this time is NO_READ."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for no frames or no time."""
        if self.frames < 1 or self.deadline <= 0:
            raise ValueError("a part has a frame at least, and a deadline is longer than nothing")


@dataclass(frozen=True)
class Every:
    """A part each so many seconds; of a film in its own time, and of pictures each is a part."""

    SHORT: ClassVar[str] = "period"

    period: float = field(metadata={"unit": "seconds", "help": "From one part to the next: 200ms, 1.5s."})
    frames: int = field(default=1, metadata={"help": "How many frames in a row are looked at of each."})

    def __post_init__(self) -> None:
        """Raise ValueError for no time or no frames."""
        if self.period <= 0 or self.frames < 1:
            raise ValueError("a period is longer than nothing, and a part has a frame at least")


@dataclass(frozen=True, kw_only=True)
class HttpTrigger(Timing):
    """A part for each POST /trigger."""

    SHORT: ClassVar[str] = "port"

    port: int = field(metadata={"help": "Where it listens: POST http://ADDRESS:PORT/trigger[?part=ID][&wait=5s]."})
    address: str = field(
        default="127.0.0.1",
        metadata={"help": "127.0.0.1: this machine alone may ask; 0.0.0.0: everybody who reaches it."},
    )
    token: Secret | None = field(
        default=None, metadata={"help": "Who asks says Authorization: Bearer ${TRIGGER_TOKEN}."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what is no port."""
        super().__post_init__()
        if not 0 < self.port < 65536:
            raise ValueError("a port is a number from 1 to 65535")


@dataclass(frozen=True, kw_only=True)
class MqttTrigger(Timing, Broker):
    """A part for each message of a topic."""

    topic: str = field(metadata={"help": "The topic; + and # stand for any. Messages that were retained are none."})
    part: str = field(
        default="",
        metadata={"help": "The key of the part's id, of payloads that are JSON; else the payload is the id."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for no topic, and as the others do."""
        Broker.__post_init__(self)
        Timing.__post_init__(self)
        if not self.topic or "\x00" in self.topic or len(self.topic) > 1000:
            raise ValueError("a topic is a text such as line/1/part")
        levels = self.topic.split("/")
        if any("+" in level and level != "+" for level in levels) or any("#" in level for level in levels[:-1]):
            raise ValueError("in a topic + stands for a whole level, and # for all that follow, at its end")
        if "#" in levels[-1] and levels[-1] != "#":
            raise ValueError("in a topic + stands for a whole level, and # for all that follow, at its end")


@dataclass(frozen=True)
class Presence:
    """A part comes into the picture, rests or passes, and leaves: it is judged once."""

    SHORT: ClassVar[str] = "empty"

    empty: Path = field(
        metadata={"help": "A picture of the view without a part, or a folder of some: edge-station learn --empty."}
    )
    frames: int = field(default=1, metadata={"help": "How many frames of each part are judged, the best ones."})
    settle: float = field(
        default=0.2, metadata={"unit": "seconds", "help": "A part rests that has not moved for so long."}
    )
    size: float = field(default=0.02, metadata={"help": "The share of the picture that a part covers at least."})
    light: float = field(default=0.2, metadata={"help": "The share by which the light may vary, as lamps flicker."})
    whole: bool = field(
        default=True, metadata={"help": "A part that was never wholly in view is NO_READ; false: it is judged so."}
    )

    alone: bool = field(
        default=True, metadata={"help": "Other parts in view are covered by the empty view; false: they are seen too."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        if self.frames < 1 or self.settle <= 0:
            raise ValueError("a part has a frame at least, and rests for longer than nothing")
        if not (0 < self.size < 1 and 0 <= self.light <= 0.5):
            raise ValueError("size is a share between 0 and 1, and light one of 0.5 at most")


@dataclass(frozen=True, kw_only=True)
class ModbusTrigger(ModbusLink, Timing):
    """Parts that a controller announces over Modbus; it is told of results there."""

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        ModbusLink.__post_init__(self)
        Timing.__post_init__(self)


@dataclass(frozen=True, kw_only=True)
class GpioTrigger(GpioLines, Timing):
    """Parts that a GPIO line announces; results are told on others."""

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        GpioLines.__post_init__(self)
        Timing.__post_init__(self)
        if self.trigger is None:
            raise ValueError("a trigger needs the line trigger")


@dataclass(frozen=True)
class TriggerEntry:
    """What says that a part is there: exactly one of these keys."""

    ONE_OF: ClassVar[bool] = True

    every: Every | None = field(default=None, metadata={"help": "A part each so many seconds."})
    presence: Presence | None = field(
        default=None, metadata={"help": "The picture itself: what comes into view is a part, judged once."}
    )
    http: HttpTrigger | None = field(default=None, metadata={"help": "A part for each POST /trigger."})
    mqtt: MqttTrigger | None = field(default=None, metadata={"help": "A part for each message of an MQTT topic."})
    modbus: ModbusTrigger | None = field(default=None, metadata={"help": "A controller's coil, over Modbus TCP."})
    gpio: GpioTrigger | None = field(default=None, metadata={"help": "A line of a GPIO chip."})
