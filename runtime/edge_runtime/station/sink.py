"""From a judged frame to an event in the store, with its picture where one is kept."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.errors import OutputError
from edge_runtime.inspect.record import Record
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Result
from edge_runtime.station.answer import answer_digest
from edge_runtime.station.clock import Clock
from edge_runtime.station.figures import Figures
from edge_runtime.station.recipe.recipe import Pictures
from edge_runtime.station.recipe.secret import Hider
from edge_runtime.store.entries import Event, PartVerdict
from edge_runtime.store.pictures import PictureKeeper
from edge_runtime.store.shelf import sampled
from edge_runtime.store.writer import Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Shared", "StationSink"]

_FASTEST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True)
class Shared:
    """What the stations of a process have in common."""

    writer: Writer
    keeper: PictureKeeper
    clock: Clock
    hider: Hider


class StationSink:
    """A sink (inspect/sinks/base.py): each frame is a part of its own, and its verdict the part's."""

    def __init__(self, station: str, pictures: Pictures, live: bool, shared: Shared, figures: Figures) -> None:
        """`live`: the source does not wait for a picture to be written."""
        self._station, self._pictures, self._live = station, pictures, live
        self._shared, self._figures = shared, figures
        self._good = 0

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Hand the event to the store. Raises StoreError once that takes nothing any more."""
        judged = time.monotonic()
        lag = 1000 * (judged - frame.taken_s)
        body: Record = {
            **record,
            "station": self._station,
            "part": None,
            "lag_ms": round(lag, 2),
            "clock": self._shared.clock.reading(frame.taken_s, judged),
        }
        if frame.image is not None:
            body["answer"] = answer_digest(result)
        event = Event.of(self._shared.hider.json(body))
        self._shared.writer.put(event)
        self._figures.add(event, judged, lag)
        if frame.shown is not None and self._wanted(event.verdict):
            self._shared.keeper.offer(event, functools.partial(_png, frame.shown), wait=not self._live)

    def close(self) -> None:
        """What was handed over is the store's."""

    def _wanted(self, verdict: PartVerdict) -> bool:
        if verdict == "OK":
            self._good += 1
            return sampled(self._good - 1, self._pictures.ok_every)
        return self._pictures.no_read if verdict == "NO_READ" else self._pictures.ng


def _png(image: NDArray[np.uint8]) -> bytes:
    """Every pixel as it was judged, so that it can be judged again."""
    done, data = cv2.imencode(".png", image, _FASTEST)
    if not done:
        raise OutputError(f"cannot encode a picture of {image.shape[1]}x{image.shape[0]} as PNG")
    return data.tobytes()
