"""`python -m edge_tools.bench.busy`: runs a second beside other work that comes and goes, by how threads are chosen.

One process holds them all: this runtime as edge-run opens a model, the same with a fixed number of threads (all, and
one), and plain onnxruntime as anybody opens it. They take turns within each phase; a phase is idle, or has so many
processes beside it that compute all the time (or half of it, in pieces of 10 ms).
"""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from edge_devices.interpreter import python_code
from edge_devices.profile import ProviderChoice
from edge_runtime.bundle.bundle import bundle_sha256, read_bundle
from edge_runtime.cli.console import hidden_native_stderr, run_command
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import UsageError
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.runner import Arrays, Runner
from edge_runtime.ort.session import PlainRunner, SessionRunner
from edge_runtime.ort.stepping.runner import SteppingRunner, stepping
from edge_runtime.tune.standing import Asked, stand

__all__ = ["Turn", "as_table", "busy", "main"]

STEPS, ALL, ONE, PLAIN = "steps back", "all threads", "one thread", "onnxruntime"
_STEADY = "while True: pass"
_HALF = """
import time
while True:
    until = time.perf_counter() + 0.01
    while time.perf_counter() < until: pass
    time.sleep(0.01)
"""
_SETTLE_S = 0.1  # busy threads of the last turn stop by themselves
_RESAMPLES = 2000


@dataclass(frozen=True)
class Turn:
    """`runs` in `seconds` by `who`, in a round, with `load` beside it."""

    round: int
    load: str
    who: str
    runs: int
    seconds: float


@click.command()
@click.argument("model", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--load", "loads", multiple=True, default=("4", "9"), show_default=True, help="Processes; 4h: half busy.")
@click.option("--seconds", type=click.FloatRange(0.1), default=5.0, show_default=True, help="Of a turn in a phase.")
@click.option("--rounds", type=click.IntRange(min=1), default=4, show_default=True, help="Idle and each load in turn.")
def busy(model: Path | None, loads: tuple[str, ...], seconds: float, rounds: int) -> None:
    """Time MODEL, a bundle or an ONNX file (default: the sample), beside other work that comes and goes."""
    for load in loads:
        if not re.fullmatch("[1-9][0-9]{0,2}h?", load):
            raise UsageError(f"--load {load!r} is no number of processes; give 4, or 4h for half busy ones")
    path = model or find_sample().bundle
    turns: list[Turn] = []
    with hidden_native_stderr(), _runners(path) as (runners, feeds):
        for number in range(rounds):
            for load in (phase for one in loads for phase in ("idle", one)):
                with _beside(load):
                    turns += _phase(number, load, runners, feeds, seconds)
        adaptive = runners[STEPS]
        stepped = adaptive.stepped.line() if isinstance(adaptive, SteppingRunner) else ""
    click.echo(as_table(turns))
    click.echo(f"threads: {stepped or 'all of them all the time'}")


@contextlib.contextmanager
def _runners(path: Path) -> Iterator[tuple[dict[str, Runner], Arrays]]:
    """Open the model in every way; one input of noise for all."""
    bundle = read_bundle(path) if path.is_dir() else None
    graph = path if bundle is None else bundle.file("model.onnx")
    options = stand("" if bundle is None else bundle_sha256(path), Asked(device="cpu")).session
    threads = options.threads or 1
    cpu = ProviderChoice(CPU)
    fixed = replace(options, steps_back=False)
    with contextlib.ExitStack() as cleanup:
        first = SessionRunner(graph, options, provider=cpu)
        runners: dict[str, Runner] = {
            STEPS: stepping(first, options, threads),
            ALL: SessionRunner(graph, fixed, provider=cpu),
            ONE: SessionRunner(graph, replace(fixed, threads=1, spinning=False), provider=cpu),
            PLAIN: PlainRunner(graph, cpu),
        }
        for runner in runners.values():
            cleanup.callback(runner.close)
        noise = np.random.default_rng(0)
        feeds = {spec.name: noise.random(spec.least_shape).astype(spec.dtype) for spec in first.inputs}
        for runner in runners.values():
            runner.run(feeds)
        yield runners, feeds


@contextlib.contextmanager
def _beside(load: str) -> Iterator[None]:
    """Have so many processes compute meanwhile: "4", half of the time "4h", or "idle"."""
    count = 0 if load == "idle" else int(load.removesuffix("h"))
    code = _HALF if load.endswith("h") else _STEADY
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes += [subprocess.Popen(python_code(code)) for _ in range(count)]
        time.sleep(_SETTLE_S * (1 + count))  # until they have started
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _phase(number: int, load: str, runners: Mapping[str, Runner], feeds: Arrays, seconds: float) -> Iterator[Turn]:
    """Let each have its turn, in an order that changes."""
    order = list(runners)
    random.Random(f"{number} {load}").shuffle(order)
    for who in order:
        runner = runners[who]
        runs, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            runner.run(feeds)
            runs += 1
        yield Turn(number, load, who, runs, took)
        time.sleep(_SETTLE_S)


def as_table(turns: Sequence[Turn]) -> str:
    """Return runs a second by load and by who, and what stepping back has of the better of the fixed ones."""
    names = (STEPS, ALL, ONE, PLAIN)
    lines = [
        "| beside it | " + " | ".join(names) + " | of the better fixed one (95 %) | of onnxruntime |",
        "| --- |" + " ---: |" * (len(names) + 2),
    ]
    for load in [*dict.fromkeys(turn.load for turn in turns), ""]:
        found = [turn for turn in turns if load in (turn.load, "")]
        rates = _rates(found)
        again = sorted(_of_better(_rates(part)) for part in _resampled(found))
        low, high = (again[round(part * (len(again) - 1))] for part in (0.025, 0.975))
        cells = [f"{rates[name]:.1f}" for name in names]
        cells += [f"{_of_better(rates):.2f} ({low:.2f} .. {high:.2f})", f"{rates[STEPS] / rates[PLAIN]:.2f}"]
        lines.append(f"| {_label(load)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _label(load: str) -> str:
    if load in ("", "idle"):
        return load or "all of it"
    count = load.removesuffix("h")
    return f"{count} process{'es' * (count != '1')}{', half busy' * load.endswith('h')}"


def _rates(turns: Sequence[Turn]) -> dict[str, float]:
    """Runs a second of each, over all turns."""
    names = dict.fromkeys(turn.who for turn in turns)
    return {
        name: sum(turn.runs for turn in turns if turn.who == name)
        / max(sum(turn.seconds for turn in turns if turn.who == name), 1e-9)
        for name in names
    }


def _of_better(rates: Mapping[str, float]) -> float:
    return rates[STEPS] / max(rates[ALL], rates[ONE], 1e-9)


def _resampled(turns: Sequence[Turn]) -> Iterator[list[Turn]]:
    """Rounds drawn again with replacement, all of a round together."""
    rounds = sorted({turn.round for turn in turns})
    by_round = {number: [turn for turn in turns if turn.round == number] for number in rounds}
    draw = random.Random(0)
    for _ in range(_RESAMPLES):
        yield [turn for number in draw.choices(rounds, k=len(rounds)) for turn in by_round[number]]


def main() -> None:
    """Run the comparison."""
    run_command(busy, "python -m edge_tools.bench.busy")


if __name__ == "__main__":
    main()
