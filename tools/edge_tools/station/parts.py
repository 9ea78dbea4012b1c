"""Is each part on a belt judged once, and by its own picture? Films of many parts are counted.


    python samples/pcb/generate.py boards --count 1800 --bare 1600 --size 288 --seed 1000
    python -m edge_tools.station.parts --boards boards        200 parts at each of three speeds

A belt carries boards under the camera (as samples/pcb/belt.py does), nearer to each other than the view is wide: two
are in view most of the time. Some stop in the middle, some half-way into the view; the light flickers, the camera
trembles. Every film runs through `edge-run station.yaml` with the trigger `presence`. Of each verdict it is known from
the film's drawing which part its frame shows wholly and nearest to the middle, and whether that part has a defect.
Boards are taken that the bundle judges right alone on the belt; what it still errs in elsewhere is counted apart.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
import cv2
import numpy as np

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.console import run_command
from edge_runtime.cli.sample import find_sample
from edge_runtime.engine import open_bundle
from edge_runtime.errors import DataError, EngineError
from edge_runtime.results import Judge
from edge_runtime.store.reading import Asked, open_reader

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SPEEDS", "Counted", "Part", "Speed", "choose", "count", "main"]

_VIEW, _GAP = 640, 96  # pixels
_LEAD = _VIEW + 20  # of empty belt before the first part
_SHADE, _RIB, _EVERY = 120, 80, 16  # the rubber's level, and that of each so manieth row
_FPS = 15.0
_SURE, _UNSURE = 0.6, 0.42  # confidences: a defect is found by the first, a good board has nothing by the second
_TRIES = ((0, 0), (5, -1), (-5, 2), (8, 0), (-8, 1))  # pixels by which a board that is judged right may lie elsewhere


@dataclass(frozen=True)
class Speed:
    """How the belt runs: pixels a frame; of how many parts one stops, each half-way one, and for how many frames."""

    name: str
    pixels: float
    stops: int = 3
    half_way: int = 5
    still: int = 9


SPEEDS = (Speed("slow", 14), Speed("medium", 40), Speed("fast", 96))


@dataclass(frozen=True, eq=False)
class Part:
    """A board, gray [size, size], and whether it has a defect."""

    picture: NDArray[np.uint8]
    defect: bool


@dataclass
class Counted:
    """What came of a film. `wrong`: each verdict that is not about its part; `judged`: those that the bundle erred in.

    `right`: verdicts about their parts, by a picture that shows it wholly. `as_is`: of those that say what it is.
    """

    speed: Speed
    parts: int
    frames: int = 0
    two_in_view: int = 0
    verdicts: int = 0
    right: int = 0
    as_is: int = 0
    wrong: list[str] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Return it as a row of the table."""
        speed = self.speed
        return (
            f"| {speed.name}, {speed.pixels / _VIEW:.0%} of the view a frame | {self.frames} | {self.two_in_view} "
            f"| {self.parts} | {self.verdicts} | {self.right} | {self.as_is} |"
        )


HEADING = """\
| belt | frames | with two parts in view | parts | verdicts | for the right part | and as it is |
| --- | --- | --- | --- | --- | --- | --- |"""


