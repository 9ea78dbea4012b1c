"""A machine that exists on paper: settings have a speed, time passes when something runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from edge_devices import Core
from edge_runtime.errors import EngineError
from edge_runtime.plan.measurements import Speeds
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.contest import Entrant, Round
from edge_runtime.tune.space import Space, default_choice
from edge_runtime.tune.tune import Environment, Tuning
from edge_runtime.tune.tuned import Provenance, Temperature, Trial, Tuned

CPU = "CPUExecutionProvider"
Speed = Callable[[Choice], float]


class PaperRig:
    """Runs choices at `speed` images per second, each turn made up to 100 `noise` % slower, plain onnxruntime too."""

    def __init__(self, speed: Speed, threads: int = 2, noise: float = 0.0, batch: int = 1) -> None:
        self.default = default_choice(threads, batch, CPU)
        self.now = 1000.0
        self.turns: list[Entrant] = []
        self.broken: set[Choice] = set()
        self.stop_after: int | None = None
        self.kept: list[Choice] = []
        self._speed, self._noise, self._random = speed, noise, random.Random(7)

    def clock(self) -> float:
        return self.now

    def stop(self) -> bool:
        return self.stop_after is not None and len(self.turns) >= self.stop_after

    def keep(self, choices: Iterable[Choice]) -> None:
        self.kept = list(choices)

    def __call__(self, entrant: Entrant, seconds: float) -> Round:
        self.turns.append(entrant)
        choice = self.default if entrant is None else entrant
        if choice in self.broken:
            raise EngineError("out of memory")
        rate = self._speed(choice) * (1 - self._noise * self._random.random())
        took = choice.batch * choice.lanes / rate
        count = max(int(seconds / took), 1)
        self.now += max(seconds, took)
        return Round((1000 * took,) * count * choice.lanes, rate)


def space(cores: int = 2, batches: tuple[int, ...] = (1, 2, 4, 8), providers: tuple[str, ...] = (CPU,)) -> Space:
    """Cores that are all alike."""
    return Space(tuple(Core(number) for number in range(cores)), cores, batches, providers)


def tuning(rig: PaperRig, tried: Space, seconds: float = 60.0, celsius: float | None = None) -> Tuning:
    """A tuning of what a paper rig runs."""
    environment = Environment(
        rig.clock, rig.stop, lambda: celsius, lambda choice: 50e6, lambda: (), Speeds(100e6, 2e9, tried.usable)
    )
    return Tuning(rig, tried, environment, seconds, lambda phase, part: None)


def provenance(**changes: str) -> Provenance:
    """Where made-up figures are from."""
    values = {"board": "paper", "cpu": "paper", "onnxruntime": "1.0", "edgeline": "0", "samples": "p.samples.csv"}
    values |= {"created_utc": "2026-01-02T03:04:05Z", **changes}
    return Provenance(seconds=1.0, **values)  # type: ignore[arg-type]


def tuned_of(*trials: Trial) -> Tuned:
    """A whole profile with these trials, the first of which was the best for everything."""
    return Tuned(
        schema=1,
        bundle_sha256="",
        bundle="pcb",
        provenance=provenance(),
        latency=trials[0].choice,
        throughput=trials[0].choice,
        default=trials[0],
        trials=trials,
        speeds=Speeds(1.0, 1.0, 2),
        computing_read_bytes_per_s=None,
        first_minute_per_s=None,
        steady_per_s=None,
        steady=True,
        temperature=Temperature(None, None),
        complete=True,
    )
