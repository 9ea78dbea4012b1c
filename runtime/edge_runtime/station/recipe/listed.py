"""Stations whose source is a list (NAME.streams): one for each source in it, NAME-1, NAME-2, ..., alike in all else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_runtime.errors import UsageError
from edge_runtime.inspect.secret import Address, filled_in, variables
from edge_runtime.inspect.sources.listed import beside, is_list, listed
from edge_runtime.station.recipe.mistakes import Mistake
from edge_runtime.station.recipe.recipe import Recipe, Station
from edge_runtime.station.recipe.shape import Reading

__all__ = ["with_listed"]

_LONGEST = 64  # characters of a station's name


def with_listed(recipe: Recipe, reading: Reading, folder: Path, environment: Mapping[str, str]) -> Recipe:
    """Return the recipe with a station for each source; what is wrong with a list is noted in `reading`."""
    stations: dict[str, Station] = {}
    for name, station in recipe.stations.items():
        text = station.source.reveal()
        if not is_list(text):
            if name in stations:
                _note(reading, name, f"the list of another station makes one called {name}")
            stations[name] = station
            continue
        try:
            sources = list(_sources(folder / Path(text).expanduser(), reading, environment))
        except UsageError as error:
            _note(reading, name, str(error))
            continue
        for number, source in enumerate(sources, 1):
            one = f"{name}-{number}"
            if one in stations or len(one) > _LONGEST:
                why = "is there already" if one in stations else f"is longer than {_LONGEST} characters"
                _note(reading, name, f"the list makes a station called {one}, which {why}")
            stations[one] = dataclasses.replace(station, source=source)
            for where, line in list(reading.lines.items()):
                if where == f"stations.{name}" or where.startswith(f"stations.{name}."):
                    reading.lines[f"stations.{one}{where[len(f'stations.{name}') :]}"] = line
    return dataclasses.replace(recipe, stations=stations)


def _sources(file: Path, reading: Reading, environment: Mapping[str, str]) -> Iterator[Address]:
    for number, text in listed(file):
        names = variables(text)
        unset = [name for name in names if name not in environment]
        if unset:
            raise UsageError(f"{file}:{number}: the environment has no {unset[0]!r}; export it, or write the value")
        values = {name: environment[name] for name in names}
        source = Address(text, beside(file, filled_in(text, values)), values)
        reading.secrets.append(source)
        yield source


def _note(reading: Reading, name: str, what: str) -> None:
    where = f"stations.{name}.source"
    reading.mistakes.append(Mistake(reading.lines.get(where, 1), where, what))
