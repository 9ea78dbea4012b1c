"""`python -m edge_tools.damage`: damaged pictures, films and cameras in front of the real edge-run.

    python samples/pcb/generate.py boards --count 100 --bare 0 --seed 90000 --templates
    python -m edge_tools.damage --pictures boards -o damage.json

Boards that the bundle judges NG with the defect found, and OK without it, are damaged in every way that is known
here, in every format, and given to edge-run in folders, films, MJPEG and RTSP. What is counted: the defect found where
it is; not read, with a reason; and the faults: OK, or not a word. Every format is tried undamaged first. A run that was
broken off goes on where `--work` is the same. `--false-alarms DIR` counts the honest frames that are not judged.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from edge_runtime.cli.console import run_command
from edge_tools.damage.chosen import choose
from edge_tools.damage.honest import honest_lines
from edge_tools.damage.judge import EdgeRun, default_command
from edge_tools.damage.kept import Kept
from edge_tools.damage.places import PLACES, Plan
from edge_tools.damage.tally import Row, as_table

__all__ = ["damage", "main"]

_SAMPLE = Path(__file__).resolve().parents[3] / "samples" / "pcb"


@click.command(epilog=__doc__.partition("\n\n")[2] if __doc__ else None)
@click.option("--bundle", default=_SAMPLE / "pcb.edge", type=click.Path(path_type=Path), help="[default: the sample]")
@click.option(
    "--pictures", default=_SAMPLE / "images", type=click.Path(path_type=Path), help="Boards with their defects."
)
@click.option("--boards", default=40, show_default=True, type=click.IntRange(min=1), help="How many are damaged.")
@click.option("--variants", default=2000, show_default=True, type=click.IntRange(min=1), help="How many in all.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same damage.")
@click.option("--quick", is_flag=True, help="A handful of each, in files alone.")
@click.option("--only", multiple=True, type=click.Choice(list(PLACES)), help="[default: all]")
@click.option("--edge-run", "command", default=default_command, help="[default: the one of this environment]")
@click.option("--flag", "flags", multiple=True, help="One more word for edge-run, as --flag=--health.")
@click.option("--false-alarms", "honest", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--copies",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Of each honest picture, in other formats.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="Keep the damaged files and the outcomes here, for another run. [default: a temporary folder]",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="All outcomes as JSON, and the tables beside it (.md)."
)
def damage(
    bundle: Path,
    pictures: Path,
    boards: int,
    variants: int,
    seed: int,
    quick: bool,
    only: tuple[str, ...],
    command: str,
    flags: tuple[str, ...],
    honest: tuple[Path, ...],
    copies: int,
    work: Path | None,
    output: Path | None,
) -> None:
    """Damage boards with defects in every way, and count what edge-run says of them."""
    judge = EdgeRun(command, bundle.resolve(), flags)
    with tempfile.TemporaryDirectory() as temporary:
        place = (work or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        if honest:
            _finish(output, "\n".join(honest_lines(honest, copies, judge, place, _say)), [])
            return
        if quick:
            boards, variants = min(boards, 4), min(variants, 60)
        chosen = choose(pictures, boards, seed, judge, place / "boards")
        _say(f"{len(chosen)} boards: NG with the defect found, OK without it")
        head = json.dumps([seed, variants, [board.name for board in chosen], str(pictures.resolve())])
        plan = Plan(chosen, variants, seed, place / f"material-{_short(head)}", judge, _say)
        plan.work.mkdir(exist_ok=True)
        rows: list[Row] = []
        for name in only or (("files",) if quick else PLACES):
            judged = json.dumps([head, command, flags, str(bundle.resolve())])
            kept = Kept(place / f"{name}-{_short(judged)}.jsonl", judged)
            rows += kept.or_made(lambda name=name: PLACES[name](plan))  # type: ignore[misc]
    _finish(output, _tables(rows, judge.deaths), rows)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _tables(rows: list[Row], deaths: list[str]) -> str:
    damaged = [row for row in rows if row.kind != "undamaged"]
    parts = [as_table(rows), as_table(damaged, "form")]
    faults = [row for row in damaged if row.fault]
    parts.append("\n".join(f"{row.outcome}: {row.where}, {row.kind}, {row.form} {row.name}" for row in faults))
    parts += [f"edge-run ended badly: {death}" for death in deaths]
    parts.append(f"{len(damaged)} damaged, {len(faults)} faults")
    return "\n\n".join(part for part in parts if part)


def _finish(output: Path | None, text: str, rows: list[Row]) -> None:
    click.echo(text)
    if output is not None:
        output.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
        output.with_suffix(".md").write_text(text + "\n")


def _say(text: str) -> None:
    click.echo(text, err=True)


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(damage, "damage")


if __name__ == "__main__":
    main()
