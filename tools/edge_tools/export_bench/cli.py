"""`python -m edge_tools.export_bench`: the command."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from edge_runtime.cli.console import run_command
from edge_runtime.errors import UsageError
from edge_tools.bench.progress import Progress
from edge_tools.export_bench.environments import install
from edge_tools.export_bench.export import Limits
from edge_tools.export_bench.exporters import ENVIRONMENTS, EXPORTERS
from edge_tools.export_bench.places import CHECKOUT, Places, cache_folder
from edge_tools.export_bench.results import Results, Row
from edge_tools.export_bench.run import Wanted, run_all
from edge_tools.export_bench.subjects import SUBJECTS
from edge_tools.export_bench.summary import as_summary
from edge_tools.export_bench.table import as_markdown, as_text

__all__ = ["chosen", "command", "main"]

_COMMAND = "python -m edge_tools.export_bench"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data", type=click.Path(path_type=Path), default=CHECKOUT.parent / "shared" / "data",
    help="Holds models/, imagenet/, coco128/ and deeppcb/; default: ../shared/data of this checkout.",
)  # fmt: skip
@click.option("--models", default="", help=f"Some of {', '.join(SUBJECTS)}; default: the ten of the table.")
@click.option("--exporters", default="", help=f"Some of {', '.join(EXPORTERS)}; default: all.")
@click.option("--only", default="", help="Exporters whose name begins so, such as edgeline or ort.")
@click.option("--samples", type=click.IntRange(min=1), default=32, show_default=True, help="Images to calibrate on.")
@click.option("--rounds", type=click.IntRange(min=0), default=30, show_default=True, help="Of the latency; 0: none.")
@click.option("--boards", type=click.IntRange(min=0), default=200, show_default=True, help="DeepPCB's; 0: all.")
@click.option("--limit", type=click.FloatRange(min=1), default=1800.0, show_default=True, help="Seconds of an export.")
@click.option("--memory", type=click.FloatRange(min=0), default=0.0, help="GB of address space of an export; 0: free.")
@click.option("--refresh", is_flag=True, help="Run again what the results hold already.")
@click.option("--retime", is_flag=True, help="Measure all latencies again, together.")
@click.option("--twice", is_flag=True, help="Export each of edgeline's a second time: are the bytes the same?")
@click.option("--install", "only_install", is_flag=True, help="Make the other exporters' environments and stop.")
@click.option("--show", is_flag=True, help="Run nothing, print what the results hold.")
@click.option("--cache", type=click.Path(path_type=Path), help="Environments, outputs, results; default: the user's.")
@click.option("--markdown", is_flag=True, help="Print the README's table.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def command(
    data: Path, models: str, exporters: str, only: str, samples: int, rounds: int, boards: int, limit: float,
    memory: float, refresh: bool, retime: bool, twice: bool, only_install: bool, show: bool, cache: Path | None,
    markdown: bool, as_json: bool,
) -> None:  # fmt: skip
    """Compare exporters: the same models, calibration images and judge for all of them."""
    places = Places(data, cache or cache_folder())
    subjects = chosen(models, tuple(SUBJECTS), tuple(n for n, s in SUBJECTS.items() if s.quick), "--models")
    run = tuple(name for name in chosen(exporters, tuple(EXPORTERS), tuple(EXPORTERS), "--exporters")
                if name.startswith(only))  # fmt: skip
    progress = Progress(sys.stderr)
    if only_install:
        for name in ENVIRONMENTS:
            install(name, places.environments, progress)
        progress.done()
        return
    results = Results(places.results)
    if not show:
        limits = Limits(limit, int(memory * 1e9))
        run_all(
            Wanted(subjects, run, samples, rounds, boards, refresh, retime, twice, limits), places, results, progress
        )
        progress.done()
    rows = in_order(results.youngest(), subjects, run if only or exporters else tuple(EXPORTERS))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=1))
    elif markdown:
        click.echo(as_markdown(rows, _COMMAND), nl=False)
    else:
        click.echo(as_text(rows), nl=False)
        click.echo(as_summary(rows), nl=False)


def chosen(text: str, known: tuple[str, ...], default: tuple[str, ...], flag: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list, in the table's order. Raises UsageError for one not known."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"{flag}: {name!r} is not known; choose from {', '.join(known)}")
    return tuple(name for name in known if name in names) if names else default


def in_order(rows: list[Row], subjects: tuple[str, ...], exporters: tuple[str, ...]) -> list[Row]:
    """Return the rows of these subjects and exporters in the table's order."""
    kept = [row for row in rows if row.subject in subjects and row.exporter in exporters]
    return sorted(kept, key=lambda row: (subjects.index(row.subject), exporters.index(row.exporter)))


def main() -> None:
    """Entry point."""
    run_command(command, _COMMAND)
