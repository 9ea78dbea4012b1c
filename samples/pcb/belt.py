"""Films boards on a conveyor: `python samples/pcb/belt.py samples/pcb/belt.mp4`.

The belt carries board after board under the camera and stops while each fills the picture.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `python samples/pcb/belt.py`

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from pcb import scan
from pcb.generate import sample

CODEC = "vp09"  # a tenth of the size of mp4v for pictures like these


@dataclass(frozen=True)
class Belt:
    """How the belt runs. Frames at `rate` per second; `gap` pixels of belt between two boards."""

    rate: float = 15.0
    still: int = 14
    moving: int = 6
    gap: int = 128
    shade: int = 120


def frames(seeds: list[int], bare: set[int], belt: Belt) -> Iterator[NDArray[np.uint8]]:
    """The film's frames [640, 640] grey: board `seeds[i]`, without defects if `i` is in `bare`."""
    boards = [scan.picture(sample(seed, i in bare).copper, 0) for i, seed in enumerate(seeds)]
    size = boards[0].shape[0]
    rubber = np.full((belt.gap, size), belt.shade, np.uint8)
    rubber[::16] = belt.shade - 40
    strip = np.concatenate([part for picture in boards for part in (picture, rubber)])
    for i in range(len(boards)):
        top = i * (size + belt.gap)
        for _ in range(belt.still):
            yield strip[top : top + size]
        if i + 1 < len(boards):
            for step in range(1, belt.moving):
                shift = top + (size + belt.gap) * step // belt.moving
                yield strip[shift : shift + size]


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--seed", default=506, help="Number of the first board.")
@click.option("--boards", default=5)
@click.option("--bare", default=(1, 3), multiple=True, help="Boards without defects, counted from 0.")
def main(target: Path, seed: int, boards: int, bare: tuple[int, ...]) -> None:
    """Write the film to TARGET (.mp4)."""
    belt = Belt()
    film = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*CODEC), belt.rate, (640, 640))
    if not film.isOpened():
        raise click.ClickException(f"{target}: this OpenCV cannot write VP9 video there")
    for frame in frames(list(range(seed, seed + boards)), set(bare), belt):
        film.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    film.release()
    click.echo(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
