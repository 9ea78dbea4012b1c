"""Do stations survive power cuts? What they write and flush is recorded; cuts are made of it, and started.

    python -m edge_tools.station.power --cuts 20        a short form; 300 is the proof. It needs gcc

Four stations run on the sample's film and pictures, to the end and killed. Then, for a random instant of that: a folder
is made as a power cut may leave it (disk.py), and started again. Every event that somebody could have read before the
cut is in the store as it was told, the chain verifies, the start needs no hand and sets nothing aside, and at its end
every event that is stored has been told exactly once.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import click

from edge_runtime.cli.sample import find_sample
from edge_runtime.outputs.base import published
from edge_runtime.store.reading import open_reader
from edge_tools.station.books import TOLD, Books, check, finish, run_and_tell, start, write_recipe
from edge_tools.station.power.disk import Disk
from edge_tools.station.power.log import build_recorder, read_log, recording

__all__ = ["main", "run_cuts"]


def run_cuts(folder: Path, cuts: int, chance: random.Random, film: str = "") -> Books:
    """Record stations in a folder, and cut their power; `film`: another one than the sample's."""
    place = folder / "recorded"
    place.mkdir()
    write_recipe(place, film)
    books = Books()
    log = _recorded(folder, place, chance, books)
    steps = sum(1 for _ in read_log(log, place))
    instants = sorted(chance.randrange(1, steps + 1) for _ in range(cuts))
    disk = Disk()
    for number, step in enumerate(read_log(log, place), 1):
        disk.follow(step)
        while instants and instants[0] == number:
            instants.pop(0)
            books.kills += 1
            _cut(folder, disk, chance, books, f"cut {books.kills} at step {number}")
    return books


def _recorded(folder: Path, place: Path, chance: random.Random, books: Books) -> Path:
    """Run the stations three times, the second one killed; returns the log."""
    log = folder / "steps"
    more = recording(build_recorder(folder), place, log)
    started = time.monotonic()
    finish(place, books, more)
    whole = time.monotonic() - started
    process = start(place, more)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(chance.uniform(0.5, 0.9) * whole)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finish(place, books, more)
    check(place, books, "before any cut", whole=True)
    return log


def _cut(folder: Path, disk: Disk, chance: random.Random, books: Books, when: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix="cut-") as name:
        left = Path(name)
        disk.cut(left, chance)
        # The pictures alone: what counts is what was there.
        write_recipe(left, str(find_sample().images))
        finish(left, books)
        check(left, books, when, whole=True)
        with contextlib.closing(open_reader(left / "store")) as reader:
            for output in TOLD:
                lines = disk.seen(output).decode().split("\n")[:-1]
                for record in map(json.loads, lines):
                    stored = reader.event(record["event_id"])
                    if stored is None or published(stored) != record:
                        books.wrong.append(f"{when}: {output}: {record['event_id']} was told before, and is not stored")


@click.command()
@click.option("--cuts", type=click.IntRange(min=1), default=20, show_default=True, help="How often to cut the power.")
@click.option("--seed", type=int, default=None, help="Of the random instants.  [default: another each time, printed]")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep what was recorded here.")
def main(cuts: int, seed: int | None, folder: Path | None) -> None:
    """Cut the power of stations at random instants and check the books."""

    def run(place: Path, chance: random.Random) -> tuple[list[str], str]:
        books = run_cuts(place, cuts, chance)
        return books.wrong, books.line("power cuts")

    run_and_tell("power", seed, folder, run)


if __name__ == "__main__":
    main()
