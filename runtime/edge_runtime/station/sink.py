"""From judged frames to events in the store, with their pictures where they are kept."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.inspect.record import Record, event_id, scale_of, utc_text
from edge_runtime.inspect.secret import Hider
from edge_runtime.inspect.sources.base import Frame, now_utc
from edge_runtime.results import Result
from edge_runtime.station.answer import answer_digest
from edge_runtime.station.awaited import Awaited
from edge_runtime.station.clock import Clock
from edge_runtime.station.figures import Figures
from edge_runtime.station.parts.decide import INCOMPLETE, View
from edge_runtime.station.parts.gather import Gather, Gathered
from edge_runtime.station.parts.part import Part, PartFrame
from edge_runtime.station.parts.part_id import part_names, with_required
from edge_runtime.station.png import encode_png
from edge_runtime.station.recipe.recipe import Station
from edge_runtime.station.rules.against import usual
from edge_runtime.station.rules.apply import apply
from edge_runtime.station.rules.things import Picture
from edge_runtime.station.service.pulse import Pulse
from edge_runtime.station.view.view import facts_for, moved_by
from edge_runtime.store.entries import Event, PartVerdict
from edge_runtime.store.pictures import PictureKeeper
from edge_runtime.store.shelf import sampled
from edge_runtime.store.writer import Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Shared", "StationSink"]


@dataclass(frozen=True)
class Shared:
    """What the stations of a process have in common."""

    writer: Writer
    keeper: PictureKeeper
    clock: Clock
    hider: Hider
    awaited: Mapping[str, Awaited]  # by station: who waits for a verdict on which part
    pulse: Pulse


@dataclass(frozen=True, eq=False)
class _Judged:
    """A frame with its record, as it is remembered until its part is decided."""

    frame: Frame
    record: Record
    judged_s: float


class StationSink:
    """A sink (inspect/sinks/base.py): frames of a part become one event, a frame without a part is one by itself."""

    def __init__(
        self,
        name: str,
        station: Station,
        live: bool,
        shared: Shared,
        figures: Figures,
        facts: ModelFacts,
        everything: bool = False,
    ) -> None:
        """`live`: the source does not wait for a picture to be written. `facts` are those of the model that judges.

        `everything`: its engine returns what rules of other stations ask for, too.
        """
        self._name, self._station, self._live = name, station, live
        self._shared, self._figures = shared, figures
        self._gather: Gather[_Judged] = Gather(station.verdict)
        self._names = part_names(station.part_id)
        self._facts = facts
        self._less = everything and not station.rules
        self._streaks: Mapping[str, int] = {}
        self._newest: Record | None = None  # without its picture: that is let go of
        self._good = 0

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Hand what is decided to the store. Raises StoreError once that takes nothing any more."""
        self._shared.pulse.told(self._name)
        if frame.image is not None:
            record = self._ruled(frame, frame.image, result, record)
        judged = _Judged(frame, self._in_time(frame, record), time.monotonic())
        record = self._newest = judged.record
        if not isinstance(frame, PartFrame):
            told = {"verdict": record["verdict"], "reasons": record["reasons"], "part": None}
            self._tell(judged, self._named(told, [frame]))
            return
        # Sharpness costs a pass over the picture: where nobody asks, nobody pays.
        sharp = _sharpness(frame.image) if self._station.verdict in ("sharpest", "majority") else 0.0
        view = View(record["verdict"], tuple(record["reasons"]), sharp)
        for gathered in self._gather.add(frame.part, frame.last, view, judged):
            self._tell_part(gathered)

    def _ruled(self, frame: Frame, image: NDArray[np.uint8], result: Result, record: Record) -> Record:
        """Return the record as the station's rules have it, with what a replay needs."""
        height, width = frame.size or image.shape[:2]
        picture = Picture(width, height, *scale_of(frame), moved_by(frame))
        before = self._streaks
        facts = self._facts if frame.looking is None else facts_for(frame, self._facts)
        ruled = apply(self._station.rules, facts, result, picture, before)
        if self._less:
            ruled = dataclasses.replace(ruled, shown=usual(facts, result.predictions))
        self._streaks = ruled.streaks
        predictions = record["predictions"]
        return {
            **record,
            "verdict": ruled.verdict,
            "reasons": list(ruled.reasons),
            "predictions": [predictions[number] for number in ruled.shown],
            "picture": {"width": width, "height": height},
            **({} if frame.looking is None else {"looked_at": frame.looking.to_json()}),
            "answer": answer_digest(result, ruled),
            **({"streaks": dict(before)} if ruled.streaks else {}),
        }

    def _in_time(self, frame: Frame, record: Record) -> Record:
        """Return the record as it is, or as that of a picture that was judged too late: of the past nothing is OK."""
        deadline, age = self._station.deadline, time.monotonic() - frame.taken_s
        if deadline is None or not self._live or frame.image is None or age <= deadline:
            return record
        late = f"late: judged {age:.2f} s after it was taken, its deadline is {deadline:.2f} s"
        told = {name: value for name, value in record.items() if name != "answer"}  # nothing that a replay must find
        return {**told, "verdict": "NO_READ", "reasons": [late, *record["reasons"]]}

    def close(self) -> None:
        """Hand over the part that was being looked at; what was handed over is the store's."""
        for gathered in self._gather.end():
            self._tell_part(gathered)

    def _tell_part(self, gathered: Gathered[_Judged]) -> None:
        part = {"part": gathered.part.id, "part_number": gathered.part.number}
        if gathered.decision is None:
            self._tell(self._unseen(gathered.part), part)
            return
        decision, frames = gathered.decision, gathered.frames
        told: dict[str, Any] = {"verdict": decision.verdict, "reasons": list(decision.reasons), **part}
        if len(frames) > 1:
            told["frames"] = [_brief(judged.record) for judged in frames]
        self._tell(frames[decision.view], self._named(told, [judged.frame for judged in frames]))

    def _named(self, told: dict[str, Any], frames: Sequence[Frame]) -> dict[str, Any]:
        """Give a part its name, or the reason why it has none, and what follows from that."""
        if self._names is None:
            return told
        named = self._names.of(frames).beside(told["part"])
        verdict, reasons = with_required(told["verdict"], told["reasons"], named, self._names.required)
        why = {} if named.reason is None else {"part_reason": named.reason}
        return {**told, "verdict": verdict, "reasons": reasons, "part": named.id, **why}

    def _unseen(self, part: Part) -> _Judged:
        """What stands for a part of which no frame was judged in time: it is NO_READ, and not forgotten."""
        last = self._newest
        moment = now_utc()
        frame = Frame(self._name, part.number, "unseen", error=INCOMPLETE)
        record: Record = {
            "schema": 1 if last is None else last["schema"],
            "event_id": event_id(moment),
            "ts_utc": utc_text(moment),
            "source": self._name if last is None else last["source"],
            "image": None,
            "frame_id": None,
            "verdict": "NO_READ",
            "reasons": [INCOMPLETE],
            "predictions": [],
            "model": None if last is None else last["model"],
        }
        return _Judged(frame, record, time.monotonic())

    def _tell(self, judged: _Judged, more: dict[str, Any]) -> None:
        """Make an event of a frame that stands for a part, and keep its picture where that is wanted."""
        frame, moment = judged.frame, judged.judged_s
        lag = 1000 * (moment - frame.taken_s)
        clock = self._shared.clock.reading(frame.taken_s, moment)
        body = {**judged.record, "station": self._name, "lag_ms": round(lag, 2), "clock": clock, **more}
        event = Event.of(self._shared.hider.json(body))
        ticket = self._shared.writer.put(event)
        if "part_number" in more:
            self._shared.awaited[self._name].tell(more["part_number"], event, ticket)
        self._figures.add(event, moment, lag)
        if frame.shown is not None and self._wanted(event.verdict):
            self._shared.keeper.offer(event, frame.shown, encode_png, wait=not self._live)

    def _wanted(self, verdict: PartVerdict) -> bool:
        pictures = self._station.pictures
        if verdict == "OK":
            self._good += 1
            return sampled(self._good - 1, pictures.ok_every)
        return pictures.no_read if verdict == "NO_READ" else pictures.ng


def _brief(record: Record) -> dict[str, Any]:
    return {name: record[name] for name in ("frame_id", "verdict", "reasons")}


def _sharpness(image: NDArray[np.uint8] | None) -> float:
    """The variance of the Laplacian of a picture: of two views of one part the sharper one has more of it."""
    if image is None:
        return 0.0
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(gray, cv2.CV_32F).var())
