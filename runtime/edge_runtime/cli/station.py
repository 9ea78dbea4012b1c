"""The `edge-station` commands: everything around a station that runs, `edge-run station.yaml`."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from pathlib import Path

import click

from edge_runtime.cli.console import run_command
from edge_runtime.cli.sample import find_sample
from edge_runtime.cli.station_gate import gate
from edge_runtime.cli.station_hawkbit import hawkbit
from edge_runtime.cli.station_learn import learn_station
from edge_runtime.cli.station_records import query, replay_event, verify
from edge_runtime.cli.station_run import recipe_of, tell_mistakes
from edge_runtime.cli.station_service import install_service, uninstall_service
from edge_runtime.cli.station_status import status_json, status_lines, store_of
from edge_runtime.cli.station_thresholds import thresholds
from edge_runtime.cli.station_update import update
from edge_runtime.errors import UsageError
from edge_runtime.files.atomic import write_text
from edge_runtime.files.sizes import format_size
from edge_runtime.files.visible import own_codes
from edge_runtime.station.check import look_for
from edge_runtime.station.first import first_recipe, look_around
from edge_runtime.station.recipe.recipe import Recipe
from edge_runtime.station.recipe.schema import recipe_schema
from edge_runtime.station.writes import parts_a_second, written_a_day

__all__ = ["edge_station", "main"]

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="edgeline", prog_name="edge-station")
def edge_station() -> None:
    """Everything around a station, which one file describes and `edge-run station.yaml` runs.

    \b
    Examples:
      edge-station init                        write a first station.yaml
      edge-station check station.yaml          all mistakes at once, with their lines
      edge-station thresholds station.yaml labelled/
      edge-station learn station.yaml          from good parts before the camera: what must be seen
      edge-run station.yaml
      sudo edge-station install station.yaml   from now on it starts with the machine
      edge-station status station.yaml --watch
      edge-station update pcb-7.tar.gz         another version of its bundle, tried first
      edge-station gate station.yaml --budget 0.1% labelled/   what a gate saves and loses
      edge-station query store/ --verdict NG --since 8h --csv > ng.csv
      edge-station query store/ --verdict NG --coco ng/
      edge-station replay store/ 019b7d3c-...  judge that picture again
      edge-station verify-log store/

    \b
    Exit codes: 0 done, 2 usage or a mistake in a recipe, 6 nothing to replay, 13 records that are not as they were
    written, an answer that is not as it was, 14 a store that cannot be read, 15 a gate that loses too much;
    of update also 3, 5, 7, 16, 17: edge-station update --help.
    """


@edge_station.command()
@click.argument("recipe", type=_FILE, default=Path("station.yaml"))
def init(recipe: Path) -> None:
    """Write a first RECIPE, with comments, of the cameras, films and bundles that there are."""
    if recipe.exists():
        raise UsageError(f"{recipe} is there already, and nothing is overwritten; name another file")
    sample = find_sample()
    found = look_around(recipe.absolute().parent)
    write_text(recipe, first_recipe(found, (str(sample.bundle), str(sample.images))))
    name = shlex.quote(str(recipe))
    click.echo(f"{recipe} is written. Next: edge-station check {name}; edge-run {name}")


@edge_station.command()
@click.argument("recipe", type=_FILE, default=Path("station.yaml"))
@click.option(
    "--rate",
    type=click.FloatRange(min=0.0, min_open=True),
    default=1.0,
    show_default=True,
    help="Parts a second of each station, where its trigger does not say it: for what is written a day.",
)
def check(recipe: Path, rate: float) -> None:
    """Tell all mistakes of RECIPE at once, each with its line, and look for what it names.

    Then say how much will be written to the disk in a day.
    """
    loaded = recipe_of(recipe)
    tell_mistakes(recipe, look_for(loaded))
    names = ", ".join(loaded.recipe.stations)
    click.echo(f"{recipe}: no mistakes; stations: {names}")
    click.echo(_written(loaded.recipe, rate))


def _written(recipe: Recipe, rate: float) -> str:
    written = written_a_day(recipe, rate)
    parts = sum(parts_a_second(station, rate) for station in recipe.stations.values())
    pictures = f", pictures at most {format_size(written.pictures)} (store.pictures_a_day)" if written.pictures else ""
    return (
        f"written a day at {parts:g} parts/s (--rate): about {format_size(written.all)}; "
        f"records and lines {format_size(written.records)}{pictures}"
    )


@edge_station.command()
def schema() -> None:
    """Print the JSON schema of recipes, for editors."""
    click.echo(json.dumps(recipe_schema(), indent=2))


@edge_station.command()
@click.argument("place", metavar="[RECIPE|STORE]", type=click.Path(path_type=Path), default=Path("station.yaml"))
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(place: Path, watch: bool, as_json: bool) -> None:
    """Show how the stations of a RECIPE or STORE go: rates, lag, memory, queues, temperature."""
    store = store_of(place)
    while True:
        found = status_json(store)
        text = json.dumps(found) if as_json else "\n".join(status_lines(found))
        if watch and not as_json:
            own_codes(sys.stdout).write("\x1b[H\x1b[2J")
        click.echo(text)
        if not watch:
            return
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(1.0)
            continue
        return


edge_station.add_command(thresholds)
edge_station.add_command(gate)
edge_station.add_command(learn_station)
edge_station.add_command(install_service)
edge_station.add_command(uninstall_service)
edge_station.add_command(update)
edge_station.add_command(hawkbit)
edge_station.add_command(query)
edge_station.add_command(verify)
edge_station.add_command(replay_event)


def main() -> None:
    """Run `edge-station`."""
    run_command(edge_station, "edge-station")


if __name__ == "__main__":
    main()
