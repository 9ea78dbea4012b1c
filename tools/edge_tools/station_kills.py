"""Does a station survive kills? SIGKILL at random instants, again and again, and after each one the books are checked.

    python -m edge_tools.station_kills --kills 20        a short form; 500 is the proof

Four stations run on the sample's film and pictures. After every kill: each line that was published is in the store as
it was published, none twice, and the chain verifies. The next start needs no hand. At the end a run that nobody kills
must end with 0, and by then every event that was ever stored has been told exactly once.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.sample import find_sample
from edge_runtime.outputs.base import published
from edge_runtime.store.reading import Reader, open_reader
from edge_runtime.store.verify import verify_log

__all__ = ["Books", "main", "run_kills"]

_RECIPE = """\
store: store
stations:
  film1: {{source: {film}, bundle: {bundle}, outputs: [jsonl: all.jsonl]}}
  film2: {{source: {film}, bundle: {bundle}, outputs: [jsonl: all.jsonl, jsonl: two.jsonl], pictures: {{ok_every: 0}}}}
  film3: {{source: {film}, bundle: {bundle}, outputs: [jsonl: all.jsonl], pictures: {{ng: false}}}}
  table: {{source: {images}, bundle: {bundle}, outputs: [jsonl: all.jsonl]}}
"""
_TOLD = {"all.jsonl": ("film1", "film2", "film3", "table"), "two.jsonl": ("film2",)}


@dataclass
class Books:
    """What was found: of how many kills, how often each output had told something, and all that is wrong."""

    kills: int = 0
    events: int = 0
    published: int = 0
    torn: int = 0  # lines that a kill had torn
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it as one line."""
        state = (
            f"{len(self.wrong)} things are wrong" if self.wrong else "nothing lost, nothing twice, the chain is whole"
        )
        return (
            f"{self.kills} kills: {self.events} events stored, {self.published} lines published, {self.torn} torn by a "
            f"kill; {state}"
        )


def run_kills(folder: Path, kills: int, chance: random.Random, film: str = "") -> Books:
    """Run and kill stations in a folder; `film`: another one than the sample's."""
    sample = find_sample()
    recipe = _RECIPE.format(film=film or sample.images.parent / "belt.mp4", images=sample.images, bundle=sample.bundle)
    (folder / "station.yaml").write_text(recipe, encoding="utf-8")
    books = Books()
    started = time.monotonic()
    _finish(folder, books)
    whole = time.monotonic() - started
    for number in range(kills):
        _kill(folder, chance.uniform(0.0, whole), books)
        books.kills += 1
        _check(folder, books, f"after kill {number + 1}")
    _finish(folder, books)
    _check(folder, books, "at the end", whole=True)
    return books


def _start(folder: Path) -> subprocess.Popen[str]:
    command = python_module("edge_runtime.cli.run", "station.yaml")
    return subprocess.Popen(command, cwd=folder, env=python_environment(), stderr=subprocess.PIPE, text=True)


def _finish(folder: Path, books: Books) -> None:
    """A run that nobody kills."""
    process = _start(folder)
    _, said = process.communicate()
    if process.returncode:
        books.wrong.append(f"a run ended with {process.returncode}: {said.strip()[-500:]}")


def _kill(folder: Path, after: float, books: Books) -> None:
    process = _start(folder)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    elif process.returncode:
        books.wrong.append(f"a start ended with {process.returncode} by itself")
    process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _check(folder: Path, books: Books, when: str, whole: bool = False) -> None:
    """Hold what was published against what is stored."""
    with contextlib.closing(open_reader(folder / "store")) as reader:
        books.wrong += [f"{when}: {one.what}" for one in verify_log(reader).breaks]
        books.events = sum(reader.counts().values())
        books.published = 0
        for name, stations in _TOLD.items():
            told = _told(folder / name, books)
            books.published += len(told)
            books.wrong += [f"{when}: {name}: {fault}" for fault in _faults(told, reader)]
            if whole and len(told) != reader.waiting(0, stations):
                books.wrong.append(f"{when}: {name}: {len(told)} told of {reader.waiting(0, stations)}")
    if list((folder / "store").glob("damaged-*")):
        books.wrong.append(f"{when}: a store was set aside")


def _told(path: Path, books: Books) -> list[str]:
    """The whole lines of a file."""
    if not path.exists():
        return []
    *lines, rest = path.read_text(encoding="utf-8").split("\n")
    books.torn += bool(rest)
    return lines


def _faults(told: list[str], reader: Reader) -> list[str]:
    found = []
    records = [json.loads(line) for line in told]
    twice = [event_id for event_id, count in Counter(record["event_id"] for record in records).items() if count > 1]
    found += [f"{event_id} was told twice" for event_id in twice]
    if [record["seq"] for record in records] != sorted(record["seq"] for record in records):
        found.append("events were told in another order")
    for record in records:
        stored = reader.event(record["event_id"])
        if stored is None or published(stored) != record:
            found.append(f"{record['event_id']} was told, and is not in the store as it was told")
    return found


@click.command()
@click.option("--kills", type=click.IntRange(min=0), default=20, show_default=True, help="How often to kill.")
@click.option("--seed", type=int, default=None, help="Of the random instants.  [default: another each time, printed]")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here.")
def main(kills: int, seed: int | None, folder: Path | None) -> None:
    """Kill stations at random instants and check the books."""
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    with contextlib.ExitStack() as cleanup:
        place = folder or Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="edgeline-kills-")))
        place.mkdir(parents=True, exist_ok=True)
        books = run_kills(place, kills, random.Random(seed))
    for fault in books.wrong:
        click.echo(fault)
    click.echo(f"{books.line()} (seed {seed})")
    sys.exit(1 if books.wrong else 0)


if __name__ == "__main__":
    main()
