"""Does a station stay as it is? A camera that is faster than the engine, for as long as is asked, in a control group.

    python -m edge_tools.station.endurance --minutes 30
    python -m edge_tools.station.endurance --minutes 4320 --every 600        72 hours

Its memory (what its processes hold for themselves, as /proc/PID/status counts it: no file that the kernel keeps) after
the first minute and the most after that, how many parts it judged, how late; what it writes, beside what
edge_runtime/station/writes.py predicts of so many parts and such pictures. Pictures go on to be written here until the
store's quota of a day is used up.
"""

from __future__ import annotations

import contextlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import cv2

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import UsageError
from edge_runtime.station.board import board_path, read_board
from edge_runtime.station.writes import Load, bytes_a_second
from edge_runtime.store.reading import open_reader
from edge_tools.bench.confine import Caps, create_group
from edge_tools.bench.hierarchy import open_hierarchy
from edge_tools.damage.camera import sending

__all__ = ["Endured", "Sample", "endure", "main"]

_MB = 1 << 20
_OPENS_S = 300.0  # a station that is not at work by then never will be
_JOIN = 'echo $$ > "$1/cgroup.procs" || exit 1; shift; exec "$@"'


@dataclass(frozen=True)
class Sample:
    """A moment: bytes that the processes hold, and have written to storage, those of pictures; parts judged; lag."""

    seconds: float
    held: int
    written: int
    parts: int
    lag_ms: float
    picture_bytes: int = 0


