"""Is a part whose picture is damaged ever OK? Boards with a defect, damaged in 20 ways and more, before real stations.

    python samples/pcb/generate.py boards --count 60 --bare 0 --seed 90000 --templates
    python -m edge_tools.station.escapes --pictures boards         300 damaged pictures, 1,000 undamaged ones

Each board is a scene with a station of its own, which learns from 20 good pictures (`edge-station learn`) what its
pictures must be like. Then `edge-run station.yaml` judges damaged pictures of the board with its defect: files that
are cut, holed, half filled (edge_tools.damage), and whole ones of a camera that is dark, blurred, moved, covered. None
may be OK; NG with the defect found is right, too. Undamaged ones of the good board tell how many are refused in vain.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import cv2

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.console import run_command
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import EngineError
from edge_runtime.store.reading import Asked, open_reader
from edge_tools.damage.boards import Board
from edge_tools.damage.chosen import choose
from edge_tools.damage.judge import EdgeRun, default_command
from edge_tools.damage.optical import OPTICAL, good_pictures, spoilt
from edge_tools.damage.variants import FILE_KINDS, Variant, made

__all__ = ["Outcomes", "main", "run_escapes"]

_LEARNT = 20  # good pictures
_FORM = "jpeg restarts"  # what cameras write; every kind of damage fits it
_SKIPPED = frozenset({"gray"})  # of optical ones: the gray of a file's is there


@dataclass
class Outcomes:
    """What became of the pictures: of each kind of damage how many had which verdict, and those that escaped."""

    damaged: dict[str, Counter[str]] = field(default_factory=dict)
    undamaged: Counter[str] = field(default_factory=Counter)
    escapes: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """Return them as a table."""
        rows = ["| damage | pictures | NO_READ | NG | OK |", "| --- | --- | --- | --- | --- |"]
        for kind, counts in [*self.damaged.items(), ("all", sum(self.damaged.values(), Counter()))]:
            rows.append(f"| {kind} | {counts.total()} | {counts['NO_READ']} | {counts['NG']} | {counts['OK']} |")
        count, lost = self.undamaged.total(), self.undamaged["NO_READ"]
        share = lost / count if count else 0.0
        return [*rows, "", f"{count} undamaged pictures: {lost} NO_READ ({share:.2%})", *map(str, self.refused.items())]


def run_escapes(
    boards: Sequence[Board], damaged: int, undamaged: int, folder: Path, bundle: Path, seed: int
) -> Outcomes:
    """Damage so many pictures, shared out to the boards and kinds, and have stations judge them. Raises EngineError."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, list[str]] = {}
    for scene, board in enumerate(boards):
        for number, picture in enumerate(good_pictures(board, _LEARNT + -(-undamaged // len(boards)), seed + scene)):
            place = folder / (f"good-{scene}" if number < _LEARNT else f"in-{scene}")
            place.mkdir(exist_ok=True)
            cv2.imwrite(str(place / f"u{number:05d}.png"), picture)
    ways = [*FILE_KINDS, *(kind for kind in OPTICAL if kind not in _SKIPPED)]
    for number in range(damaged):
        kind, scene = ways[number % len(ways)], number // len(ways) % len(boards)
        rounds = max(1, -(-damaged // len(ways)))
        severity = 0.05 + 0.9 * (number // len(ways) + 0.5) / rounds
        name = _write(folder / f"in-{scene}", number, kind, severity, boards[scene], boards, seed)
        kinds.setdefault(kind, []).append(name)
    stations = {
        f"s{scene}": {
            "source": f"in-{scene}",
            "bundle": str(bundle),
            "health": f"{scene}.json",
            "pictures": {"ok_every": 0},
        }
        for scene in range(len(boards))
    }
    (folder / "station.yaml").write_text(json.dumps({"store": {"path": "store"}, "stations": stations}))
    for scene in range(len(boards)):
        words = ("learn", "station.yaml", f"good-{scene}", "--station", f"s{scene}")
        _run("edge_runtime.cli.station", words, folder)
    _run("edge_runtime.cli.run", ("station.yaml",), folder)
    return _counted(folder, {name: kind for kind, names in kinds.items() for name in names})


def _write(
    folder: Path, number: int, kind: str, severity: float, board: Board, boards: Sequence[Board], seed: int
) -> str:
    """Write a damaged picture of a board, and return its name without the suffix."""
    name = f"d{number:05d}"
    if kind in OPTICAL:
        cv2.imwrite(str(folder / f"{name}.png"), spoilt(board, kind, severity, seed + number))
        return name
    scene = next(place for place, other in enumerate(boards) if other is board)
    for turn in range(50):  # some damage changes nothing
        data = made(Variant(number, kind, _FORM, scene, severity, seed + number + 1000 * turn), boards)
        if data is not None:
            (folder / f"{name}.jpg").write_bytes(data)
            return name
    raise EngineError(f"{kind} changes nothing in 50 attempts")


def _run(module: str, words: Sequence[str], folder: Path) -> None:
    command, environment = python_module(module, *words), python_environment()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")


def _counted(folder: Path, kinds: dict[str, str]) -> Outcomes:
    found = Outcomes({kind: Counter() for kind in kinds.values()})
    seen = set()
    with contextlib.closing(open_reader(folder / "store")) as reader:
        for stored in reader.query(Asked()):
            record = json.loads(stored.body)
            name, verdict = Path(record["image"]).stem, record["verdict"]
            seen.add(name)
            if name.startswith("u"):
                found.undamaged[verdict] += 1
                if verdict == "NO_READ":
                    found.refused[record["reasons"][0].split(":")[0]] += 1
                continue
            found.damaged[kinds[name]][verdict] += 1
            if verdict == "OK":
                found.escapes.append(f"{record['image']} ({kinds[name]}) is OK")
    found.escapes += [f"{name} ({kind}) has no verdict" for name, kind in kinds.items() if name not in seen]
    return found


@click.command(epilog=__doc__.partition("\n\n")[2] if __doc__ else None)
@click.option(
    "--pictures", required=True, type=click.Path(exists=True, path_type=Path), help="As generate.py makes them."
)
@click.option("--boards", default=10, show_default=True, type=click.IntRange(min=1), help="Scenes, a station each.")
@click.option("--damaged", default=300, show_default=True, type=click.IntRange(min=1), help="In all.")
@click.option("--undamaged", default=1000, show_default=True, type=click.IntRange(min=1), help="In all.")
@click.option("--bundle", type=click.Path(path_type=Path), help="[default: the sample]")
@click.option("--seed", default=1, show_default=True, help="Same seed, same damage.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here.")
def station_escapes(
    pictures: Path, boards: int, damaged: int, undamaged: int, bundle: Path | None, seed: int, folder: Path | None
) -> int:
    """Have stations judge damaged pictures of boards with defects, and count those that are OK."""
    bundle = (bundle or find_sample().bundle).resolve()
    with tempfile.TemporaryDirectory(prefix="edgeline-escapes-") as temporary:
        place = (folder or Path(temporary)).resolve()
        chosen = choose(pictures, boards, seed, EdgeRun(default_command(), bundle), place / "boards")
        found = run_escapes(chosen, damaged, undamaged, place, bundle, seed)
    click.echo("\n".join(found.lines()))
    for line in found.escapes:
        click.echo(line, err=True)
    return 1 if found.escapes else 0


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(station_escapes, "station_escapes")


if __name__ == "__main__":
    main()
