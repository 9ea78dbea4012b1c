"""How much of the engine's rate is left at a station's end: from video files to committed and published verdicts.

    python -m edge_tools.station.bench --rounds 5          as one film, then as 8 at once; it needs ffmpeg
    python -m edge_tools.station.bench --bundle detector.edge --model detector.onnx        another model on that film

In turns, on the same frames of the sample's film: the engine alone on decoded pictures in memory, as a station of films
opens it and with one run at a time; a station, whose verdicts are in its store and told as JSON lines when it ends; and
a plain loop of OpenCV and onnxruntime on the FP32 model, which stores nothing. A rate is that of the frames by which a
long run is longer than a short one: starting up is in neither. Ratios are of one round; the table holds their median
and their range.

Processor time is counted too, of all processes, for one frame: where every core is busy, a station is slower by what it
takes beside its engine, and where other work wants the cores, too, this is what can still be compared.
"""

from __future__ import annotations

import json
import resource
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
from edge_runtime.tune.choice import Goal
from edge_runtime.tune.standing import Asked, stand

__all__ = ["Rate", "Rates", "Subject", "boxes_of_ultralytics", "engine_rate", "loop_rate", "main", "station_rate"]

_BATCHES = (1, 2, 4)


@dataclass(frozen=True)
class Rate:
    """Frames a second, and milliseconds of processor time that one takes."""

    frames: float
    cpu_ms: float


@dataclass(frozen=True)
class Rates:
    """Of one round. `alone`: the engine with one run at a time."""

    engine: Rate
    alone: Rate
    station: Rate
    loop: Rate


@dataclass(frozen=True)
class Subject:
    """A model as a bundle and as plain ONNX; `ours`: laid out as the sample's, else as Ultralytics exports them."""

    bundle: Path
    model: Path
    film: Path
    ours: bool
    pictures: bool = True  # whether the station keeps any


