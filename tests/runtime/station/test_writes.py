"""What is written a day, by arithmetic."""

import dataclasses
from pathlib import Path

import pytest

from edge_runtime.inspect.secret import Address
from edge_runtime.outputs.settings import JsonLines, OutputEntry
from edge_runtime.station.recipe.recipe import Pictures, Recipe, Station, Storage
from edge_runtime.station.triggers.settings import Every, TriggerEntry
from edge_runtime.station.writes import DAY_S, Load, bytes_a_second, written_a_day

NONE = Pictures(ok_every=0, ng=False, no_read=False)


def station(**more):
    return Station(source=Address("0", "0"), bundle=Path("x.edge"), **more)


def recipe(*stations, day=10**9):
    named = {f"s{number}": one for number, one in enumerate(stations)}
    return Recipe(Storage(Path("store"), pictures_a_day=day), named)


def test_nothing_is_written_of_nothing():
    assert bytes_a_second(Load(0.0)) == 0.0


def test_a_part_by_itself_is_a_commit_and_a_record():
    assert bytes_a_second(Load(0.001)) * 1000 == pytest.approx(22_500 + 5_000, rel=1e-3)


def test_at_high_rates_commits_are_shared():
    assert bytes_a_second(Load(50.0)) == pytest.approx(25 * 22_500 + 50 * 5_000)
    assert bytes_a_second(Load(1e6)) / 1e6 == pytest.approx(5_000, rel=1e-2)


def test_lines_and_pictures_come_on_top():
    alone = bytes_a_second(Load(2.0))
    assert bytes_a_second(Load(2.0, lines=2.0, files=1)) - alone == 2 * 1_600 + 4_096
    assert bytes_a_second(Load(2.0, picture_bytes=123.0)) - alone == 123.0
    assert bytes_a_second(Load(0.0, pictures=1e-6)) * 1e6 == pytest.approx(22_500 + 15_000, rel=1e-3)


def test_a_recipe_writes_the_pictures_of_its_quota_at_most():
    written = written_a_day(recipe(station(), day=3 * 10**9), 2.0)
    load = Load(2.0, 3e9 / 50_000 / DAY_S)
    assert written.pictures == 3e9
    assert written.records == pytest.approx(DAY_S * bytes_a_second(load))
    assert written.all == written.records + 3e9


def test_no_more_pictures_have_an_entry_than_there_are_parts():
    written = written_a_day(recipe(station(), day=10**12), 2.0)
    assert written.records == pytest.approx(DAY_S * bytes_a_second(Load(2.0, 2.0)))


def test_a_station_that_keeps_no_pictures_writes_none():
    written = written_a_day(recipe(station(pictures=NONE)), 2.0)
    assert written.pictures == 0
    assert written.records == pytest.approx(DAY_S * bytes_a_second(Load(2.0)))


def test_a_trigger_in_time_says_its_rate_and_files_are_counted_once():
    lines = OutputEntry(jsonl=JsonLines(Path("x.jsonl")))
    every = station(pictures=NONE, trigger=TriggerEntry(every=Every(0.25)), outputs=(lines,))
    free = dataclasses.replace(station(pictures=NONE), outputs=(lines,))
    written = written_a_day(recipe(every, free), 2.0)
    assert written.records == pytest.approx(DAY_S * bytes_a_second(Load(6.0, lines=6.0, files=1)))
