"""The books of stations that were stopped without warning: what they published is held against what they stored."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.sample import find_sample
from edge_runtime.outputs.base import published
from edge_runtime.store.reading import Reader, open_reader
from edge_runtime.store.verify import verify_log

__all__ = ["TOLD", "Books", "check", "faults", "finish", "run_and_tell", "start", "write_recipe"]

_RECIPE = """\
store: store
stations:
  film1: {{source: {film}, bundle: {bundle}, outputs: [jsonl: all.jsonl]}}
  film2: {{source: {film}, bundle: {bundle}, outputs: [jsonl: all.jsonl, jsonl: two.jsonl], pictures: {{ok_every: 0}}}}
  film3: {{source: {film}, bundle: {bundle}, outputs: [jsonl: all.jsonl], pictures: {{ng: false}}}}
  table: {{source: {images}, bundle: {bundle}, outputs: [jsonl: all.jsonl]}}
"""
TOLD = {"all.jsonl": ("film1", "film2", "film3", "table"), "two.jsonl": ("film2",)}


@dataclass
class Books:
    """What was found: of how many kills, how often each output had told something, and all that is wrong."""

    kills: int = 0
    events: int = 0
    published: int = 0
    torn: int = 0  # lines that a kill had torn
    wrong: list[str] = field(default_factory=list)

    def line(self, what: str = "kills") -> str:
        """Return it as one line; `what` stopped the stations."""
        state = (
            f"{len(self.wrong)} things are wrong" if self.wrong else "nothing lost, nothing twice, the chain is whole"
        )
        return (
            f"{self.kills} {what}: {self.events} events stored, {self.published} lines published, {self.torn} torn; "
            f"{state}"
        )


def write_recipe(folder: Path, film: str = "") -> None:
    """Write the recipe of four stations into a folder; `film`: another one than the sample's."""
    sample = find_sample()
    recipe = _RECIPE.format(film=film or sample.images.parent / "belt.mp4", images=sample.images, bundle=sample.bundle)
    (folder / "station.yaml").write_text(recipe, encoding="utf-8")


def start(folder: Path, more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the stations of a folder's recipe; `more` is added to their environment."""
    command = python_module("edge_runtime.cli.run", "station.yaml")
    environment = {**python_environment(), **(more or {})}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def finish(folder: Path, books: Books, more: Mapping[str, str] | None = None) -> None:
    """Let a run come to its end, which must be a good one."""
    process = start(folder, more)
    _, said = process.communicate()
    if process.returncode:
        books.wrong.append(f"a run ended with {process.returncode}: {said.strip()[-500:]}")


def check(folder: Path, books: Books, when: str, whole: bool = False) -> None:
    """Hold what was published against what is stored."""
    with contextlib.closing(open_reader(folder / "store")) as reader:
        books.wrong += [f"{when}: {one.what}" for one in verify_log(reader).breaks]
        books.events = sum(reader.counts().values())
        books.published = 0
        for name, stations in TOLD.items():
            told = _told(folder / name, books)
            books.published += len(told)
            books.wrong += [f"{when}: {name}: {fault}" for fault in faults(told, reader)]
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


def faults(told: list[str], reader: Reader) -> list[str]:
    """Return what is wrong with the lines that an output was told."""
    try:
        records = [json.loads(line) for line in told]
    except ValueError:
        return ["a line is no JSON"]
    found = []
    twice = [event_id for event_id, count in Counter(record["event_id"] for record in records).items() if count > 1]
    found += [f"{event_id} was told twice" for event_id in twice]
    if [record["seq"] for record in records] != sorted(record["seq"] for record in records):
        found.append("events were told in another order")
    for record in records:
        stored = reader.event(record["event_id"])
        if stored is None or published(stored) != record:
            found.append(f"{record['event_id']} was told, and is not in the store as it was told")
    return found


def run_and_tell(
    name: str, seed: int | None, folder: Path | None, run: Callable[[Path, random.Random], tuple[list[str], str]]
) -> None:
    """Run a command's trial in `folder`, or in one that goes away, print what is wrong and its line, and exit."""
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    with contextlib.ExitStack() as cleanup:
        place = folder or Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix=f"edgeline-{name}-")))
        place.mkdir(parents=True, exist_ok=True)
        wrong, line = run(place.absolute(), random.Random(seed))
    for fault in wrong:
        click.echo(fault)
    click.echo(f"{line} (seed {seed})")
    sys.exit(1 if wrong else 0)
