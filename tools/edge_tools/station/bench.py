"""How much of the engine's rate is left at a station's end: from video files to committed and published verdicts.

    python -m edge_tools.station.bench --rounds 5          as one film, then as 8 at once; it needs ffmpeg

In turns, on the same frames of the sample's film: the engine alone on decoded pictures in memory; a station, whose
verdicts are in its store and told as JSON lines when it ends; and a plain loop of OpenCV and onnxruntime on the FP32
model, which stores nothing. A rate is that of the frames by which a long run is longer than a short one: starting up
is in neither. Ratios are of one round; the table holds their median and their range.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_devices.interpreter import python_environment, python_module
from edge_runtime import open_bundle
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import UsageError
from edge_runtime.ort.session import SessionOptions
from edge_runtime.tune.settings import settings_for

__all__ = ["Rates", "engine_rate", "loop_rate", "main", "station_rate"]

_BATCHES = (1, 2, 4)


@dataclass(frozen=True)
class Rates:
    """Frames a second of one round."""

    engine: float
    station: float
    loop: float


def engine_rate(bundle: Path, film: Path, frames: int) -> float:
    """The engine alone, as it is set up for throughput on this machine: the best of some batches, on all its lanes."""
    pictures = _pictures(film, 64)
    choice = settings_for(read_bundle(bundle, check_hashes=False).sha256, goal="throughput").choice
    options = SessionOptions("cpu", choice.threads, choice.lanes, spinning=choice.spinning, cores=choice.cores)
    with open_bundle(bundle, session=options) as engine:

        def work(batch: int, count: int) -> None:
            for start in range(0, count, batch):
                engine.run([pictures[(start + one) % len(pictures)] for one in range(batch)])

        def rate(batch: int) -> float:
            work(batch, batch)
            share = max(batch, frames // engine.lanes // batch * batch)
            threads = [threading.Thread(target=work, args=(batch, share)) for _ in range(engine.lanes)]
            started = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return share * engine.lanes / (time.perf_counter() - started)

        return max(map(rate, _BATCHES))


def station_rate(bundle: Path, film: Path, films: int, frames: int, folder: Path) -> float:
    """A station for each of so many films, one process: the rate behind the start, until all is committed and told."""
    return _slope(lambda count: _station(bundle, _long(film, count, folder), films, folder), frames // films, films)


def loop_rate(model: Path, film: Path, frames: int, folder: Path) -> float:
    """What one would write in an hour: VideoCapture, onnxruntime's defaults, boxes over a threshold, NMS."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(count: int) -> int:
        capture, judged = cv2.VideoCapture(str(_long(film, count, folder))), 0
        while (found := capture.read())[0]:
            gray = cv2.cvtColor(found[1], cv2.COLOR_BGR2GRAY)
            (raw,) = session.run(None, {name: (gray.astype(np.float32) / 255)[None, None]})
            _boxes(np.asarray(raw)[0])
            judged += 1
        capture.release()
        return judged

    return _slope(run, frames, 1)


def _slope(run: Callable[[int], int], frames: int, films: int) -> float:
    times, counts = [], []
    for share in (4, 1):
        started = time.perf_counter()
        counts.append(run(frames // share) * films)
        times.append(time.perf_counter() - started)
    return (counts[1] - counts[0]) / (times[1] - times[0])


def _station(bundle: Path, film: Path, films: int, folder: Path) -> int:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        stations = {
            f"belt{number}": {"source": str(film), "bundle": str(bundle), "outputs": [{"jsonl": "verdicts.jsonl"}]}
            for number in range(films)
        }
        recipe = Path(name) / "station.yaml"
        recipe.write_text(json.dumps({"store": "store", "stations": stations}), encoding="utf-8")  # JSON is YAML
        command = python_module("edge_runtime.cli.run", recipe.name)
        subprocess.run(command, cwd=name, env=python_environment(), check=True, stderr=subprocess.DEVNULL)
        told = (Path(name) / "verdicts.jsonl").read_text(encoding="utf-8").count("\n")
    return told // films


def _long(film: Path, frames: int, folder: Path) -> Path:
    """The film again and again, as many frames; made once."""
    made = folder / f"{frames}.mp4"
    if not made.exists():
        words = [
            "-v",
            "error",
            "-stream_loop",
            "-1",
            "-i",
            str(film),
            "-c",
            "copy",
            "-frames:v",
            str(frames),
            str(made),
        ]
        subprocess.run(["ffmpeg", *words], check=True)
    return made


def _pictures(film: Path, most: int) -> list[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(film))
    found: list[NDArray[np.uint8]] = []
    while len(found) < most and (read := capture.read())[0]:
        found.append(np.asarray(read[1], np.uint8))
    capture.release()
    if not found:
        raise UsageError(f"no picture in {film}")
    return found


def _boxes(raw: NDArray[np.float32], threshold: float = 0.25) -> list[int]:
    """The sample's layout, [4 + C, A]: of points over the threshold those that NMS keeps."""
    scores = 1 / (1 + np.exp(-raw[4:].max(axis=0)))
    places = np.flatnonzero(scores > threshold)
    sides = np.exp(np.clip(raw[2:4, places], -4, 6)) * 8
    corners = np.stack([places % 80, places // 80]) * 8.0 + raw[:2, places] * 8 - sides / 2
    boxes = np.concatenate([corners, sides]).T.tolist()
    return list(cv2.dnn.NMSBoxes(boxes, scores[places].tolist(), threshold, 0.4)) if boxes else []


def _round(films: int, frames: int, folder: Path) -> Rates:
    sample = find_sample()
    film = sample.images.parent / "belt.mp4"
    return Rates(
        engine_rate(sample.bundle, film, frames),
        station_rate(sample.bundle, film, films, frames, folder),
        loop_rate(sample.images.parent / "pcb.onnx", film, frames, folder),
    )


def _row(films: int, rounds: list[Rates]) -> str:
    def range_of(ratios: list[float]) -> str:
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    middle = [statistics.median(getattr(one, name) for one in rounds) for name in ("engine", "station", "loop")]
    own = range_of([r.station / r.engine for r in rounds])
    plain = range_of([r.station / r.loop for r in rounds])
    return f"| {films} | {' | '.join(f'{rate:.0f}' for rate in middle)} | {own} | {plain} |"


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--frames", type=click.IntRange(min=80), default=1600, show_default=True, help="In all, of a long run.")
@click.option("--films", multiple=True, type=click.IntRange(min=1), default=(1, 8), show_default=True, help="At once.")
def main(rounds: int, frames: int, films: tuple[int, ...]) -> None:
    """Measure what a station leaves of the engine's own rate."""
    click.echo("| films | engine, frames/s | station | plain loop, FP32 | station to engine | station to loop |")
    click.echo("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory(prefix="edgeline-station-") as name:
        for count in films:
            found = []
            for turn in range(rounds):
                print(f"{count} films, round {turn + 1} of {rounds}", file=sys.stderr)  # noqa: T201
                found.append(_round(count, frames, Path(name)))
            click.echo(_row(count, found))


if __name__ == "__main__":
    main()