@dataclass(frozen=True)
class Endured:
    """All samples; those of the first minute count for nothing."""

    samples: tuple[Sample, ...]
    most_bytes: int  # that the control group was charged, files that the kernel keeps included
    picture_size: float = 0.0  # bytes of a picture, on average

    def line(self) -> str:
        """Return it as the row of a table."""
        warm = [sample for sample in self.samples if sample.seconds >= 60.0] or list(self.samples)
        first, last = warm[0], warm[-1]
        span = max(last.seconds - first.seconds, 1e-9)
        grown = max(sample.held for sample in warm) - first.held
        parts, written = last.parts - first.parts, last.written - first.written
        # A sample is as much as a picture more or less in hand (1.2 MB here) beside the next: medians are not.
        third = max(len(warm) // 3, 1)
        early, late = (statistics.median(sample.held for sample in some) for some in (warm[:third], warm[-third:]))
        cells = (
            f"{last.seconds / 60:.0f}",
            f"{last.parts}",
            f"{parts / span:.1f}",
            f"{first.held / _MB:.1f}",
            f"{grown / _MB:+.2f}",
            f"{(last.held - first.held) / _MB:+.2f}",
            f"{(late - early) / _MB:+.2f}",
            f"{self.most_bytes / _MB:.0f}",
            f"{written / max(parts, 1) / 1e3:.1f}",
            f"{self._predicted(first, last) / max(parts, 1) / 1e3:.1f}",
            f"{written / span * 86_400 / 1e9:.1f}",
            f"{last.lag_ms:.0f}",
        )
        return f"| {' | '.join(cells)} |"

    def _predicted(self, first: Sample, last: Sample) -> float:
        """Return the bytes that should have been written from one sample to another."""
        span = max(last.seconds - first.seconds, 1e-9)
        parts, picture_bytes = (last.parts - first.parts) / span, (last.picture_bytes - first.picture_bytes) / span
        pictures = picture_bytes / self.picture_size if self.picture_size else 0.0
        return span * bytes_a_second(Load(parts, pictures, picture_bytes, parts, 1))


def endure(seconds: float, rate: float, every: float, limit: int, folder: Path, no_pictures: bool = False) -> Endured:
    """Run a station in a group of so many bytes, and look at it; `no_pictures`: it keeps none."""
    folder = folder.resolve()  # as the station sees it, which says by it how it goes
    sample = find_sample()
    pictures = [cv2.imread(str(path)) for path in sorted(sample.images.iterdir())]
    parts = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures if picture is not None]
    with sending(parts, rate) as camera, open_hierarchy(["memory"]) as hierarchy:
        belt: dict[str, object] = {"source": camera.url, "bundle": str(sample.bundle)}
        belt["outputs"] = [{"jsonl": "verdicts.jsonl"}]
        if no_pictures:
            belt["pictures"] = {"ok_every": 0, "ng": False, "no_read": False}
        recipe = {"store": "store", "stations": {"belt": belt}}
        (folder / "station.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
        group = create_group(hierarchy, Caps(memory_bytes=limit))
        try:
            run = ["/bin/sh", "-c", _JOIN, "sh", str(group.folders[0])]
            command = [*run, *python_module("edge_runtime.cli.run", "station.yaml")]
            with subprocess.Popen(command, cwd=folder, env=python_environment(), stderr=subprocess.DEVNULL) as process:
                try:
                    samples = tuple(_watched(process, folder, seconds, every))
                finally:
                    process.send_signal(signal.SIGTERM)
                    process.wait(60)
            if process.returncode not in (0, 128 + signal.SIGTERM) or not samples:
                raise UsageError(f"the station ended with {process.returncode}, after {len(samples)} samples")
            return Endured(samples, group.charges().most_bytes, _picture_size(folder / "store"))
        finally:
            group.remove()


def _watched(process: subprocess.Popen[bytes], folder: Path, seconds: float, every: float) -> Iterator[Sample]:
    board, begun = board_path(folder / "store"), _today()
    until = time.monotonic() + _OPENS_S
    while not _judged(read_board(board)) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    started = time.monotonic()
    while (now := time.monotonic() - started) < seconds and process.poll() is None:
        time.sleep(min(every, seconds - now))
        found = read_board(board)
        if found is None:
            continue
        belt = found["stations"]["belt"]
        held, written = _charged(_tree(process.pid))
        lag, pictures = float(belt["lag_ms"]["p50"]), _picture_bytes(folder / "store", begun)
        one = Sample(time.monotonic() - started, held, written, _judged(found), lag, pictures)
        print(f"{one.seconds:6.0f} s  {one.held / _MB:7.2f} MB  {one.parts} parts", file=sys.stderr)  # noqa: T201
        yield one


def _judged(board: dict[str, Any] | None) -> int:
    return 0 if board is None else sum(board["stations"]["belt"]["verdicts"].values())


def _picture_bytes(store: Path, begun: date) -> int:
    """Return the bytes of pictures that a store has written since a day."""
    with contextlib.closing(open_reader(store)) as reader:
        days = [begun + timedelta(number) for number in range((_today() - begun).days + 1)]
        return sum(reader.written(day.isoformat()) for day in days)


def _picture_size(store: Path) -> float:
    with contextlib.closing(open_reader(store)) as reader:
        return reader.picture_bytes() / max(sum(1 for _ in reader.pictures()), 1)


def _today() -> date:
    return datetime.now(timezone.utc).date()


def _tree(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _charged(processes: Sequence[int]) -> tuple[int, int]:
    """Bytes that processes hold (proc(5): RssAnon and RssShmem) and have written to storage (write_bytes)."""
    held = written = 0
    for pid in processes:
        with contextlib.suppress(OSError):
            status, counts = _fields(Path(f"/proc/{pid}/status")), _fields(Path(f"/proc/{pid}/io"))
            held += 1024 * (status.get("RssAnon", 0) + status.get("RssShmem", 0))
            written += counts.get("write_bytes", 0)
    return held, written


def _fields(path: Path) -> dict[str, int]:
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {name: int(words[0]) for name, _, text in pairs if (words := text.split()) and words[0].isdigit()}


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0.1), default=30.0, show_default=True)
@click.option("--rate", type=click.FloatRange(min=0.1), default=300.0, show_default=True, help="Of the camera, 1/s.")
@click.option("--every", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds of a sample.")
@click.option("--limit", type=click.IntRange(min=64), default=512, show_default=True, help="Of the group, in MiB.")
@click.option("--no-pictures", is_flag=True, help="Keep none.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Of the store.  [default: a new one]")
def main(minutes: float, rate: float, every: float, limit: int, no_pictures: bool, folder: Path | None) -> None:
    """Watch a station's memory and what it writes."""
    with contextlib.ExitStack() as cleanup:
        place = folder or Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="edgeline-endurance-")))
        place.mkdir(parents=True, exist_ok=True)
        endured = endure(60 * minutes, rate, every, limit * _MB, place, no_pictures)
    click.echo(
        "| minutes | parts | 1/s | MB after 1 min | most since | at the end | first to last third | "
        "group's most, MB | kB written a part | predicted | GB a day | lag p50, ms |"
    )
    click.echo("|" + " ---: |" * 12)
    click.echo(endured.line())


if __name__ == "__main__":
    main()
