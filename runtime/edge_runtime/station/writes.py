"""What a recipe will have written to the disk in a day, by which SD cards and eMMC wear: pure arithmetic.

    a second: 22.5 kB a commit, 5 kB a record, 15 kB a picture's entry, the pictures, the lines, 4 kB a file of lines

A commit writes whole pages of the database, once into its log and later into itself, however little is in them. It
takes what came within 20 ms, so that at high rates several share it. The numbers are of records of 1.6 kB, some
defects each, and measured by `python -m edge_tools.station.writes`; a record of many more defects takes more.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.station.recipe.recipe import Recipe, Station

__all__ = ["DAY_S", "Load", "Written", "bytes_a_second", "parts_a_second", "written_a_day"]

DAY_S = 86_400
_GROUP_S = 0.02  # what comes within it is committed together (store/writer.py)
_COMMIT, _RECORD, _PICTURE_ENTRY = 22_500, 5_000, 15_000
_LINE = 1_600
_PAGE = 4_096  # a file of lines is flushed each second: its last page is written again
_PICTURE = 50_000  # bytes of a small one (640 x 640, PNG): larger ones are fewer within a quota


@dataclass(frozen=True)
class Load:
    """What happens in a second, of all stations: parts, pictures that are kept, their bytes, lines; files of lines."""

    parts: float
    pictures: float = 0.0
    picture_bytes: float = 0.0
    lines: float = 0.0
    files: int = 0


@dataclass(frozen=True)
class Written:
    """Bytes of a day: records, lines and what stands of pictures in the database; and pictures, at most."""

    records: float
    pictures: float

    @property
    def all(self) -> float:
        """The sum."""
        return self.records + self.pictures


def bytes_a_second(load: Load) -> float:
    """Return the bytes that are written, pictures among them."""
    entries = load.parts + load.pictures
    commits = entries / (1 + _GROUP_S * entries)
    stored = commits * _COMMIT + load.parts * _RECORD + load.pictures * _PICTURE_ENTRY
    return stored + load.picture_bytes + load.lines * _LINE + min(load.parts, 1.0) * load.files * _PAGE


def written_a_day(recipe: Recipe, rate: float) -> Written:
    """Return what is written in a day; `rate`: parts a second of each station whose trigger does not say them."""
    rates = {name: parts_a_second(station, rate) for name, station in recipe.stations.items()}
    kept = sum(rates[name] for name, station in recipe.stations.items() if _keeps(station))
    most = recipe.store.pictures_a_day if kept else 0
    files = {entry.jsonl.path for station in recipe.stations.values() for entry in station.outputs if entry.jsonl}
    lines = sum(
        rates[name] for name, station in recipe.stations.items() for entry in station.outputs if entry.jsonl is not None
    )
    load = Load(sum(rates.values()), min(kept, most / _PICTURE / DAY_S), 0.0, lines, len(files))
    return Written(DAY_S * bytes_a_second(load), most)


def parts_a_second(station: Station, rate: float) -> float:
    """Return how many parts come to a station: as its trigger says, else `rate`."""
    every = None if station.trigger is None else station.trigger.every
    return rate if every is None else 1 / every.period


def _keeps(station: Station) -> bool:
    pictures = station.pictures
    return pictures.ng or pictures.no_read or pictures.ok_every > 0
