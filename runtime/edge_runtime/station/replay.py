"""An event judged again, from the picture that was kept: the same bundle must give the same answer, to the last bit.

One that was NO_READ by its picture is looked at again, and the same must speak against it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import DataError, UsageError
from edge_runtime.inspect.judging import judge
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Judge, Result
from edge_runtime.station.answer import answer_digest
from edge_runtime.station.rules.against import Floor, floor_of
from edge_runtime.station.rules.apply import Ruled, apply
from edge_runtime.station.rules.held import read_down
from edge_runtime.station.rules.things import Picture
from edge_runtime.station.unfit import Unfit, fault_in, health_from_json
from edge_runtime.station.view.noted import view_from_json
from edge_runtime.station.view.view import View, facts_for, moved_by
from edge_runtime.store.reading import Reader
from edge_runtime.vision.settings import Settings

__all__ = ["Replayed", "replay"]


@dataclass(frozen=True)
class Replayed:
    """What was recorded, and what came out now."""

    recorded: dict[str, Any]
    result: Result
    ruled: Ruled

    @property
    def same_verdict(self) -> bool:
        """Whether verdict and reasons are the same."""
        found = (self.ruled.verdict, list(self.ruled.reasons))
        return bool(found == (self.recorded["verdict"], self.recorded["reasons"]))

    @property
    def gated(self) -> int:
        """How many pieces of it were not judged themselves: a gate took an earlier answer, or passed them by."""
        gate = self.recorded.get("looked_at", {}).get("gate", {})
        return int(gate.get("reused", 0) + gate.get("passed", 0))

    @property
    def exact(self) -> bool:
        """Whether the whole answer is, to the last bit."""
        return bool(answer_digest(self.result, self.ruled) == self.recorded["answer"])


OpenJudge = Callable[[Path, Floor], Judge]


def replay(reader: Reader, event_id: str, bundle: Path | None, open_judge: OpenJudge) -> Replayed | Unfit:
    """Judge an event's picture again; `bundle` None: the one that the station had.

    Raises UsageError for an event or bundle that is not there, DataError for an event that has nothing to be judged.
    """
    stored = reader.event(event_id)
    if stored is None:
        raise UsageError(f"the store has no event {event_id}; edge-station query lists them")
    recorded = json.loads(stored.body)
    if "answer" not in recorded and reader.picture(event_id) is None:
        why = ", ".join(recorded["reasons"])
        raise DataError(f"{event_id} was not judged ({why}), and no picture of it was kept: there is nothing to replay")
    image = _picture(reader, event_id)
    had = _what_station_had(reader, recorded["station"], stored.seq)
    if "answer" not in recorded:
        return _looked_at_again(recorded, image, bundle, had)
    if bundle is None and "bundle" not in had:
        raise UsageError(f"the store does not say which bundle {recorded['station']} had; name it with --bundle")
    path, rules = bundle or Path(had["bundle"]), read_down(had.get("rules", ()))
    floor = floor_of(rules, read_bundle(path, check_hashes=False).manifest) if rules else Floor()
    engine = open_judge(path, floor)
    try:
        if engine.bundle_sha256 != recorded["model"]["sha256"]:
            raise UsageError(
                f"the bundle is not the one that judged: its sha256 is {engine.bundle_sha256[:12]}..., the record has "
                f"{recorded['model']['sha256'][:12]}...; name that one with --bundle"
            )
        frame = Frame(recorded["station"], 0, event_id, image)
        if "looked_at" in recorded:
            settings = Settings.of(
                engine.manifest, floor.confidence, everything=floor.everything, min_area=floor.min_area
            )
            frame = View(view_from_json(had.get("view", {})), engine.manifest, settings).of(frame)
        ((_, result),) = judge(engine.run, [frame], 1)
        picture = dataclasses.replace(_seen_as(recorded, image), moved=moved_by(frame))
        facts = facts_for(frame, engine.manifest)
        return Replayed(recorded, result, apply(rules, facts, result, picture, recorded.get("streaks", {})))
    finally:
        engine.close()


def _looked_at_again(
    recorded: dict[str, Any], image: np.ndarray[Any, np.dtype[np.uint8]], bundle: Path | None, had: dict[str, Any]
) -> Unfit:
    """Hold a picture that was not judged against what its station told such pictures by."""
    if "health" not in had:
        raise DataError(f"the store does not say how {recorded['station']} told pictures that are not to be judged")
    found = fault_in(image, health_from_json(had["health"]), recorded)
    if found is None and had.get("view") and (path := bundle or Path(had["bundle"])).exists():
        view = View(view_from_json(had["view"]), read_bundle(path, check_hashes=False).manifest)
        found = view.of(Frame(recorded["station"], 0, recorded["event_id"], image)).error
    return Unfit(recorded, found)


def _picture(reader: Reader, event_id: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    kept = reader.picture(event_id)
    if kept is None:
        raise DataError(f"the picture of {event_id} was not kept, or had to make room for others")
    try:
        data = (reader.folder.pictures / kept.place).read_bytes()
    except OSError as error:
        raise DataError(f"the picture {kept.place} cannot be read: {error.strerror}") from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"the picture {kept.place} is damaged; edge-station verify-log says what else is")
    return np.asarray(image, np.uint8)


def _seen_as(recorded: dict[str, Any], image: np.ndarray[Any, np.dtype[np.uint8]]) -> Picture:
    """The original's size, which a picture may have been decoded smaller than."""
    height, width = image.shape[:2]
    size = recorded.get("picture", {"width": width, "height": height})
    return Picture(size["width"], size["height"], size["width"] / width, size["height"] / height)


def _what_station_had(reader: Reader, station: str, seq: int) -> dict[str, Any]:
    """The bundle and rules of a station as the last note before an entry says that names them; {}: none does."""
    for link in reader.notes():
        note = json.loads(link.body)
        if link.seq < seq and station in note.get("stations", {}):
            return dict(note["stations"][station])
    return {}
