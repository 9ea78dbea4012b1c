"""From labelled pictures to thresholds, with what is proved of them.

One half of the pictures chooses, the other half proves: what a threshold does on pictures that it was chosen by is too
good to be true. Which half a picture is in is told by its bytes, so the same pictures give the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import DataError
from edge_runtime.inspect.judging import judge
from edge_runtime.inspect.record import scale_of
from edge_runtime.inspect.sources.base import Frame, Source
from edge_runtime.inspect.sources.images import ImageSource
from edge_runtime.results import Judge
from edge_runtime.station.rules.things import Picture
from edge_runtime.station.thresholds.binomial import at_least, at_most, more_to_prove
from edge_runtime.station.thresholds.choose import Costs, Tally, choose, tally
from edge_runtime.station.thresholds.dials import Measured, Panel
from edge_runtime.station.thresholds.labelled import Labelled
from edge_runtime.station.view.view import facts_for, moved_by

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Bars", "Proposal", "Proved", "Rate", "propose"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Bars:
    """What is to be proved of both rates, each with this confidence."""

    escapes: float = 0.01
    overkills: float = 0.05
    confidence: float = 0.95


@dataclass(frozen=True)
class Rate:
    """So many of so many, with the rates between which it lies, each bound with the confidence that was asked for.

    `more`: how many more without another one would prove the bar; None: no number would.
    """

    found: int
    total: int
    low: float
    high: float
    more: int | None

    @staticmethod
    def of(found: int, total: int, bar: float, confidence: float) -> Rate:
        """Compute the bounds."""
        more = more_to_prove(found, total, bar, confidence)
        return Rate(found, total, at_least(found, total, confidence), at_most(found, total, confidence), more)


@dataclass(frozen=True)
class Proved:
    """What becomes of the pictures that prove, with some thresholds; `cost` is that of a part."""

    escapes: Rate
    overkills: Rate
    unread: int
    cost: float


@dataclass(frozen=True)
class Proposal:
    """The thresholds of each dial, and what they and those of now come to; `unreadable`: of how many files why."""

    panel: Panel
    thresholds: tuple[float, ...]
    now: Proved
    then: Proved
    chosen_by: tuple[int, int]  # good and bad ones
    unreadable: tuple[str, ...]


def propose(
    panel: Panel,
    labelled: Sequence[Labelled],
    engine: Judge,
    around: Callable[[Source], Source],
    costs: Costs,
    bars: Bars,
    progress: Progress,
) -> Proposal:
    """Judge every picture, choose, and prove. `around` puts around the pictures' source what the station has there.

    Raises DataError where there are too few pictures.
    """
    truth = {one.path: one.bad for one in labelled}
    measured: list[tuple[str, bool, Measured]] = []
    unreadable: list[str] = []
    for number, frame in enumerate(around(ImageSource("labelled", [one.path for one in labelled]))):
        progress(f"{number} of {len(labelled)}", number, len(labelled))
        ((seen, result),) = judge(engine.run, [frame], 1)
        if seen.image is None or frame.path is None:
            unreadable.append(seen.error or "no picture")
            continue
        answer = panel.measure(result, _picture_of(seen, seen.image), facts_for(seen, panel.facts))
        measured.append((_digest(frame.path), truth[frame.path], answer))
    first, second = _halves(measured)
    start = [dial.now for dial in panel.dials]
    thresholds = choose([one for _, _, one in first], [bad for _, bad, _ in first], start, costs)
    pictures, bad = [one for _, _, one in second], [is_bad for _, is_bad, _ in second]
    now, then = (_proved(tally(pictures, bad, at), costs, bars) for at in (None, thresholds))
    wrong = sum(is_bad for _, is_bad, _ in first)
    return Proposal(panel, thresholds, now, then, (len(first) - wrong, wrong), tuple(unreadable))


def _picture_of(frame: Frame, image: NDArray[np.uint8]) -> Picture:
    height, width = frame.size or image.shape[:2]
    return Picture(width, height, *scale_of(frame), moved_by(frame))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


Rows = list[tuple[str, bool, Measured]]


def _halves(measured: Rows) -> tuple[Rows, Rows]:
    """Half of the good and half of the bad ones each; the same picture twice is in one half."""
    first: Rows = []
    second: Rows = []
    for bad in (False, True):
        rows = [row for row in measured if row[1] == bad]
        digests = sorted({digest for digest, _, _ in rows})
        if len(digests) < 2:
            kind = "with a defect (ng/)" if bad else "of good parts (ok/)"
            raise DataError(
                f"{len(digests)} pictures {kind} that can be judged and are not the same; there must be two at least, "
                "and hundreds to prove anything"
            )
        chosen = set(digests[::2])
        first += [row for row in rows if row[0] in chosen]
        second += [row for row in rows if row[0] not in chosen]
    return first, second


def _proved(found: Tally, costs: Costs, bars: Bars) -> Proved:
    return Proved(
        Rate.of(found.escapes, found.bad, bars.escapes, bars.confidence),
        Rate.of(found.overkills, found.good, bars.overkills, bars.confidence),
        found.unread,
        found.cost(costs),
    )