def choose(folder: Path, count: int, judge: Judge, seed: int) -> list[Part]:
    """Return so many boards of a folder, about half with a defect, that are surely judged right alone on the belt.

    `judge` reports all that it finds with a confidence of _UNSURE.

    Raises DataError where there are too few.
    """
    rng = np.random.default_rng(seed)
    paths = sorted(path for path in folder.glob("*.png") if path.with_suffix(".txt").exists())
    found: dict[bool, list[Part]] = {True: [], False: []}
    wanted = {True: count // 2, False: count - count // 2}
    for number in rng.permutation(len(paths)).tolist():
        defect = bool(paths[number].with_suffix(".txt").read_text().strip())
        picture = cv2.imread(str(paths[number]), cv2.IMREAD_GRAYSCALE)
        if picture is None or len(found[defect]) == wanted[defect]:
            continue
        part = Part(np.asarray(picture, np.uint8), defect)
        if all(_judged_right(part, judge, place) for place in _TRIES):
            found[defect].append(part)
    if any(len(found[defect]) < wanted[defect] for defect in wanted):
        raise DataError(
            f"{folder}: {len(found[True])} boards with a defect and {len(found[False])} without are judged right alone "
            f"on the belt, {wanted[True]} and {wanted[False]} are wanted; generate more"
        )
    parts = found[True] + found[False]
    return [parts[number] for number in rng.permutation(len(parts)).tolist()]


def _judged_right(part: Part, judge: Judge, place: tuple[int, int]) -> bool:
    view = _belt(_VIEW, 0)
    size = len(part.picture)
    top, left = ((_VIEW - size) // 2 + place[0], (_VIEW - size) // 2 + place[1])
    view[top : top + size, left : left + size] = part.picture
    seen = _taken(view, 1.0 + 0.01 * place[0], np.random.default_rng(abs(place[0])))
    result = judge.run([cv2.cvtColor(seen, cv2.COLOR_GRAY2BGR).astype(np.uint8)])[0]
    surest = max((found.confidence for found in result.predictions), default=0.0)
    return surest >= _SURE if part.defect else not result.predictions


def _belt(rows: int, offset: int) -> NDArray[np.uint8]:
    belt = np.full((rows, _VIEW), _SHADE, np.uint8)
    belt[(np.arange(rows) + offset) % _EVERY == 0] = _RIB
    return belt


def _offsets(parts: int, size: int, speed: Speed) -> Iterator[float]:
    """How far the belt has come in each frame: from an empty view to an empty view."""
    pitch, at = size + _GAP, 0.0
    halts = []
    for number in range(parts):
        middle = _LEAD + number * pitch + size / 2 - _VIEW / 2
        if number % speed.half_way == speed.half_way - 1:
            halts.append(middle - _VIEW / 2)  # half of it is in view
        if number % speed.stops == 0:
            halts.append(middle)
    halts.sort()
    end = _LEAD + parts * pitch + 40
    while at < end:
        yield at
        at += speed.pixels
        if halts and at >= halts[0]:
            at = halts.pop(0)
            for _ in range(speed.still - 1):
                yield at


def _frames(parts: Sequence[Part], offsets: Sequence[float], rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    size = len(parts[0].picture)
    pitch = size + _GAP
    left = (_VIEW - size) // 2
    strip = _belt(_LEAD + len(parts) * pitch + 2 * _VIEW, 0)
    for number, part in enumerate(parts):
        top = _LEAD + number * pitch
        strip[top : top + size, left : left + size] = part.picture
    for number, offset in enumerate(offsets):
        shake = rng.integers(-2, 3, 2)
        top = int(np.clip(round(offset) + int(shake[0]), 0, len(strip) - _VIEW))
        view = np.roll(strip[top : top + _VIEW], int(shake[1]), axis=1)
        yield _taken(view, 1.0 + 0.08 * np.sin(2 * np.pi * 0.37 * number) + rng.normal(0, 0.01), rng)


def _taken(view: NDArray[np.uint8], light: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What a camera makes of it."""
    noisy = view.astype(np.float32) * 0.85 * light + rng.normal(0, 2.0, view.shape).astype(np.float32) + 6
    return cast("NDArray[np.uint8]", noisy.clip(0, 255).astype(np.uint8))


def _whole(frame: float, parts: int, size: int) -> list[int]:
    """The parts that are wholly in view when the belt has come so far, the nearest to the middle first."""
    found = []
    for number in range(parts):
        top = _LEAD + number * (size + _GAP) - frame
        if top >= -3 and top + size <= _VIEW + 3:
            found.append((abs(top + size / 2 - _VIEW / 2), number))
    return [number for _, number in sorted(found)]


def _in_view(frame: float, parts: int, size: int) -> int:
    tops = [_LEAD + number * (size + _GAP) - frame for number in range(parts)]
    return sum(-size < top < _VIEW for top in tops)


def count(parts: Sequence[Part], speed: Speed, folder: Path, bundle: Path, seed: int) -> Counted:
    """Make a film of the parts, run a station on it, and count its verdicts. Raises EngineError where it fails."""
    size = len(parts[0].picture)
    offsets = list(_offsets(len(parts), size, speed))
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    film = cv2.VideoWriter(str(folder / "belt.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), _FPS, (_VIEW, _VIEW))
    for view in _frames(parts, offsets, rng):
        film.write(cv2.cvtColor(view, cv2.COLOR_GRAY2BGR))
    film.release()
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    for number, view in enumerate(_frames(parts, [0.0, 3.0, 7.0, 11.0], rng)):
        cv2.imwrite(str(empty / f"{number}.png"), view)
    recipe = {
        "store": {"path": "store"},
        "stations": {
            "belt": {"source": "belt.mp4", "bundle": str(bundle), "trigger": {"presence": {"empty": "empty"}}}
        },
    }
    (folder / "station.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    done = subprocess.run(
        python_module("edge_runtime.cli.run", "station.yaml"),
        cwd=folder,
        env=python_environment(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EngineError(f"edge-run ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    counted = Counted(speed, len(parts), len(offsets), sum(_in_view(at, len(parts), size) > 1 for at in offsets))
    with contextlib.closing(open_reader(folder / "store")) as reader:
        for number, stored in enumerate(reader.query(Asked())):
            _count_one(json.loads(stored.body), number, parts, offsets, counted)
    counted.wrong += [f"part {number} has no verdict" for number in range(counted.verdicts, len(parts))]
    return counted


def _count_one(
    record: dict[str, object], number: int, parts: Sequence[Part], offsets: Sequence[float], counted: Counted
) -> None:
    counted.verdicts += 1
    frame = record["frame_id"]
    shown = _whole(offsets[frame], len(parts), len(parts[0].picture)) if isinstance(frame, int) else []
    if number not in shown:
        counted.wrong.append(f"verdict {number} ({record['verdict']}) is of frame {frame}, which shows {shown} wholly")
        return
    counted.right += 1
    right = "NG" if parts[number].defect else "OK"
    if record["verdict"] == "NO_READ":
        counted.wrong.append(f"part {number} was not read: {record['reasons']}")
    elif record["verdict"] == right:
        counted.as_is += 1
    else:
        counted.judged.append(f"part {number} is {right}, and was told {record['verdict']}: {record['reasons']}")


@click.command(epilog=__doc__.partition("\n\n")[2] if __doc__ else None)
@click.option(
    "--boards", required=True, type=click.Path(exists=True, path_type=Path), help="As generate.py makes them."
)
@click.option("--parts", default=200, show_default=True, type=click.IntRange(min=1), help="How many in each film.")
@click.option("--bundle", type=click.Path(path_type=Path), help="[default: the sample]")
@click.option("--seed", default=1, show_default=True, help="Same seed, same films.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here.")
def station_parts(boards: Path, parts: int, bundle: Path | None, seed: int, folder: Path | None) -> int:
    """Film parts on a belt at three speeds, and count the verdicts of a station that looks at them."""
    bundle = (bundle or find_sample().bundle).resolve()
    judge = open_bundle(bundle, confidence=_UNSURE)
    try:
        chosen = choose(boards, parts, judge, seed)
    finally:
        judge.close()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="edgeline-parts-") as temporary:
        place = folder or Path(temporary)
        click.echo(HEADING)
        for number, speed in enumerate(SPEEDS):
            counted = count(chosen, speed, place / speed.name, bundle, seed + number)
            click.echo(counted.row())
            for line in [*counted.wrong, *counted.judged]:
                click.echo(f"  {line}", err=True)
            wrong += len(counted.wrong)
    return 1 if wrong else 0


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(station_parts, "station_parts")


if __name__ == "__main__":
    main()
