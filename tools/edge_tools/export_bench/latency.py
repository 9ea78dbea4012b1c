"""Latency of several graphs against FP32, in one process and turn by turn, as plain onnxruntime runs them.

Each round runs every graph once, in an order drawn anew: what the machine does beside it hits all of them alike. The
ratio is the median over rounds of graph to FP32 of the same round. Threads do not spin: with other work on the
machine, spinning measures the scheduler.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from edge_runtime.errors import EdgelineError
from edge_runtime.ort.session import SessionOptions, SessionRunner

__all__ = ["Timed", "rounds_of", "time_all"]

_SLOT_MS = 5.0  # a turn of small models is several runs
_THREADS = 2


@dataclass(frozen=True)
class Timed:
    """Medians over `rounds` of one run, and of its ratio to FP32 in the same round."""

    milliseconds: float
    fp32_ms: float
    ratio: float
    rounds: int


def rounds_of(runs: Mapping[str, Callable[[], object]], rounds: int, repeats: int,
              clock: Callable[[], float] = time.perf_counter) -> dict[str, list[float]]:  # fmt: skip
    """Return the milliseconds of one run for each round, by name; each turn is `repeats` runs after one unmeasured."""
    order, generator = list(runs), random.Random(0)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        generator.shuffle(order)
        for name in order:
            runs[name]()  # its weights back into the cache
            started = clock()
            for _ in range(repeats):
                runs[name]()
            taken[name].append((clock() - started) * 1000.0 / repeats)
    return taken


def time_all(fp32: Path, models: Mapping[str, Path], tensors: Path, rounds: int) -> dict[str, Timed | str]:
    """Return each graph's latency by name, or in one line why it has none."""
    with np.load(tensors) as archive:
        feeds = {name: archive[name][:1] for name in archive.files}
    runs: dict[str, Callable[[], object]] = {}
    answers: dict[str, Timed | str] = {}
    for name, path in {"": fp32, **models}.items():
        try:
            session = SessionRunner(path, SessionOptions(device="cpu", threads=_THREADS))
            session.run(feeds)
        except EdgelineError as error:
            if not name:
                raise
            answers[name] = str(error)
            continue
        runs[name] = partial(session.run, feeds)
    probe = min(rounds_of({"": runs[""]}, 3, 1)[""])
    taken = rounds_of(runs, rounds, max(1, min(20, round(_SLOT_MS / probe))))
    before = taken.pop("")
    for name, mine in taken.items():
        ratio = median(a / b for a, b in zip(mine, before, strict=True))
        answers[name] = Timed(median(mine), median(before), ratio, rounds)
    return answers


def main(arguments: Sequence[str]) -> None:
    """Print the answers as JSON. Arguments: one JSON object."""
    asked = json.loads(arguments[0])
    models = {name: Path(path) for name, path in asked["models"].items()}
    answers = time_all(Path(asked["fp32"]), models, Path(asked["tensors"]), asked["rounds"])
    said = {name: answer if isinstance(answer, str) else asdict(answer) for name, answer in answers.items()}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