def engine_rate(bundle: Path, film: Path, frames: int, goal: Goal = "throughput") -> Rate:
    """The engine alone, as edge-run opens it for that goal here: the best of some batches, on all its lanes."""
    pictures = _pictures(film, 64)
    session = stand(read_bundle(bundle, check_hashes=False).sha256, Asked("cpu", goal=goal, served=True)).session
    with open_bundle(bundle, session=session) as engine:

        def work(batch: int, count: int) -> None:
            for start in range(0, count, batch):
                engine.run([pictures[(start + one) % len(pictures)] for one in range(batch)])

        def rate(batch: int) -> Rate:
            work(batch, batch)
            share = max(batch, frames // engine.lanes // batch * batch)
            threads = [threading.Thread(target=work, args=(batch, share)) for _ in range(engine.lanes)]
            started, cpu = time.perf_counter(), time.process_time()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            count = share * engine.lanes
            return Rate(count / (time.perf_counter() - started), 1000 * (time.process_time() - cpu) / count)

        return max(map(rate, _BATCHES), key=lambda found: found.frames)


def station_rate(subject: Subject, films: int, frames: int, folder: Path) -> Rate:
    """A station for each of so many films, one process: the rate behind the start, until all is committed and told."""
    return _slope(
        lambda count: _station(subject, _long(subject.film, count, folder), films, folder), frames // films, films
    )


def loop_rate(subject: Subject, frames: int, folder: Path) -> Rate:
    """What one would write in an hour: VideoCapture, onnxruntime's defaults, boxes over a threshold, NMS."""
    session = onnxruntime.InferenceSession(str(subject.model), providers=["CPUExecutionProvider"])
    (asked,) = session.get_inputs()

    def run(count: int) -> int:
        capture, judged = cv2.VideoCapture(str(_long(subject.film, count, folder))), 0
        while (found := capture.read())[0]:
            if subject.ours:
                gray = cv2.cvtColor(found[1], cv2.COLOR_BGR2GRAY)
                tensor = (gray.astype(np.float32) / 255)[None, None]
            else:
                tensor = np.asarray(
                    cv2.dnn.blobFromImage(found[1], 1 / 255, asked.shape[:1:-1], swapRB=True), np.float32
                )
            (raw,) = session.run(None, {asked.name: tensor})
            (_boxes if subject.ours else boxes_of_ultralytics)(np.asarray(raw)[0])
            judged += 1
        capture.release()
        return judged

    return _slope(run, frames, 1)


def _slope(run: Callable[[int], int], frames: int, films: int) -> Rate:
    times, cpu, counts = [], [], []
    for share in (4, 1):
        started, used = time.perf_counter(), _cpu_s()
        counts.append(run(frames // share) * films)
        times.append(time.perf_counter() - started)
        cpu.append(_cpu_s() - used)
    more = counts[1] - counts[0]
    return Rate(more / (times[1] - times[0]), 1000 * (cpu[1] - cpu[0]) / more)


def _cpu_s() -> float:
    """Processor time of this process and of those of its children, and theirs, that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _station(subject: Subject, film: Path, films: int, folder: Path) -> int:
    # It stays until all is measured: ext4 without a journal looks long for a place where much was removed lately.
    place = Path(tempfile.mkdtemp(dir=folder))
    belt: dict[str, object] = {"source": str(film), "bundle": str(subject.bundle)}
    belt["outputs"] = [{"jsonl": "verdicts.jsonl"}]
    if not subject.pictures:
        belt["pictures"] = {"ok_every": 0, "ng": False, "no_read": False}
    stations = {f"belt{number}": belt for number in range(films)}
    recipe = place / "station.yaml"
    recipe.write_text(json.dumps({"store": "store", "stations": stations}), encoding="utf-8")  # JSON is YAML
    command = python_module("edge_runtime.cli.run", recipe.name)
    subprocess.run(command, cwd=place, env=python_environment(), check=True, stderr=subprocess.DEVNULL)
    return (place / "verdicts.jsonl").read_text(encoding="utf-8").count("\n") // films


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


def boxes_of_ultralytics(raw: NDArray[np.float32], threshold: float = 0.25) -> list[int]:
    """The same of [4 + C, A] with centres and sides in pixels, and scores from 0 to 1."""
    scores = raw[4:].max(axis=0)
    places = np.flatnonzero(scores > threshold)
    corners = raw[:2, places] - raw[2:4, places] / 2
    boxes = np.concatenate([corners, raw[2:4, places]]).T.tolist()
    return list(cv2.dnn.NMSBoxes(boxes, scores[places].tolist(), threshold, 0.4)) if boxes else []


def _round(subject: Subject, films: int, frames: int, folder: Path) -> Rates:
    return Rates(
        engine_rate(subject.bundle, subject.film, frames),
        engine_rate(subject.bundle, subject.film, frames, "latency"),
        station_rate(subject, films, frames, folder),
        loop_rate(subject, frames, folder),
    )


def _row(films: int, rounds: list[Rates]) -> str:
    def range_of(ratios: list[float]) -> str:
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    def middle(name: str, what: str) -> float:
        return float(statistics.median(getattr(getattr(one, name), what) for one in rounds))

    ways = ("engine", "alone", "station", "loop")
    ratios = [
        range_of([one.station.frames / getattr(one, name).frames for one in rounds])
        for name in ("engine", "alone", "loop")
    ]
    rates = [f"{middle(name, 'frames'):.0f}" for name in ways]
    cpu = [f"{middle(name, 'cpu_ms'):.1f}" for name in ways]
    return f"| {films} | {' | '.join([*rates, *ratios, *cpu])} |"


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--frames", type=click.IntRange(min=80), default=1600, show_default=True, help="In all, of a long run.")
@click.option("--films", multiple=True, type=click.IntRange(min=1), default=(1, 8), show_default=True, help="At once.")
@click.option("--bundle", type=click.Path(path_type=Path, exists=True), help="Another one than the sample's.")
@click.option("--model", type=click.Path(path_type=Path, exists=True), help="The same as Ultralytics exports it, FP32.")
@click.option("--no-pictures", is_flag=True, help="The station keeps none.")
def main(
    rounds: int, frames: int, films: tuple[int, ...], bundle: Path | None, model: Path | None, no_pictures: bool
) -> None:
    """Measure what a station leaves of the engine's own rate."""
    if (bundle is None) != (model is None):
        raise UsageError("--bundle and --model are one model in two forms: give both")
    folder = find_sample().images.parent
    subject = Subject(
        (bundle or find_sample().bundle).absolute(),
        model or folder / "pcb.onnx",
        folder / "belt.mp4",
        bundle is None,
        not no_pictures,
    )
    click.echo(
        "| films | engine, frames/s | one run at a time | station | plain loop, FP32 | station to engine | "
        "to one run at a time | to loop | engine, ms of CPU | one run at a time | station | plain loop |"
    )
    click.echo("|" + " ---: |" * 12)
    with tempfile.TemporaryDirectory(prefix="edgeline-station-") as name:
        for count in films:
            found = []
            for turn in range(rounds):
                print(f"{count} films, round {turn + 1} of {rounds}", file=sys.stderr)  # noqa: T201
                found.append(_round(subject, count, frames, Path(name)))
            click.echo(_row(count, found))


if __name__ == "__main__":
    main()
