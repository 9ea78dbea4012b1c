"""Tuning one bundle on this machine, phase by phase; what was measured is kept whenever it ends.

1. Contests (contest.py) at the smallest batch: threads, lanes, cores and spinning, for latency, then for throughput;
   then batches of the fastest two.
2. A load without a pause with the winner, until speed and temperature stand still (thermal.py).
3. A duel of what won with plain onnxruntime and with plain onnxruntime's own settings, in the machine's state by then;
   what does not win it is not chosen.
4. What every batch costs beside how many others, for the batching policy; storage while computing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from edge_runtime.errors import EdgelineError
from edge_runtime.plan.measurements import Speeds
from edge_runtime.tune.choice import Choice, Goal
from edge_runtime.tune.compare import LEAST_ROUNDS, pick, ratio
from edge_runtime.tune.contest import PLAIN, Contest, Entrant, Halving, Round
from edge_runtime.tune.label import label
from edge_runtime.tune.samples import Record
from edge_runtime.tune.space import Space, plainness
from edge_runtime.tune.thermal import SPAN, Sustained, Window, is_steady, scatter, sustained
from edge_runtime.tune.tuned import Duel, Provenance, Temperature, Trial, Tuned

__all__ = ["Environment", "Rig", "TellCall", "Tuning"]

# Of the time that is left when a phase begins, so much goes to it; the last one takes what it needs.
_SHARES = {"latency": 0.10, "throughput": 0.18, "batches": 0.18, "load": 0.62, "duel": 0.60, "table": 0.80}
_WINDOW, _SHORTEST_WINDOW, _WINDOWS = 5.0, 0.25, 12
_LEAST_DUEL = 6  # rounds: fewer have no interval with 95 % confidence
_FINALISTS = 3
_TABLE_ROUNDS, _SHORTEST_TURN = 2, 0.03
# Windows, and rounds, that differ by so much say that the machine did something else besides.
_RESTLESS, _WIDE = 0.05, 1.3
_DISTURBED = "was the machine left alone?"
_GOALS: tuple[Goal, ...] = ("latency", "throughput")

# Called with the phase and the part of all that is done, 0..1.
TellCall = Callable[[str, float], None]


class Rig(Protocol):
    """What runs entrants (rig.OrtRig). `default`: what plain onnxruntime is found to do, as a choice."""

    default: Choice

    def __call__(self, entrant: Entrant, seconds: float) -> Round: ...

    def keep(self, choices: list[Choice]) -> None: ...


@dataclass(frozen=True)
class Environment:
    """The machine around the rig. `celsius`: the temperature now. `read_computing`: storage's bytes per second while a
    choice runs, None where that cannot be timed. `throttled`: what holds the clocks down now.
    """

    clock: Callable[[], float]
    stop: Callable[[], bool]
    celsius: Callable[[], float | None]
    read_computing: Callable[[Choice], float | None]
    throttled: Callable[[], tuple[str, ...]]
    speeds: Speeds


@dataclass
class Tuning:
    """One tuning in progress: `run` it, then ask for its `result`, which is there after an interruption, too."""

    rig: Rig
    space: Space
    environment: Environment
    seconds: float
    tell: TellCall
    record: Record = field(default_factory=Record)
    notes: list[str] = field(default_factory=list)
    started: float = field(init=False)
    _phase: str = ""
    _complete: bool = False
    _duels: tuple[Duel, ...] = ()
    _windows: list[Window] = field(default_factory=list)
    _computing: float | None = None

    def __post_init__(self) -> None:
        self.started = self.environment.clock()
        self._start_celsius = self.environment.celsius()
        self._batch = self.space.batches[0]
        self._best: dict[Goal, Choice] = dict.fromkeys(_GOALS, self.rig.default)
        self._fastest: list[Choice] = []
        self._loaded = self.rig.default

    def run(self) -> None:
        """Go through all phases; ends early where `stop` says so. Raises EdgelineError where nothing can run."""
        phases: tuple[tuple[str, Callable[[float], None]], ...] = (
            ("latency", self._latency),
            ("throughput", self._throughput),
            ("batches", self._batches),
            ("load", self._load),
            ("duel", self._duel),
            ("table", self._table),
            ("storage", self._storage),
        )
        for name, phase in phases:
            if self.environment.stop():
                return
            self._phase = name
            left = self.started + self.seconds - self.environment.clock()
            phase(max(left, 0.0) * _SHARES.get(name, 1.0))
        self._complete = not self.environment.stop()

    def result(self, bundle: str, bundle_sha256: str, provenance: Provenance) -> Tuned | None:
        """Return what was measured so far; None if not even plain onnxruntime was."""
        default = self.record.trial(PLAIN, self.rig.default)
        if default is None:
            return None
        trials = [trial for choice in self.record.choices() if (trial := self.record.trial(choice, choice)) is not None]
        latency, throughput = self._best["latency"], self._best["throughput"]
        load = self._sustained(throughput)
        return Tuned(
            schema=1,
            bundle_sha256=bundle_sha256,
            bundle=bundle,
            provenance=provenance,
            latency=latency,
            throughput=throughput,
            default=default,
            trials=tuple(sorted(trials, key=lambda trial: self._place(trial, throughput))),
            speeds=self.environment.speeds,
            computing_read_bytes_per_s=self._computing,
            first_minute_per_s=None if load is None else load.first_minute_per_s,
            steady_per_s=None if load is None else load.steady_per_s,
            steady=load is not None and load.steady,
            temperature=Temperature(self._start_celsius, self.environment.celsius()),
            complete=self._complete,
            duels=self._duels,
            load_seconds=None if load is None else self._windows[-1].end,
            throttled=self.environment.throttled(),
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def _place(self, trial: Trial, throughput: Choice) -> tuple[object, ...]:
        """Sort trials by it: those on the throughput choice's cores last, so that they win in a table by lanes."""
        choice = trial.choice
        return (choice.cores == throughput.cores, choice.threads, choice.spinning, choice.lanes, choice.batch)

    def _sustained(self, throughput: Choice) -> Sustained | None:
        """The load's result, if it was one of what is chosen."""
        return sustained(self._windows) if self._loaded == throughput else None

    # The phases, each with the seconds it should take.

    def _latency(self, seconds: float) -> None:
        entrants = [choice for choice in self._settings() if choice.lanes == 1]
        contest = self._contest("latency")
        ranked = self._hold("latency", contest, entrants, Halving(seconds, _FINALISTS))
        if ranked and contest.rounds >= LEAST_ROUNDS:  # until lanes and batches have been tried
            self._best["throughput"] = self._chosen(contest, ranked, "throughput")

    def _throughput(self, seconds: float) -> None:
        contest = self._contest("throughput")
        self._fastest = self._hold("throughput", contest, self._settings(), Halving(seconds, _FINALISTS))

    def _batches(self, seconds: float) -> None:
        wanted = [choice for found in self._fastest[:2] for choice in self.space.batched(found)]
        if len(set(wanted)) > len(self._fastest[:2]):
            self._hold("throughput", self._contest("throughput"), wanted, Halving(seconds, _FINALISTS))

    def _load(self, seconds: float) -> None:
        """Compute without a pause; ends when nothing changes any more, but not within the first two minutes."""
        choice = self._loaded = self._best["throughput"]
        self.rig.keep([*self._best.values(), self.rig.default, *self._own()])
        began = self.environment.clock()
        window = min(max(seconds / _WINDOWS, _SHORTEST_WINDOW), _WINDOW)
        while not self.environment.stop():
            now = self.environment.clock()
            if now - began >= seconds or (now - began > 2 * SPAN and is_steady(self._windows)):
                break
            turn = self._measure(choice, window)
            end = self.environment.clock()
            self._windows.append(Window(end - began, end - now, turn.images_per_s, self.environment.celsius()))
        if scatter(self._windows) > _RESTLESS:
            self.notes.append(f"the steady state cannot be told from noise: {_DISTURBED}")
        elif not is_steady(self._windows):
            lasted = self.environment.clock() - began
            self.notes.append(f"the steady state was not seen in {lasted:.0f} s of load: give it more with --minutes")

    def _duel(self, seconds: float) -> None:
        """Confirm what won, against plain onnxruntime and its settings; together, as they share their rounds."""
        own = self._own()
        entrants = list(dict.fromkeys((*own, *self._best.values())))
        contest = self._contest("latency")
        contest.duel(entrants, seconds, _LEAST_DUEL)
        if contest.rounds < LEAST_ROUNDS:  # stopped, or no time: the contests' winners stay, unconfirmed
            return
        self.record.hold(contest.turns)
        duels = []
        for goal in _GOALS:
            able = [choice for choice in (*own, self._best[goal]) if choice in contest.turns]
            if able:
                chosen = self._best[goal] = self._chosen(contest, able, goal)
                found = ratio(contest.scores(chosen, goal), contest.scores(PLAIN, goal))
                if found.high > _WIDE * found.low:
                    self.notes.append(f"rounds differed much, so the ratios are not certain: {_DISTURBED}")
                # JSON has no infinity.
                duels.append(Duel(goal, chosen, found.middle, found.low, min(found.high, 1e6), found.rounds))
        self._duels = tuple(duels)
        if self._windows and self._loaded != self._best["throughput"]:
            self.notes.append(f"the speed over time is left out: it was {label(self._loaded)}'s, which lost the duel")

    def _table(self, seconds: float) -> None:
        wanted = [choice for choice in self.space.table(self._best["throughput"]) if not self.record.holds(choice)]
        if not wanted:
            return
        turn = min(max(seconds / (_TABLE_ROUNDS * len(wanted)), _SHORTEST_TURN), 1.0)
        latest = self.environment.clock() + 2 * seconds
        for number in range(_TABLE_ROUNDS):
            for choice in list(wanted):
                first = (choice.lanes, choice.batch) == (1, self._batch)  # no table is one without it
                late = self.environment.clock() > latest and not (first and self.record.trial(choice, choice) is None)
                if self.environment.stop() or (late and number):
                    return
                if late:
                    if self.record.trial(choice, choice) is None:
                        self.notes.append(f"{label(choice)}: not timed, for lack of time: give it more with --minutes")
                    continue
                try:
                    self._measure(choice, turn)
                except EdgelineError as error:
                    wanted.remove(choice)
                    self._failed(choice, str(error))

    def _storage(self, _seconds: float) -> None:
        self._tell()
        self._computing = self.environment.read_computing(self._best["throughput"])

    # What they share.

    def _settings(self) -> list[Choice]:
        return self.space.settings(self._batch)

    def _own(self) -> list[Choice]:
        """Plain onnxruntime's settings, and the same without busy waiting: always among what is compared."""
        default = self.rig.default
        quiet = Choice(default.threads, default.lanes, default.batch, False, default.cores, default.provider)
        return list(dict.fromkeys((quiet, default)))

    def _contest(self, goal: Goal) -> Contest:
        environment = self.environment
        return Contest(goal, self._measure, environment.clock, environment.stop, self._failed, self._own())

    def _hold(self, goal: Goal, contest: Contest, entrants: list[Choice], halving: Halving) -> list[Choice]:
        """Hold a contest, note its winner if its rounds can prove one, and return its finalists, fastest first."""
        ranked = contest.run(entrants, halving)
        if contest.untried:
            self.notes.append(
                f"{len(contest.untried)} settings were not tried for lack of time: give it more with --minutes"
            )
        if ranked and contest.rounds >= LEAST_ROUNDS:
            self._best[goal] = self._chosen(contest, ranked, goal)
        return ranked

    def _chosen(self, contest: Contest, able: list[Choice], goal: Goal) -> Choice:
        default = self.rig.default
        plainest_first = sorted(able, key=lambda choice: plainness(default, choice))
        # Where plain onnxruntime's settings cannot run twice (memory), the plainest that can stands for them.
        reference = default if default in able else plainest_first[0]
        return pick({choice: contest.scores(choice, goal) for choice in able}, plainest_first, reference, self._own())

    def _measure(self, entrant: Entrant, seconds: float) -> Round:
        self._tell()
        turn = self.rig(entrant, seconds)
        self.record.add(self._phase, entrant, turn, self.environment.clock() - self.started)
        return turn

    def _failed(self, choice: Choice, why: str) -> None:
        self.notes.append(f"{label(choice)}: {why}")

    def _tell(self) -> None:
        self.tell(_WORDS[self._phase], min((self.environment.clock() - self.started) / self.seconds, 0.99))


_WORDS = {
    "latency": "threads for one image",
    "throughput": "threads and lanes",
    "batches": "batches",
    "load": "computing without a pause",
    "duel": "confirming against onnxruntime",
    "table": "what each batch costs",
    "storage": "storage while computing",
}
