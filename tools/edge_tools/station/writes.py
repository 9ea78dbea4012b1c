"""What a store writes to the disk for a commit, a record, a picture's entry: the numbers of station/writes.py.

    python -m edge_tools.station.writes --folder DIR        on the disk that is asked about; not on one in memory

Counted by the kernel (/proc/self/io, write_bytes). Files of lines and pictures themselves come on top.
"""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

import click

from edge_runtime.errors import UsageError
from edge_runtime.store.entries import Batch, Entry, Event, Kept
from edge_runtime.store.ledger import Ledger
from edge_runtime.store.opening import open_store

__all__ = ["main", "record", "written_each"]

_SIZE = 1600  # bytes of a record as the sample's detector makes them of boards with some defects
_FIRST = 0.5  # of the commits come before it is counted: a database that is nearly empty has fewer pages


def record(number: int, size: int = _SIZE) -> Event:
    """Return an event of about so many bytes; its id is as random as others, and later than those before it."""
    moment = 1_700_000_000_000 + 50 * number
    event_id = str(uuid.UUID(int=moment << 80 | 7 << 76 | 2 << 62 | uuid.uuid4().int & (1 << 62) - 1))
    body = {"event_id": event_id, "station": "belt", "verdict": "NG", "part": None}
    return Event.of({**body, "predictions": "x" * (size - 120)})


def written_each(folder: Path, commits: int, records: int, pictures: bool = False) -> float:
    """Return the bytes written by each of so many commits of so many records, after others were.

    `pictures`: each record is followed by a picture's entry in the same commit.
    """
    store = open_store(folder, lambda line: None)
    try:
        store.ledger.register("jsonl", ["belt"])
        first, before = int(_FIRST * commits), 0
        for commit in range(first + commits):
            if commit == first:
                before = _written()
            events = [record(commit * records + number) for number in range(records)]
            _append(store.ledger, [*events, *(map(_kept, events) if pictures else ())])
        return (_written() - before) / commits
    finally:
        store.close()


def _append(ledger: Ledger, entries: list[Entry]) -> None:
    ledger.append(Batch(tuple(entries), {"jsonl": ledger.head.seq}))


def _kept(event: Event) -> Kept:
    place = f"2026-01-31/{event.station}/{event.event_id}.png"
    return Kept(event.event_id, event.station, event.verdict, place, 50_000, "0" * 64, "2026-01-31")


def _written() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="On which disk.")
@click.option("--commits", type=click.IntRange(min=10), default=1000, show_default=True)
def main(folder: Path, commits: int) -> None:
    """Count what a store writes."""
    rows = [(1, False), (2, False), (5, False), (20, False), (1, True), (5, True)]
    click.echo(
        "| records a commit | with entries of pictures | kB a commit | kB a record |\n| ---: | --- | ---: | ---: |"
    )
    for records, pictures in rows:
        with tempfile.TemporaryDirectory(dir=folder, prefix="edgeline-writes-") as place:
            each = written_each(Path(place), commits, records, pictures)
        if not each:
            raise UsageError(f"{folder.absolute()} is on no disk whose writes are counted; name another --folder")
        click.echo(f"| {records} | {'yes' if pictures else 'no'} | {each / 1e3:.1f} | {each / records / 1e3:.1f} |")


if __name__ == "__main__":
    main()
