"""`edge-station learn`: what good pictures of a station are like, and what its view is like without a part."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import click

from edge_runtime.cli.console import hidden_native_stderr
from edge_runtime.cli.station_run import recipe_of
from edge_runtime.errors import UsageError
from edge_runtime.inspect.health.limits import write_limits
from edge_runtime.inspect.reader.process import ReaderProcess
from edge_runtime.inspect.sources.open import open_source
from edge_runtime.inspect.sources.options import PLAIN, StreamOptions
from edge_runtime.inspect.stop import Stop, stop_on_signals
from edge_runtime.station.groups import source_text
from edge_runtime.station.learning import learn_parts, table, write_empty
from edge_runtime.station.recipe.load import Loaded
from edge_runtime.station.recipe.recipe import Station
from edge_runtime.station.triggers.base import Line

__all__ = ["learn_station"]


@click.command("learn")
@click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("good", metavar="[GOOD]", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--station", "name", metavar="NAME", help="Which one, where a recipe has several.")
@click.option(
    "--minutes", type=click.FloatRange(min=0.01), default=1.0, show_default=True, help="How long a camera is looked at."
)
@click.option("--empty", is_flag=True, help="Take pictures of the empty view instead, for trigger: presence.")
def learn_station(recipe: Path, good: Path | None, name: str | None, minutes: float, empty: bool) -> None:
    """Learn from GOOD pictures of a station of RECIPE, or from good parts before its camera, what must be seen.

    What was learnt is written into the file that the station's `health` names, and shown. A picture that is not like
    the good ones is NO_READ from then on. `--empty` writes what the view is like without a part.
    """
    loaded = recipe_of(recipe)
    name, station = _station(loaded, name)
    place = f"{recipe}: station {name}"
    target = _empty_of(station, place) if empty else station.health
    if target is None:
        raise UsageError(f"{place} names no file for what is learnt; add to it: health: {name}-health.json")
    text = str(good) if good is not None else source_text(station, loaded.file.absolute().parent)
    stop = Stop()
    with contextlib.closing(ReaderProcess()) as reader, hidden_native_stderr(), stop_on_signals(stop):
        stream = StreamOptions(station.stream.transport, station.stream.hardware)
        source = open_source(text, replace(PLAIN, reader=reader, stream=stream), stop)
        if empty:
            count = write_empty(source, target, min(60 * minutes, 5.0))
            click.echo(f"{target}: {count} picture{'s' * (count != 1)} of the empty view")
            return
        seconds = None if good is not None else 60 * minutes
        trigger = None if good is not None else station.trigger
        limits = learn_parts(source, trigger, Line(name, stop, _say), seconds, _say)
    write_limits(target, limits)
    for line in table(limits):
        click.echo(line)
    click.echo(f"written to {target}")


def _station(loaded: Loaded, name: str | None) -> tuple[str, Station]:
    stations = loaded.recipe.stations
    if name is None and len(stations) == 1:
        return next(iter(stations.items()))
    if name is None or name not in stations:
        found = "which station?" if name is None else f"there is no station {name!r};"
        raise UsageError(f"{found} give --station one of {', '.join(stations)}")
    return name, stations[name]


def _empty_of(station: Station, place: str) -> Path:
    if station.trigger is None or station.trigger.presence is None:
        raise UsageError(f"{place} has no trigger that wants an empty view; add to it: trigger: {{presence: empty/}}")
    return station.trigger.presence.empty


def _say(line: str) -> None:
    click.echo(line, err=True)
