"""Are defects on seams found as often as elsewhere? Large sheets of boards, as a film, through a station with tiles.

    python samples/pcb/generate.py boards --count 480 --bare 0 --seed 90000
    python -m edge_tools.station.tiles --pictures boards

Boards of 640 x 640 are laid on sheets of 4,000 x 3,000, a little elsewhere on each, and the sheets become a lossless
film. Stations with other overlaps judge it in tiles of 640 x 640, sharing one engine. Each defect is looked for in what
they recorded: those through which the edge of a tile goes inside of the picture, and the others. The same boards one by
one, as the model was made for, say what there is to be found.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.sample import find_sample
from edge_runtime.engine import open_bundle
from edge_runtime.station.view.tiling import Rect, tiles_of

__all__ = ["Board", "Count", "Found", "Sheet", "compare", "main", "sheets"]

_SHEET = (4000, 3000)
_SIDE = 640
_ALIKE = 0.33  # least IoU of a defect that was found, as DeepPCB counts
_RIM = 10  # pixels at a board's edge in which what is found is not counted against anybody: copper ends there

Sides = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Board:
    """A picture with its defects: class index and sides x1, y1, x2, y2."""

    image: NDArray[np.uint8]
    defects: tuple[tuple[int, Sides], ...]


@dataclass(frozen=True)
class Found:
    """What was said to be somewhere."""

    class_id: int
    sides: Sides


@dataclass
class Count:
    """Defects, how many of them were found, how many twice."""

    defects: int = 0
    found: int = 0
    twice: int = 0

    @property
    def share(self) -> float:
        """Of those that there are, in per cent."""
        return 100 * self.found / max(self.defects, 1)


@dataclass
class Table:
    """One station: defects on seams and elsewhere, and how much was found that is not there."""

    seams: Count = field(default_factory=Count)
    elsewhere: Count = field(default_factory=Count)
    false: int = 0


def read_boards(folder: Path) -> list[Board]:
    """Read pictures with DeepPCB's labels beside them: `x1 y1 x2 y2 type`, type from 1."""
    boards = []
    for path in sorted(folder.glob("*.png")):
        image = cv2.imread(str(path))
        labels = path.with_suffix(".txt")
        if image is None or image.shape != (_SIDE, _SIDE, 3) or not labels.exists():
            raise click.UsageError(f"{path}: expected a picture of {_SIDE}x{_SIDE} with a .txt of labels beside it")
        rows = [tuple(map(int, line.split())) for line in labels.read_text().splitlines()]
        boards.append(Board(np.asarray(image, np.uint8), tuple((r[4] - 1, (r[0], r[1], r[2], r[3])) for r in rows)))
    return boards


@dataclass(frozen=True, eq=False)
class Sheet:
    """Boards with the upper left corner of each."""

    boards: tuple[Board, ...]
    corners: tuple[tuple[int, int], ...]

    def picture(self) -> NDArray[np.uint8]:
        """Return it, white where no board lies."""
        sheet = np.full((_SHEET[1], _SHEET[0], 3), 255, np.uint8)
        for board, (left, top) in zip(self.boards, self.corners, strict=True):
            sheet[top : top + _SIDE, left : left + _SIDE] = board.image
        return sheet


def sheets(boards: Sequence[Board], layouts: int, chance: np.random.Generator) -> list[Sheet]:
    """Lay boards on sheets, all of them so many times."""
    columns, rows = _SHEET[0] // _SIDE, _SHEET[1] // _SIDE
    laid = []
    for start in range(0, len(boards) - columns * rows + 1, columns * rows):
        for _ in range(layouts):
            lefts, tops = _spread(_SHEET[0], columns, chance), _spread(_SHEET[1], rows, chance)
            corners = tuple((left, top) for top in tops for left in lefts)
            laid.append(Sheet(tuple(boards[start : start + columns * rows]), corners))
    return laid


def _spread(length: int, count: int, chance: np.random.Generator) -> list[int]:
    """Where boards begin: what is left over lies between them by chance."""
    left = length - count * _SIDE
    cuts = np.sort(chance.integers(0, left + 1, count))
    return [int(cut) + number * _SIDE for number, cut in enumerate(cuts)]


def compare(table: Table, tiles: Sequence[Rect], board: Board, corner: tuple[int, int], found: Sequence[Found]) -> None:
    """Count what was found of one board, whose upper left corner lies there in the picture of `found`."""
    left, top = corner
    free = list(range(len(found)))
    for class_id, (x1, y1, x2, y2) in board.defects:
        sides = (x1 + left, y1 + top, x2 + left, y2 + top)
        count = table.seams if _is_cut(sides, tiles) else table.elsewhere
        count.defects += 1
        near = [n for n in free if found[n].class_id == class_id and _iou(found[n].sides, sides) >= _ALIKE]
        count.found += bool(near)
        count.twice += len(near) > 1
        free = [n for n in free if n not in near]
    inner = (left + _RIM, top + _RIM, left + _SIDE - _RIM, top + _SIDE - _RIM)
    table.false += sum(_inside(found[n].sides, inner) and not _is_known(found[n], board, corner) for n in free)


def _is_known(found: Found, board: Board, corner: tuple[int, int]) -> bool:
    """Whether it lies on a defect, of whichever class, or is a part of one."""
    left, top = corner
    return any(
        _shared(found.sides, (x1 + left, y1 + top, x2 + left, y2 + top)) > 0 for _, (x1, y1, x2, y2) in board.defects
    )


