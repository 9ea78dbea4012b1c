"""What a recipe says, as dataclasses: the keys of the file are their fields, and nothing else is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from edge_runtime.inspect.secret import Address
from edge_runtime.inspect.sources.options import FileOrder, Transport
from edge_runtime.inspect.suffixes import WATCHED
from edge_runtime.outputs.settings import OutputEntry
from edge_runtime.station.parts.decide import PartRule
from edge_runtime.station.parts.settings import PartIdEntry
from edge_runtime.station.rules.settings import Rule
from edge_runtime.station.triggers.settings import TriggerEntry
from edge_runtime.station.updates.settings import Updates
from edge_runtime.station.view.settings import GateSettings, Mask, Reference, Region, Tiles, ViewSettings

__all__ = ["NAMES", "Pictures", "Recipe", "Station", "Storage", "Stream", "Watch"]

NAMES = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"  # of stations: they become names of folders, topics, metrics
_GB = 10**9


@dataclass(frozen=True)
class Storage:
    """Where records and pictures lie, and how much of pictures."""

    SHORT: ClassVar[str] = "path"

    path: Path = field(metadata={"help": "The store's folder. It is made where it is not there."})
    records: int = field(
        default=8 * _GB,
        metadata={"unit": "size", "help": "Most bytes of records; the oldest that every output was told of go first."},
    )
    pictures: int = field(
        default=2 * _GB, metadata={"unit": "size", "help": "Most bytes of all pictures together; the oldest go first."}
    )
    pictures_a_day: int = field(
        default=4 * _GB, metadata={"unit": "size", "help": "Most bytes of pictures written on one day: SD cards wear."}
    )


@dataclass(frozen=True)
class Pictures:
    """Which pictures of a station are kept, within the store's limits."""

    ok_every: int = field(default=100, metadata={"help": "Of parts that are OK each Nth; 1: all, 0: none."})
    ng: bool = field(default=True, metadata={"help": "Those of parts that are NG or WARN."})
    no_read: bool = field(default=True, metadata={"help": "Those that were not judged, where there is one."})

    def __post_init__(self) -> None:
        """Raise ValueError for less than none."""
        if self.ok_every < 0:
            raise ValueError("ok_every is the N of each Nth part, 0 for none; it cannot be less")


@dataclass(frozen=True)
class Watch:
    """How pictures are taken from a watched folder, source: watch:FOLDER."""

    done: Path | None = field(
        default=None, metadata={"help": "Where judged files are moved to, on the same disk. Without it they stay."}
    )
    order: FileOrder = field(default="time", metadata={"help": "By when they were written, or by name."})
    settle: float = field(
        default=0.5, metadata={"unit": "seconds", "help": "A file is read that has not changed for so long."}
    )
    whole_within: float = field(
        default=10.0, metadata={"unit": "seconds", "help": "One that is no whole picture by then is NO_READ."}
    )


@dataclass(frozen=True)
class Stream:
    """How a network camera's stream is received."""

    transport: Transport = field(
        default="tcp", metadata={"help": "RTSP over TCP, or over UDP: less delay, and packets that are lost."}
    )
    hardware: bool = field(
        default=False, metadata={"help": "Decoded by a device where one can; it tells less of damaged pictures."}
    )


@dataclass(frozen=True)
class Station:
    """One place on the line: what is looked at, what judges it, who is told."""

    STANDS: ClassVar[bool] = True

    source: Address = field(
        metadata={"help": "Camera (0, /dev/video0), RTSP or HTTP URL, video, picture, folder, pattern, watch:FOLDER."}
    )
    bundle: Path = field(metadata={"help": "The model's bundle, NAME.edge, or FOLDER/current, which is updated."})
    watch: Watch = field(default=Watch(), metadata={"help": "How pictures are taken from a watched folder."})
    stream: Stream = field(default=Stream(), metadata={"help": "How a network camera's stream is received."})
    health: Path | None = field(
        default=None, metadata={"help": "What good pictures are like, a file that edge-station learn writes."}
    )
    frozen: float | None = field(
        default=None,
        metadata={"unit": "seconds", "help": "A source that repeats one picture for so long is frozen. Cameras: 10s."},
    )
    deadline: float | None = field(
        default=None,
        metadata={
            "unit": "seconds",
            "help": "A camera's picture judged later than this after it was taken is NO_READ.",
        },
    )
    region: Region | None = field(
        default=None, metadata={"help": "The part of the picture that is judged. Without it all of it is."}
    )
    mask: Mask | None = field(default=None, metadata={"help": "What of it is not judged."})
    tiles: Tiles | None = field(
        default=None, metadata={"help": "Judge it in pieces, each as large as what the model takes; seams do not show."}
    )
    reference: Reference | None = field(
        default=None, metadata={"help": "What pictures are held against: what has moved too far is NO_READ."}
    )
    gate: GateSettings | None = field(
        default=None, metadata={"help": "Judge only what has changed, or where a first look finds something."}
    )
    trigger: TriggerEntry | None = field(
        default=None, metadata={"help": "What says that a part is there. Without it each frame is a part."}
    )
    rules: Mapping[str, Rule] = field(
        default_factory=dict,
        metadata={"words": NAMES, "help": "What makes a frame NG or WARN, by name. Without rules the bundle says it."},
    )
    verdict: PartRule = field(default="worst", metadata={"help": "How the frames of a part come to one verdict."})
    part_id: PartIdEntry | None = field(
        default=None, metadata={"help": "Where a part's name is, if not in the trigger."}
    )
    outputs: tuple[OutputEntry, ...] = field(default=(), metadata={"help": "Who is told of verdicts."})
    pictures: Pictures = field(default=Pictures(), metadata={"help": "Which pictures are kept."})

    @property
    def view(self) -> ViewSettings:
        """How its pictures are looked at."""
        return ViewSettings(self.region, self.mask, self.tiles, self.reference, self.gate)

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be together."""
        if self.trigger is not None and self.source.reveal().startswith(WATCHED):
            raise ValueError("each picture that is dropped into a watched folder is a part; leave out trigger")


@dataclass(frozen=True)
class Recipe:
    """All of it."""

    STANDS: ClassVar[bool] = True

    store: Storage = field(metadata={"help": "Records and pictures."})
    stations: Mapping[str, Station] = field(metadata={"words": NAMES, "help": "The stations, by name."})
    updates: Updates = field(
        default=Updates(), metadata={"help": "When a new version of a bundle (FOLDER/current) is confirmed."}
    )
