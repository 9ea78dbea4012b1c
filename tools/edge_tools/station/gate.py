"""What does a gate save on films of the belt, and what does it lose? Each film as it is, and with a sensor's noise.

    python samples/pcb/belt.py long.mp4 --seed 700 --boards 40 --bare 1 --bare 3 --bare 17
    python -m edge_tools.station.gate samples/pcb/belt.mp4 long.mp4 --noise 2

`edge-station gate` itself judges every picture with the gate and without: a defect is lost where a picture shows it
without the gate, and with it not.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import GateError

__all__ = ["main", "measured", "with_noise"]

_RECIPE = """\
store: store
stations:
  belt: {{source: {film}, bundle: {bundle}, gate: {{proof: gate.json, margin: {margin}}}}}
"""


def measured(film: Path, budget: str, margin: float) -> dict[str, Any]:
    """Return what `edge-station gate` measures on a film, with `noise` and whether it `passed`."""
    with tempfile.TemporaryDirectory(prefix="edge-gate-") as work:
        folder = Path(work)
        (folder / "labelled").mkdir()
        (folder / "labelled" / film.name).symlink_to(film.absolute())
        recipe = _RECIPE.format(film=film.absolute(), bundle=find_sample().bundle, margin=margin)
        (folder / "station.yaml").write_text(recipe, encoding="utf-8")
        words = ("gate", "station.yaml", "labelled", "--budget", budget)
        command = python_module("edge_runtime.cli.station", *words)
        done = subprocess.run(
            command, cwd=folder, env=python_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, GateError.exit_code):
            raise click.ClickException(f"edge-station gate ended with {done.returncode}: {done.stderr[-500:]}")
        told = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
        return {**told["measured"], "noise": told["noise"], "passed": told["passed"]}


def with_noise(film: Path, target: Path, sigma: float, seed: int = 1) -> None:
    """Write a film again, lossless, each picture with noise of its own (standard deviation in levels)."""
    reader = cv2.VideoCapture(str(film))
    size = int(reader.get(cv2.CAP_PROP_FRAME_WIDTH)), int(reader.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"FFV1"), reader.get(cv2.CAP_PROP_FPS), size)
    if not writer.isOpened():
        raise click.ClickException("this OpenCV cannot write a lossless film (FFV1)")
    chance = np.random.default_rng(seed)
    while True:
        there, frame = reader.read()
        if not there:
            break
        grain = chance.standard_normal(frame.shape[:2], np.float32)[..., None] * np.float32(sigma)
        # From black and white to what a sensor gives, so that its noise is not cut off at either end.
        writer.write(np.clip(np.rint(frame * np.float32(0.8) + 25 + grain), 0, 255).astype(np.uint8))
    reader.release()
    writer.release()


@click.command()
@click.argument("films", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--noise", "sigma", type=float, default=0.0, help="Each film again with so much noise.")
@click.option("--budget", default="0.1%", show_default=True)
@click.option("--margin", type=float, default=0.03, show_default=True, help="Of the gate.")
def main(films: tuple[Path, ...], sigma: float, budget: str, margin: float) -> None:
    """Print the table."""
    click.echo(
        "| film | pictures | runs saved | time saved | defects lost | NG that are OK | OK that are NG | limits |"
    )
    click.echo("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for film in films:
        click.echo(_line(film.name, measured(film, budget, margin)))
        if sigma:
            with tempfile.TemporaryDirectory(prefix="edge-noise-") as work:
                noisy = Path(work) / f"{film.stem}.avi"
                with_noise(film, noisy, sigma)
                click.echo(_line(f"{film.name}, noise {sigma:g}", measured(noisy, budget, margin)))


def _line(name: str, told: dict[str, Any]) -> str:
    limits = "none" if told["noise"] is None else ", ".join(f"{value:g}" for value in told["noise"].values())
    return (
        f"| {name} | {told['pictures']} | {told['saved']:.1%} | {1 - told['seconds'] / told['full_s']:.1%} | "
        f"{told['lost']} of {told['found']} | {told['escaped']} of {told['ng']} | {told['overkill']} | {limits} |"
    )


if __name__ == "__main__":
    main()
