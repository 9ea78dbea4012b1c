"""What a gate saves and loses, measured on a user's own pictures: each is judged with it and without."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import DataError
from edge_runtime.inspect.judging import judge
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.inspect.sources.open import open_source
from edge_runtime.inspect.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from edge_runtime.results import Box, Judge, Prediction, Result
from edge_runtime.station.view.gate import Gate
from edge_runtime.station.view.noise import Difference, difference, learnt_noise
from edge_runtime.station.view.settings import GateSettings, ViewSettings
from edge_runtime.station.view.view import Aim, View
from edge_runtime.vision.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Measured", "Sequences", "learn", "measure", "sequences", "upper_bound"]

_ALIKE = 0.5  # IoU of the same find with and without the gate
_SURE = 0.95

# Each in the order in which the camera gave them, with whether what is found there is a defect (False: labelled OK).
Sequences = Sequence[tuple[Path, bool]]


@dataclass(frozen=True)
class Measured:
    """Counts of all sequences together. `found`: defects that are found without the gate, `lost`: those with it not.

    `runs`: pictures that went through the model; `escaped`: of pictures that are NG without the gate, those that are
    not with it; `overkill`: of those that are not NG without it, those that are. Seconds are of the judging, comparing
    included.
    """

    pictures: int = 0
    unread: int = 0
    full_runs: int = 0
    runs: int = 0
    full_s: float = 0.0
    seconds: float = 0.0
    found: int = 0
    lost: int = 0
    ng: int = 0
    escaped: int = 0
    overkill: int = 0

    @property
    def saved(self) -> float:
        """Which part of the model's runs was saved, 0..1."""
        return 1 - self.runs / self.full_runs if self.full_runs else 0.0

    @property
    def loss(self) -> float:
        """Which part of the defects was lost, 0..1; of pictures where the model finds no places."""
        return max(self.lost / max(self.found, 1), self.escaped / max(self.ng, 1))

    @property
    def most(self) -> float:
        """What the loss is at most, at 95 %, were each find a chance of its own."""
        return upper_bound(self.lost, self.found) if self.found else upper_bound(self.escaped, self.ng)

    def to_json(self) -> dict[str, Any]:
        """All of it, and what follows from it."""
        figures = dataclasses.asdict(self) | {"saved": self.saved, "loss": self.loss, "most": self.most}
        return {name: round(value, 6) for name, value in figures.items()}


def upper_bound(lost: int, found: int) -> float:
    """Return the largest share with which so few, or fewer, of so many are still lost in 5 % of cases (exact)."""
    if found == 0 or lost >= found:
        return 1.0
    low, high = lost / found, 1.0
    for _ in range(60):
        share = (low + high) / 2
        chance = sum(_binomial(count, found, share) for count in range(lost + 1))
        low, high = (share, high) if chance > 1 - _SURE else (low, share)
    return high


def _binomial(count: int, of: int, share: float) -> float:
    ways = math.lgamma(of + 1) - math.lgamma(count + 1) - math.lgamma(of - count + 1)
    return math.exp(ways + count * math.log(max(share, 1e-300)) + (of - count) * math.log(max(1 - share, 1e-300)))


