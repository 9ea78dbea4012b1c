"""For how long does a station not look while it takes a changed recipe over (SIGHUP)?

    python -m edge_tools.station.reload --reloads 10
    python -m edge_tools.station.reload --memory-limit 300MB     one engine is closed before the other opens

A camera over HTTP that is slower than the engine; the gap is the time from the last frame that was taken by the old
stations to the first one of the new, by the clocks in their records.
"""

from __future__ import annotations

import itertools
import json
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import cv2

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import UsageError
from edge_tools.damage.camera import sending

__all__ = ["gaps", "main", "reloaded"]

_PATIENCE_S = 300.0
_BETWEEN = 20  # verdicts before each reload


def gaps(records: Sequence[dict[str, Any]]) -> list[float]:
    """Return the seconds between the frames before and after each place where frames are counted anew."""
    return [
        after["clock"]["taken_s"] - before["clock"]["taken_s"]
        for before, after in itertools.pairwise(records)
        if after["frame_id"] <= before["frame_id"]
    ]


def reloaded(reloads: int, rate: float, limit: str | None, folder: Path) -> list[dict[str, Any]]:
    """Run a station, let it take so many changed recipes over, and return its records."""
    sample = find_sample()
    pictures = [cv2.imread(str(path)) for path in sorted(sample.images.iterdir())]
    parts = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures if picture is not None]
    more = [] if limit is None else ["--memory-limit", limit]
    command = python_module("edge_runtime.cli.run", "station.yaml", *more)
    with sending(parts, rate) as camera:
        _write(folder, camera.url, 0)
        with subprocess.Popen(command, cwd=folder, env=python_environment(), stderr=subprocess.DEVNULL) as process:
            try:
                for number in range(1, reloads + 1):
                    _go_on(process, folder, number - 1)
                    _write(folder, camera.url, number)
                    process.send_signal(signal.SIGHUP)
                _go_on(process, folder, reloads)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
    return _records(folder)


def _write(folder: Path, url: str, number: int) -> None:
    """Write the recipe, another one each time."""
    belt = {"source": url, "bundle": str(find_sample().bundle), "outputs": [{"jsonl": "verdicts.jsonl"}]}
    recipe = {"store": "store", "stations": {"belt": {**belt, "frozen": f"{1000 + number}s"}}}
    (folder / "station.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML


def _go_on(process: subprocess.Popen[bytes], folder: Path, reloads: int) -> None:
    """Wait until so many recipes were taken over, and the last of them has judged some frames."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        records = _records(folder)
        if len(gaps(records)) == reloads and len(records) > _BETWEEN and len(gaps(records[:-_BETWEEN])) == reloads:
            return
        time.sleep(0.2)
    raise UsageError(f"the station did not go on after {reloads} reloads; it has judged {len(_records(folder))} frames")


def _records(folder: Path) -> list[dict[str, Any]]:
    path = folder / "verdicts.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


@click.command()
@click.option("--reloads", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--rate", type=click.FloatRange(min=1.0), default=10.0, show_default=True, help="Of the camera, 1/s.")
@click.option("--memory-limit", "limit", help="As edge-run's.")
def main(reloads: int, rate: float, limit: str | None) -> None:
    """Measure how long a station does not look while it takes a recipe over."""
    with tempfile.TemporaryDirectory(prefix="edgeline-reload-") as place:
        records = reloaded(reloads, rate, limit, Path(place))
    found = sorted(gaps(records))
    usual = statistics.median(
        after["clock"]["taken_s"] - before["clock"]["taken_s"] for before, after in itertools.pairwise(records)
    )
    click.echo(
        f"{len(found)} reloads: no frame for {statistics.median(found):.2f} s (median), {found[-1]:.2f} s at most; "
        f"otherwise one each {usual:.2f} s"
    )


if __name__ == "__main__":
    main()
