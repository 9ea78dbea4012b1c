"""Compute only where it matters: what has not changed keeps its answer, and a look at the whole chooses the tiles.

Both lose something in principle, so both are off unless a recipe asks for them, and run only with a file that says what
was lost on the user's own pictures (proof.py).
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.results import Result
from edge_runtime.station.view.noise import Difference, exceeds
from edge_runtime.station.view.settings import GateSettings
from edge_runtime.station.view.tiling import Rect
from edge_runtime.vision.verdict import judge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Gate", "Outcome"]

_AROUND = 8  # pixels of the reduced picture around what the global pass found: its boxes are as rough as that


@dataclass(frozen=True)
class Outcome:
    """What became of a picture's pieces: `judged` in full, `reused`: as an earlier picture, `passed`: by the whole.

    `scouted`: whether the whole was looked at for it.
    """

    judged: int
    reused: int = 0
    passed: int = 0
    scouted: bool = False

    @property
    def runs(self) -> int:
        """How many pictures went through the model."""
        return self.judged + self.scouted

    @property
    def whole(self) -> bool:
        """Whether all of the picture was judged in full, as without a gate."""
        return not (self.reused or self.passed)


@dataclass
class _Seen:
    picture: NDArray[np.uint8]
    result: Result
    reused: int = 0


class Gate:
    """Decides which pieces of one station's pictures go to the model. Several threads may use it."""

    def __init__(self, settings: GateSettings, noise: Difference | None, facts: ModelFacts, confidence: float) -> None:
        """`noise` None: nothing is ever the same. A find counts from `confidence` on, the whole shows more."""
        self._settings, self._noise, self._facts, self._confidence = settings, noise, facts, confidence
        self._lock = threading.Lock()
        self._seen: dict[Rect, _Seen] = {}

    def answers(
        self, pieces: Sequence[Rect], cuts: Sequence[NDArray[np.uint8]], region: Rect, whole: NDArray[np.uint8]
    ) -> Generator[Sequence[NDArray[np.uint8]], Sequence[Result], tuple[list[Result], Outcome]]:
        """Yield what goes to the model; return an answer for each piece. `whole` is the region, `cuts` its pieces."""
        known = [self._known(rect, cut) for rect, cut in zip(pieces, cuts, strict=True)]
        left = [number for number, answer in enumerate(known) if answer is None]
        reused, passed = len(pieces) - len(left), []
        scouted = self._settings.scout is not None and len(left) > 1
        if scouted:
            (overview,) = yield [whole]
            visited = set(self._visited(overview, pieces, region))
            passed = [number for number in left if number not in visited]
            left = [number for number in left if number in visited]
        judged: Sequence[Result] = (yield [cuts[number] for number in left]) if left else ()
        fresh = {number: self._counted(result, 0.0) for number, result in zip(left, judged, strict=True)}
        kept = {
            number: self._counted(result, self._settings.margin) for number, result in zip(left, judged, strict=True)
        }
        nothing = {number: self._nothing() for number in passed}
        fresh |= nothing
        self._remember(pieces, cuts, {n: one for n, one in kept.items() if not self._undecided(one)} | nothing)
        results = [fresh[number] if answer is None else answer for number, answer in enumerate(known)]
        return results, Outcome(len(left), reused, len(passed), scouted)

    def _known(self, rect: Rect, cut: NDArray[np.uint8]) -> Result | None:
        """The last answer for a piece that has not changed since it was judged."""
        with self._lock:
            seen = self._seen.get(rect)
        if self._noise is None or seen is None or seen.reused >= self._settings.again:
            return None
        if exceeds(seen.picture, cut, self._noise):
            return None
        with self._lock:
            seen.reused += 1
        return dataclasses.replace(seen.result, timing_ms={})

    def _remember(self, pieces: Sequence[Rect], cuts: Sequence[NDArray[np.uint8]], fresh: dict[int, Result]) -> None:
        if self._noise is None:
            return
        with self._lock:
            # Held against the picture that was judged, not the last one: what changes little by little is seen too.
            seen = {rect: self._seen[rect] for rect in pieces if rect in self._seen}
            seen |= {pieces[number]: _Seen(cuts[number].copy(), result) for number, result in fresh.items()}
            self._seen = seen

    def _visited(self, overview: Result, pieces: Sequence[Rect], region: Rect) -> list[int]:
        """The tiles at which the global pass found something, however unsure it was."""
        spec = self._facts.preprocess
        if spec is None or self._settings.scout is None:
            return list(range(len(pieces)))
        across, down = _AROUND * region.width / spec.width, _AROUND * region.height / spec.height
        boxes = [one.box for one in overview.predictions if one.confidence >= self._settings.scout]
        return [
            number
            for number, rect in enumerate(pieces)
            if any(
                box.x1 + region.left - across < rect.right
                and box.x2 + region.left + across > rect.left
                and box.y1 + region.top - down < rect.bottom
                and box.y2 + region.top + down > rect.top
                for box in boxes
                if box is not None
            )
        ]

    def _counted(self, result: Result, margin: float) -> Result:
        """A result with what counts alone, and what is below that by a margin as if it did.

        From picture to picture of one scene scores move a little; one answer for all has what any of them may show.
        """
        if not isinstance(self._facts.postprocess, Detect) or result.verdict == "NO_READ":
            return result
        found = tuple(
            dataclasses.replace(one, confidence=max(one.confidence, self._confidence))
            for one in result.predictions
            if one.confidence >= self._confidence - margin
        )
        verdict, reasons = judge(self._facts.verdict, self._confidence, found, result.score)
        return dataclasses.replace(result, verdict=verdict, reasons=reasons, predictions=found)

    def _undecided(self, result: Result) -> bool:
        """Whether another picture of the scene may well be judged otherwise, where that is told by one score."""
        return result.score is not None and abs(result.score - self._confidence) < self._settings.margin

    def _nothing(self) -> Result:
        verdict, reasons = judge(self._facts.verdict, self._confidence, ())
        return Result(verdict, reasons, ())