def sequences(folder: Path) -> list[tuple[Path, bool]]:
    """Return the films of a folder and its pictures, as one sequence in the order of their names.

    In folders `ok` and `ng` they are labelled by that; without these, whatever is found counts as a defect. Raises
    DataError where there is nothing.
    """
    labelled = [(folder / name, name != "ok") for name in ("ok", "ng") if (folder / name).is_dir()]
    found: list[tuple[Path, bool]] = []
    for place, bad in labelled or [(folder, True)]:
        files = sorted(path for path in place.iterdir() if path.is_file())
        found += [(path, bad) for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
        if any(path.suffix.lower() in IMAGE_SUFFIXES for path in files):
            found.append((place, bad))
    if not found:
        raise DataError(f"{folder} has no films and no pictures; put them there, or into ok/ and ng/ in it")
    return found


def learn(view: ViewSettings, engine: Judge, given: Sequences) -> Difference | None:
    """Return by how much pictures of one scene differ at most; None where no two in a row show the same."""
    plain = View(dataclasses.replace(view, gate=None), engine.manifest)
    differences: list[Difference] = []
    for path, _ in given:
        last: list[NDArray[np.uint8]] = []
        for frame in _frames(path):
            aimed = plain.of(frame)
            if aimed.image is None or not isinstance(aimed.looking, Aim):
                last = []
                continue
            cuts = [aimed.looking.cut(aimed.image, piece.rect) for piece in aimed.looking.pieces]
            if len(last) == len(cuts):
                pairs = zip(last, cuts, strict=True)
                differences += [difference(old, new) for old, new in pairs if old.shape == new.shape]
            last = cuts
    return learnt_noise(differences)


def measure(
    view: ViewSettings,
    gate: GateSettings,
    noise: Difference | None,
    engine: Judge,
    settings: Settings,
    given: Sequences,
) -> Measured:
    """Judge every picture with the gate and without. `settings`: what counts, as the station has it."""
    facts, plain = engine.manifest, dataclasses.replace(view, gate=None)
    # The engine sees more than counts: a gate that lets everything pass leaves that out.
    full = View(plain, facts, settings, Gate(GateSettings(), None, facts, settings.confidence))
    total = Measured()
    for path, bad in given:
        # What an earlier sequence has shown is no memory of this one.
        gated = View(plain, facts, settings, Gate(gate, noise if gate.unchanged else None, facts, settings.confidence))
        for frame in _frames(path):
            total = _add(total, _judged(engine, full, frame, settings), _judged(engine, gated, frame, settings), bad)
    return total


@dataclass(frozen=True)
class _One:
    read: bool
    result: Result
    runs: int
    seconds: float


def _judged(engine: Judge, view: View, frame: Frame, settings: Settings) -> _One:
    started = time.perf_counter()
    aimed = view.of(frame)
    ((judged, result),) = judge(engine.run, [aimed], 1)
    seconds = time.perf_counter() - started
    aim = aimed.looking
    runs = 0
    if isinstance(aim, Aim):
        runs = len(aim.pieces) if aim.outcome is None else aim.outcome.runs
    found = tuple(one for one in result.predictions if one.confidence >= settings.confidence)
    return _One(judged.image is not None, dataclasses.replace(result, predictions=found), runs, seconds)


def _add(total: Measured, full: _One, gated: _One, bad: bool) -> Measured:
    if not full.read:
        return dataclasses.replace(total, pictures=total.pictures + 1, unread=total.unread + 1)
    is_ng = bad and full.result.verdict == "NG"
    defects = full.result.predictions if is_ng else ()
    return Measured(
        total.pictures + 1,
        total.unread,
        total.full_runs + full.runs,
        total.runs + gated.runs,
        total.full_s + full.seconds,
        total.seconds + gated.seconds,
        total.found + len(defects),
        total.lost + _missing(defects, gated.result.predictions),
        total.ng + is_ng,
        total.escaped + (is_ng and gated.result.verdict != "NG"),
        total.overkill + (full.result.verdict != "NG" and gated.result.verdict == "NG"),
    )


def _missing(wanted: Sequence[Prediction], found: Sequence[Prediction]) -> int:
    """How many are not among those that were found, each of which stands for one."""
    free, missing = list(found), 0
    for one in wanted:
        match = next((other for other in free if _same(one, other)), None)
        if match is None:
            missing += 1
        else:
            free.remove(match)
    return missing


def _same(one: Prediction, other: Prediction) -> bool:
    if one.class_id != other.class_id:
        return False
    return one.box is None or other.box is None or _iou(one.box, other.box) >= _ALIKE


def _iou(one: Box, other: Box) -> float:
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    both = max(width, 0.0) * max(height, 0.0)
    areas = [(box.x2 - box.x1) * (box.y2 - box.y1) for box in (one, other)]
    return both / (sum(areas) - both) if both else 0.0


def _frames(path: Path) -> Iterator[Frame]:
    with contextlib.closing(open_source(str(path))) as source:
        yield from source
