"""Settings against each other by successive halving: everything briefly, then the better half for longer.

In every round all that are left take turns, plain onnxruntime always among them, so that whatever happens to the
machine meanwhile happens to all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge_runtime.errors import EdgelineError
from edge_runtime.tune.choice import Choice, Goal
from edge_runtime.tune.compare import Scores, ratio

__all__ = ["PLAIN", "Contest", "Entrant", "Halving", "MeasureCall", "Round", "percentile", "score"]

# A choice, or None: plain onnxruntime, as it opens a model by itself.
Entrant = Choice | None
PLAIN: Entrant = None

# A turn lasts this long, or one batch of every lane if that is longer.
_SHORTEST, _LONGEST = 0.05, 1.0
_DUEL_ROUNDS = 24


@dataclass(frozen=True)
class Round:
    """One turn of one entrant: milliseconds of each batch, and images per second of all lanes together."""

    ms: tuple[float, ...]
    images_per_s: float

    @property
    def p50_ms(self) -> float:
        """Return the median batch's time."""
        return percentile(self.ms, 0.5)


class MeasureCall(Protocol):
    """Runs an entrant for about so many seconds; at least one batch of every lane. Raises EdgelineError."""

    def __call__(self, entrant: Entrant, seconds: float) -> Round: ...


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below or at which `part` of all lie; the values must not be empty."""
    ordered = sorted(values)
    return ordered[min(math.ceil(part * len(ordered)), len(ordered)) - 1] if part > 0 else ordered[0]


def score(goal: Goal, turn: Round) -> float:
    """Return how fast a turn was: more is faster."""
    return turn.images_per_s if goal == "throughput" else 1000.0 / turn.p50_ms


@dataclass(frozen=True)
class Halving:
    """`seconds` for everything, until `final` entrants are left beside the kept; about `rounds` rounds a stage."""

    seconds: float
    final: int
    rounds: int = 4


@dataclass
class Contest:
    """One contest for `goal`. `kept` entrants stay to the end however slow they are.

    `clock` in seconds; `stop` says that somebody wants an end; `failed` is called with an entrant that cannot run, and
    why.
    """

    goal: Goal
    measure: MeasureCall
    clock: Callable[[], float]
    stop: Callable[[], bool]
    failed: Callable[[Choice, str], None]
    kept: Collection[Choice] = ()
    turns: dict[Entrant, dict[int, Round]] = field(default_factory=dict)
    untried: list[Choice] = field(default_factory=list)
    rounds: int = 0

    def run(self, entrants: Sequence[Choice], halving: Halving) -> list[Choice]:
        """Return the last entrants, fastest first; those that time ran out for are in `untried`.

        Raises EdgelineError where plain onnxruntime itself cannot run.
        """
        left = list(dict.fromkeys((*self.kept, *entrants)))
        final, others, stages = max(halving.final, 1), len(set(left) - set(self.kept)), 1
        while others / 2 ** (stages - 1) > final:
            stages += 1
        ends = self.clock()
        for stage in range(stages):
            ends = max(ends, self.clock()) + halving.seconds / stages
            left = self._stage(left, ends, halving, first=stage == 0)
            if self.stop():
                break
            others = max(final, math.ceil(others / 2))
            left = self._best(left, final if stage >= stages - 2 else others)
        return self._ranked(left)

    def duel(self, entrants: Sequence[Choice], seconds: float, least: int) -> None:
        """Let entrants take turns for so many seconds, `least` rounds if that is not three times as long.

        None of them is dropped.
        """
        now = self.clock()
        ends, latest = now + seconds, now + 3 * seconds
        slice_seconds = _slice(seconds, len(entrants) + 1, _DUEL_ROUNDS)
        left, began = list(entrants), True
        while not self.stop() and (began or self.clock() < (latest if self.rounds < least else ends)):
            left = self._round(left, slice_seconds, math.inf)
            began = False

    def scores(self, entrant: Entrant, goal: Goal | None = None) -> Scores:
        """Return how fast one entrant was in each round, for the contest's goal or another."""
        turns = self.turns.get(entrant, {})
        return {number: score(goal or self.goal, turn) for number, turn in turns.items()}

    def _stage(self, left: list[Choice], ends: float, halving: Halving, first: bool) -> list[Choice]:
        slice_seconds = _slice(ends - self.clock(), len(left) + 1, halving.rounds)
        began = True
        while not self.stop() and (began or self.clock() < ends):
            # The very first round has to let everybody run once, but not for ever: slow models have long batches.
            left = self._round(left, slice_seconds, ends + halving.seconds if first and began else math.inf)
            began = False
        return left

    def _round(self, left: list[Choice], seconds: float, deadline: float) -> list[Choice]:
        """Give everybody one turn, beginning with another one each time; returns those that could run."""
        order = left[self.rounds % max(len(left), 1) :] + left[: self.rounds % max(len(left), 1)]
        gone: set[Choice] = set()
        self._turn(PLAIN, seconds)
        for choice in order:
            if self.stop():
                break
            if self.clock() > deadline and choice not in self.kept:
                self.untried.append(choice)
                gone.add(choice)
                continue
            try:
                self._turn(choice, seconds)
            except EdgelineError as error:
                self.failed(choice, str(error))
                gone.add(choice)
        self.rounds += 1
        return [choice for choice in left if choice not in gone]

    def _turn(self, entrant: Entrant, seconds: float) -> None:
        self.turns.setdefault(entrant, {})[self.rounds] = self.measure(entrant, seconds)

    def _ranked(self, choices: Sequence[Choice]) -> list[Choice]:
        measured = [choice for choice in choices if choice in self.turns]
        return sorted(measured, key=lambda choice: -ratio(self.scores(choice), self.scores(PLAIN)).middle)

    def _best(self, choices: Sequence[Choice], count: int) -> list[Choice]:
        """Return whoever is kept, and the `count` fastest of the others."""
        kept = [choice for choice in choices if choice in self.kept]
        return kept + [choice for choice in self._ranked(choices) if choice not in self.kept][:count]


def _slice(seconds: float, turns: int, rounds: int) -> float:
    return min(max(seconds / (turns * rounds), _SHORTEST), _LONGEST)