def _is_cut(sides: Sides, tiles: Sequence[Rect]) -> bool:
    """Whether the edge of a tile goes through it."""
    x1, y1, x2, y2 = sides
    for tile in tiles:
        touches = x1 < tile.right and x2 > tile.left and y1 < tile.bottom and y2 > tile.top
        if touches and not (x1 >= tile.left and x2 <= tile.right and y1 >= tile.top and y2 <= tile.bottom):
            return True
    return False


def _inside(sides: Sides, other: Sides) -> bool:
    return sides[0] >= other[0] and sides[1] >= other[1] and sides[2] <= other[2] and sides[3] <= other[3]


def _shared(one: Sides, other: Sides) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _iou(one: Sides, other: Sides) -> float:
    both = _shared(one, other)
    areas = [(sides[2] - sides[0]) * (sides[3] - sides[1]) for sides in (one, other)]
    return both / (sum(areas) - both)


def _record(folder: Path, bundle: Path, film: Path, overlaps: Sequence[int]) -> dict[str, list[list[Found]]]:
    """Run the stations; return of each what it found in each frame."""
    stations = "".join(
        f"  overlap{overlap}: {{source: {film}, bundle: {bundle}, tiles: {{width: {_SIDE}, overlap: {overlap}}}, "
        f"outputs: [jsonl: verdicts.jsonl], pictures: {{ok_every: 0, ng: false, no_read: false}}}}\n"
        for overlap in overlaps
    )
    (folder / "station.yaml").write_text(f"store: store\nstations:\n{stations}", encoding="utf-8")
    command = python_module("edge_runtime.cli.run", "station.yaml")
    done = subprocess.run(command, cwd=folder, env=python_environment(), stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"the stations ended with {done.returncode}: {done.stderr[-500:]}")
    told: dict[str, list[list[Found]]] = {}
    for line in (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["verdict"] == "NO_READ":
            raise click.ClickException(f"a sheet was not judged: {record['reasons']}")
        boxes = [(one["class"], one["box"]) for one in record["predictions"]]
        found = [Found(number, (box["x1"], box["y1"], box["x2"], box["y2"])) for number, box in boxes]
        told.setdefault(record["station"], []).append(found)
    return told


def _line(name: str, table: Table, boards: int) -> str:
    parts = [f"{c.found} of {c.defects} ({c.share:.1f} %) | {c.twice}" for c in (table.seams, table.elsewhere)]
    return f"| {name} | {' | '.join(parts)} | {table.false / boards:.2f} |"


def _film(target: Path, laid: Sequence[Sheet]) -> None:
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"FFV1"), 5, _SHEET)
    if not writer.isOpened():
        raise click.ClickException("this OpenCV cannot write a lossless film (FFV1)")
    for sheet in laid:
        writer.write(sheet.picture())
    writer.release()


def _alone(bundle: Path, laid: Sequence[Sheet]) -> list[list[Found]]:
    """What the model finds of each sheet's boards, each by itself."""
    known: dict[int, list[tuple[int, Sides]]] = {}
    with open_bundle(bundle) as engine:
        for board in {id(board): board for sheet in laid for board in sheet.boards}.values():
            (result,) = engine.run([board.image])
            boxes = [(one.class_id, one.box) for one in result.predictions]
            known[id(board)] = [(number, (b.x1, b.y1, b.x2, b.y2)) for number, b in boxes if b is not None]
    return [
        [
            Found(number, (x1 + left, y1 + top, x2 + left, y2 + top))
            for board, (left, top) in zip(sheet.boards, sheet.corners, strict=True)
            for number, (x1, y1, x2, y2) in known[id(board)]
        ]
        for sheet in laid
    ]


@click.command()
@click.option("--pictures", "folder", required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--overlap", "overlaps", multiple=True, default=(128, 64, 16), help="Of a station each.")
@click.option("--layouts", default=5, help="How often all boards are laid on sheets.")
@click.option("--seed", default=1, help="Of where boards lie on the sheets.")
def main(folder: Path, overlaps: tuple[int, ...], layouts: int, seed: int) -> None:
    """Print the table."""
    laid = sheets(read_boards(folder), layouts, np.random.default_rng(seed))
    if not laid:
        raise click.UsageError(f"a sheet takes {(_SHEET[0] // _SIDE) * (_SHEET[1] // _SIDE)} boards")
    bundle = find_sample().bundle
    with tempfile.TemporaryDirectory(prefix="edge-tiles-") as work:
        _film(Path(work) / "sheets.avi", laid)
        told = _record(Path(work), bundle, Path(work) / "sheets.avi", overlaps)
    alone = _alone(bundle, laid)
    boards = sum(len(sheet.boards) for sheet in laid)
    click.echo("| overlap | on seams | twice | elsewhere | twice | false, a board |")
    click.echo("| --- | --- | ---: | --- | ---: | ---: |")
    for overlap in overlaps:
        tiles = tiles_of(Rect(0, 0, *_SHEET), (_SIDE, _SIDE), overlap)
        for name, found in ((f"{overlap}", told[f"overlap{overlap}"]), ("the same, each board alone", alone)):
            table = Table()
            for sheet, seen in zip(laid, found, strict=True):
                for board, corner in zip(sheet.boards, sheet.corners, strict=True):
                    compare(table, tiles, board, corner, seen)
            click.echo(_line(name, table, boards))


if __name__ == "__main__":
    main()
