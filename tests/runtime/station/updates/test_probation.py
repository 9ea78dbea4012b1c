"""Versions on probation while stations run them."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest
from station_world import StationWorld
from store_cases import reading
from update_cases import bundle_of, installed, untried, versions

from edge_runtime.errors import EngineError, ModelError, SourceError, StoreError, UsageError
from edge_runtime.inspect.fake_engine import FakeEngine, fake_ok
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.station.run import run_stations
from edge_runtime.station.updates import probation
from edge_runtime.station.updates.probation import Probation
from edge_runtime.station.updates.settings import Updates
from edge_runtime.station.updates.state import read_state, write_state
from edge_runtime.station.updates.switching import confirm

RECIPE = (
    "{store: store, updates: {parts: %d, time: %s}, stations: {belt: {source: a.mp4, bundle: models/current, "
    "outputs: [{jsonl: verdicts.jsonl}]}}}"
)


class World(StationWorld):
    """Engines by the folder of their bundle; `broken`: what opening one raises; `bad`: what running one raises.

    `silent`: those that judge nothing."""

    def __init__(self, folder, monkeypatch):
        super().__init__(folder, monkeypatch)
        self.broken, self.bad, self.trusts, self.ran, self.silent = {}, {}, {}, [], set()
        self.on_frame = lambda: None

    def _open_bundle(self, path, **settings):
        self.trusts[path.name] = settings["trust"]
        if path.name in self.broken:
            raise self.broken[path.name]
        silent = dataclasses.replace(fake_ok(), verdict="NO_READ", reasons=("no verdict rule",))
        engine = FakeEngine([silent if path.name in self.silent else fake_ok()])
        run = engine.run

        def judged(images, *more):
            self.ran.append(path.name)
            self.on_frame()
            if path.name in self.bad:
                raise self.bad[path.name]
            return run(images, *more)

        engine.run = judged
        return engine


@pytest.fixture
def world(tmp_path, monkeypatch):
    untried(monkeypatch)
    for name in ("STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    return World(tmp_path, monkeypatch)


@pytest.fixture
def folder(tmp_path, world):
    """Version 2 is on probation, 1 was before."""
    found = versions(tmp_path)
    installed(found, bundle_of(tmp_path, "1"))
    installed(found, bundle_of(tmp_path, "2"))
    return found


def last(folder):
    ending = read_state(folder.state).endings[-1]
    return ending.version, ending.how, ending.why


def notes(world):
    with reading(world.folder / "store") as reader:
        return [json.loads(link.body) for link in reader.notes()]


def test_a_version_that_has_judged_its_parts_is_confirmed(world, folder):
    world.pictures, world.kind = world.pictures * 5000, "live"
    world.on_frame = lambda: None if read_state(folder.state).trial is not None else world.stop.end()
    world.run(RECIPE % (3, "0s"))
    assert last(folder)[:2] == (2, "confirmed")
    assert set(world.ran) == {"2"}
    assert folder.number() == 2
    assert [note["how"] for note in notes(world) if note["what"] == "update"] == ["confirmed"]
    started = [note for note in notes(world) if note["what"] == "start"]
    assert started[0]["stations"]["belt"]["bundle"].endswith("models/versions/2")
    assert started[0]["stations"]["belt"]["updates"]["on_probation"]
    assert not world.trusts["2"].note, "another version may have to run again"


def test_a_run_that_ends_before_goes_on_with_probation_at_the_next_start(world, folder):
    world.run(RECIPE % (3, "1h"))
    trial = read_state(folder.state).trial
    assert (trial.version, trial.starts) == (2, ())
    world.run(RECIPE % (100, "0s"))
    assert read_state(folder.state).trial == trial


def test_a_version_that_cannot_be_opened_is_returned_from_and_the_one_before_judges(world, folder):
    world.broken["2"] = ModelError("no such operator")
    world.run(RECIPE % (3, "0s"))
    assert last(folder) == (2, "returned", "no such operator")
    assert folder.number() == 1
    assert world.ran == ["1"] * 3
    assert any("RETURNED FROM, version 1 goes on: no such operator" in line for line in world.said)
    assert [line["verdict"] for line in world.lines()] == ["OK"] * 3
    started = [note for note in notes(world) if note["what"] == "start"]
    assert started[0]["stations"]["belt"]["updates"]["last"]["why"] == "no such operator"
    assert world.trusts["1"].note


def test_a_version_that_fails_while_it_judges_is_returned_from(world, folder):
    world.bad["2"] = EngineError("the run failed")
    world.run(RECIPE % (3, "0s"))
    assert last(folder) == (2, "returned", "the run failed")
    assert world.ran[-3:] == ["1"] * 3


def test_a_confirmed_version_that_fails_ends_the_run_as_ever(world, folder):
    confirm(folder, "here")
    world.bad["2"] = EngineError("the run failed")
    with pytest.raises(EngineError):
        world.run(RECIPE % (3, "0s"))
    assert folder.number() == 2


def test_a_version_that_sees_parts_and_judges_none_is_returned_from(world, folder):
    world.silent = {"2"}
    world.pictures, world.kind = world.pictures * 5000, "live"
    world.on_frame = lambda: world.stop.end() if world.ran[-1] == "1" else None
    world.run(RECIPE % (3, "1h"))
    (version, how, why), count = last(folder), world.ran.count("2")
    assert (version, how) == (2, "returned")
    assert why.startswith("version 2 of ")
    assert why.endswith("and judged none: no verdict rule")
    assert count >= 10
    assert folder.number() == 1


def test_a_camera_that_is_away_is_no_fault_of_a_version(world, folder):
    world.pictures = ["lost"] * 30
    world.run(RECIPE % (3, "0s"))
    assert world.ran == []
    assert read_state(folder.state).trial is not None


def test_a_bundle_whose_rules_do_not_fit_is_returned_from(world, folder):
    (folder.version(2) / "manifest.json").write_bytes(b"{}")
    rules = RECIPE.replace("outputs", "rules: {r: {classes: none}}, outputs") % (3, "0s")
    with pytest.raises(Exception, match="class"):  # which version 1 does not know either
        world.run(rules)
    assert folder.number() == 1
    assert last(folder)[:2] == (2, "returned")


def test_the_third_start_returns_from_a_version_that_never_ended_in_order(world, folder, monkeypatch):
    world.bad["2"] = ZeroDivisionError("as good as a crash")
    for number in (1, 2):
        monkeypatch.setattr(probation, "_this_process", lambda number=number: f"another-boot {number}")
        with pytest.raises(ZeroDivisionError):
            run_stations(_loaded(world), world._settings_for, world.stop, _Silent(), world.said.append)
        assert len(read_state(folder.state).trial.starts) == number
    world.ran.clear()
    reloads = _Reloads(world)
    world.run(RECIPE % (3, "0s"), reloading=reloads)
    assert world.ran == ["1"] * 3
    assert reloads.read_times == 0
    assert last(folder)[2] == "it was started 2 times and ended in order none of them"


def test_stations_of_other_recipes_that_run_the_same_version_are_no_falls(world, folder, monkeypatch):
    state = read_state(folder.state)
    others = tuple(f"{probation.boot_id()} {pid} 0" for pid in (1, os.getppid()))
    write_state(folder.state, dataclasses.replace(state, trial=dataclasses.replace(state.trial, starts=others)))
    world.run(RECIPE % (3, "1h"))
    assert world.ran == ["2"] * 3
    assert read_state(folder.state).trial.starts == others


def test_a_reload_takes_no_start_away_from_what_goes_on(world, folder):
    running, reloaded = (Probation({"belt": folder.current}, Updates(), world.said.append) for _ in range(2))
    running.begin()
    reloaded.begin()
    assert len(read_state(folder.state).trial.starts) == 2
    reloaded.end()
    assert len(read_state(folder.state).trial.starts) == 1
    running.end()
    assert read_state(folder.state).trial.starts == ()


def test_a_disk_that_is_full_is_no_fault_of_a_version(world, folder):
    found = Probation({"belt": folder.current}, Updates(), world.said.append)
    for error in (StoreError("full"), SourceError("no camera")):
        found.refused(error)
        assert not found.failed(error)
    assert read_state(folder.state).trial is not None
    found.refused(UsageError("its rules know no such class"))
    assert last(folder) == (2, "returned", "its rules know no such class")


class _Silent:
    def __call__(self, what, done, total):
        pass

    def end(self):
        pass


def _loaded(world):
    (world.folder / "station.yaml").write_text(RECIPE % (3, "0s"))
    return read_recipe(world.folder / "station.yaml", {})


class _Reloads:
    """As cli/station_run.py's, without signals."""

    def __init__(self, world):
        self.file, self.read_times = world.folder / "station.yaml", 0

    def asked(self):
        return False

    def ends(self):
        return 0

    def read(self):
        self.read_times += 1
        return read_recipe(self.file, {})


@pytest.mark.parametrize("trouble", ["", "cannot be opened", "fails at work"])
def test_a_running_station_takes_a_new_version_over_and_returns_if_that_fails(world, folder, tmp_path, trouble):
    confirm(folder, "here")
    third = bundle_of(tmp_path, "3")
    if trouble == "cannot be opened":
        world.broken["3"] = ModelError("no")
    if trouble == "fails at work":
        world.bad["3"] = EngineError("no")
    reloads = _Reloads(world)
    world.pictures, world.kind = world.pictures * 2000, "live"

    def frame():
        if world.ran == ["2"]:
            installed(folder, third)
        ended = not trouble and world.ran[-1] == "3"
        returned = trouble and read_state(folder.state).trial is None and folder.number() == 2
        if ended or (returned and world.ran[-1] == "2"):
            world.stop.end()

    world.on_frame = frame
    world.run(RECIPE % (3, "1h"), reloading=reloads)
    if trouble:
        assert last(folder) == (3, "returned", "no")
        assert folder.number() == 2
        assert ("3" in world.ran) == (trouble == "fails at work")
    else:
        assert folder.number() == 3
        assert world.ran[-1] == "3"
        assert read_state(folder.state).trial.starts == ()
    assert reloads.read_times == 1
