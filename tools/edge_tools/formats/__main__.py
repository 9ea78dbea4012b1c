"""`python -m edge_tools.formats`: the matrix of containers, codecs and pixel formats.

    python samples/pcb/generate.py boards --count 12 --bare 0 --seed 90000 --templates
    python -m edge_tools.formats --pictures boards -o formats.md

A short film of a board with a defect is written by this machine's ffmpeg in every way that it knows, and given to
edge-run. right: NG in every frame. no read, sentence: not judged, and why. short: fewer frames than written, all of
them NG. lost in the codec: OK, and so is what ffmpeg itself reads of it. WRONG: OK, though ffmpeg shows the defect.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np

from edge_runtime.cli.console import run_command
from edge_tools.damage.boards import coloured
from edge_tools.damage.chosen import choose
from edge_tools.damage.judge import EdgeRun, default_command
from edge_tools.formats.cases import cases
from edge_tools.formats.matrix import as_table, tried

__all__ = ["formats", "main"]

_SAMPLE = Path(__file__).resolve().parents[3] / "samples" / "pcb"
_FRAMES = 6


@click.command()
@click.option("--bundle", default=_SAMPLE / "pcb.edge", type=click.Path(path_type=Path), help="[default: the sample]")
@click.option("--pictures", default=_SAMPLE / "images", type=click.Path(path_type=Path), help="Boards with defects.")
@click.option("--edge-run", "command", default=default_command, help="[default: the one of this environment]")
@click.option("--pixel-formats", default=4, show_default=True, help="Of each codec at most; 0: all.")
@click.option("--only", default="", help="Cases whose group or name holds this.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the table here, too.")
def formats(bundle: Path, pictures: Path, command: str, pixel_formats: int, only: str, output: Path | None) -> None:
    """Write a film of a board with a defect in every way ffmpeg knows, and judge each with edge-run."""
    judge = EdgeRun(command, bundle.resolve(), seconds=120)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        board = choose(pictures, 3, 1, judge, work / "boards")[0]
        rng = np.random.default_rng(1)
        picture = coloured(board.picture).astype(np.float32)
        noise = rng.normal(0, 1, (_FRAMES, *picture.shape[:2], 1))
        frames = (picture + noise).clip(0, 255).astype(np.uint8)
        wanted = [case for case in cases(pixel_formats or None) if only in f"{case.group} {case.name}"]
        results = []
        for result in tried(frames, wanted, judge, work):
            results.append(result)
            told = f"{len(results)} of {len(wanted)}: {result.group} {result.name} ({result.suffix}): {result.answer}"
            click.echo(f"{told} {result.said}", err=True)
    text = "\n".join([as_table(results), *(f"- edge-run ended badly: {death}" for death in judge.deaths)])
    click.echo(text)
    if output is not None:
        output.write_text(text + "\n")


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(formats, "formats")


if __name__ == "__main__":
    main()
