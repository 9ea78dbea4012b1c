"""Writes made-up boards as pictures with labels.

    python samples/pcb/generate.py samples/pcb/images --count 12 --bare 4 --seed 7

Labels are in DeepPCB's format, a line per defect: `x1 y1 x2 y2 type`, pixels, type 1 to 6 in the order open, short,
mousebite, spur, copper, pinhole. A board without defects has an empty label file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `python samples/pcb/generate.py`

import click
import cv2
import numpy as np

from pcb import board, defects, scan
from pcb.canvas import Mask

FEWEST, MOST = 3, 12  # defects on a board that has any


@dataclass(frozen=True)
class Sample:
    """A scanned board without and with its defects, copper masks [size, size], and what was planted."""

    clean: Mask
    copper: Mask
    found: tuple[defects.Defect, ...]


def sample(seed: int, bare: bool = False, size: int = 640) -> Sample:
    """Board number `seed` with its defects (none if `bare`). Same seed, same sample."""
    rng = np.random.default_rng([seed, 0x5A3])
    clean = scan.binarise(board.draw(seed, size), rng, scan.Scanner.random(rng))
    if bare:
        return Sample(clean, clean, ())
    count = int(rng.integers(FEWEST, MOST + 1))
    labels = rng.permutation(np.resize(rng.permutation(len(defects.NAMES)), count)).tolist()
    copper, found = defects.plant(clean, rng, labels)
    return Sample(clean, copper, tuple(found))


def label_text(found: tuple[defects.Defect, ...]) -> str:
    return "".join(f"{d.x1} {d.y1} {d.x2} {d.y2} {d.label + 1}\n" for d in found)


def bilevel_png(copper: Mask) -> bytes:
    """The picture, copper black on white, as a PNG of one bit per pixel."""
    exact = scan.picture(copper, 0)
    return cv2.imencode(".png", exact, [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--count", default=12, help="How many boards.")
@click.option("--bare", default=4, help="How many of them, the last ones, have no defect.")
@click.option("--seed", default=7, help="Number of the first board.")
@click.option("--size", default=640, help="Side of the pictures, pixels.")
@click.option("--templates", is_flag=True, help="Also write each board without its defects, as NAME_temp.png.")
def main(folder: Path, count: int, bare: int, seed: int, size: int, templates: bool) -> None:
    """Write boards with labels to FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        made = sample(seed + i, i >= count - bare, size)
        stem = folder / f"board-{i:02d}"
        stem.with_suffix(".png").write_bytes(bilevel_png(made.copper))
        stem.with_suffix(".txt").write_text(label_text(made.found))
        if templates:
            stem.with_name(f"{stem.name}_temp.png").write_bytes(bilevel_png(made.clean))
    click.echo(f"{count} boards in {folder}, {min(bare, count)} of them without defects")


if __name__ == "__main__":
    main()
