import json
import sqlite3

import cv2
import numpy as np
import pytest
from station_world import PICTURE, StationWorld
from store_cases import reading

from edge_runtime.errors import OutputError, SourceError, StoreError, UsageError
from edge_runtime.files.atomic import write_text
from edge_runtime.inspect import pipeline
from edge_runtime.inspect.health.learn import learn
from edge_runtime.inspect.health.limits import write_limits
from edge_runtime.inspect.health.settings import HealthSettings
from edge_runtime.inspect.sources import open_source
from edge_runtime.station.groups import health_of
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.store.ledger import Ledger
from edge_runtime.store.opening import DiskError, open_store
from edge_runtime.store.verify import verify_log

ONE = "{store: store, stations: {belt: {source: a.mp4, bundle: m.edge, outputs: [{jsonl: verdicts.jsonl}]}}}"
THREE = """
store: store
stations:
  a: {source: a.mp4, bundle: m.edge, outputs: [jsonl: verdicts.jsonl]}
  b: {source: b.mp4, bundle: m.edge, outputs: [jsonl: verdicts.jsonl, jsonl: b.jsonl]}
  c: {source: c.mp4, bundle: n.edge}
"""


def write_image(path, seed):
    assert cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8))


@pytest.fixture
def world(tmp_path, monkeypatch):
    return StationWorld(tmp_path, monkeypatch)


def test_every_frame_becomes_an_event_that_is_stored_and_then_told(world):
    world.run(ONE)
    lines = world.lines()
    assert [line["verdict"] for line in lines] == ["OK", "NG", "OK"]
    assert len({line["event_id"] for line in lines}) == 3
    assert world.opened == [str(world.folder / "a.mp4")]
    first = lines[0]
    assert (first["station"], first["part"], first["frame_id"]) == ("belt", None, 0)
    assert first["clock"]["taken_s"] <= first["clock"]["judged_s"]
    assert first["clock"]["synced"] in (True, False, None)
    with reading(world.folder / "store") as reader:
        assert [json.loads(stored.body)["event_id"] for stored in reader.after(0, ["belt"])] == [
            line["event_id"] for line in lines
        ]
        assert [reader.event(line["event_id"]).hash for line in lines] == [line["hash"] for line in lines]
        assert verify_log(reader).breaks == ()
        notes = [json.loads(link.body) for link in reader.notes()]
    assert [note["what"] for note in notes] == ["stop", "start"]
    assert notes[0]["parts"] == {"belt": 3}
    assert notes[1]["stations"]["belt"]["source"] == "a.mp4"
    assert world.said == ["belt: 3 parts  OK 2  NG 1"]


def test_stations_of_one_bundle_share_its_engine_and_each_has_its_outputs(world):
    world.run(THREE)
    assert set(world.engines) == {"m.edge", "n.edge"}
    assert sorted(line["station"] for line in world.lines()) == ["a"] * 3 + ["b"] * 3
    assert [line["station"] for line in world.lines("b.jsonl")] == ["b"] * 3
    with reading(world.folder / "store") as reader:
        assert {station: reader.waiting(0, [station]) for station in "abc"} == {"a": 3, "b": 3, "c": 3}
        assert verify_log(reader).breaks == ()
    assert all(engine.closed for engine in world.engines.values())


def test_a_second_run_adds_to_the_first(world):
    world.run(ONE)
    world.run(ONE)
    assert len({line["event_id"] for line in world.lines()}) == 6
    assert len(world.lines()) == 6


def test_pictures_are_kept_of_what_is_wrong_and_of_a_sample_of_what_is_right(world):
    world.pictures = [PICTURE] * 6 + ["cannot be read"]
    world.run(ONE)
    with reading(world.folder / "store") as reader:
        kept = [kept.verdict for kept in reader.pictures()]
    assert sorted(kept) == ["NG", "NG", "NG", "OK"]


def test_a_frame_that_was_not_read_is_no_read_and_has_no_answer(world):
    world.pictures = ["half of it is missing"]
    world.run(ONE)
    (line,) = world.lines()
    assert (line["verdict"], line["reasons"], "answer" in line) == ("NO_READ", ["half of it is missing"], False)


def test_what_one_source_lacks_ends_all_and_what_was_judged_is_stored_and_told(world):
    def missing(text):
        if text.endswith("c.mp4"):
            raise SourceError("no such film")

    world.on_source = missing
    with pytest.raises(SourceError, match="no such film"):
        world.run(THREE)
    with reading(world.folder / "store") as reader:
        told = {line["event_id"] for line in world.lines()} if (world.folder / "verdicts.jsonl").exists() else set()
        assert told == {stored.event_id for stored in reader.after(0, ["a", "b"])}
        assert verify_log(reader).breaks == ()


def test_a_stop_before_the_first_frame_is_no_error(world):
    world.on_source = lambda text: world.stop.end()
    world.run(ONE)
    assert world.said[-1].startswith("belt: ")


def test_a_file_of_somebody_else_is_refused_and_nothing_is_judged(world):
    write_text(world.folder / "verdicts.jsonl", "my shopping list\n")
    with pytest.raises(OutputError, match="no file of ours"):
        world.run(ONE)
    assert world.opened == []
    world.run(ONE.replace("verdicts", "other"))
    assert len(world.lines("other.jsonl")) == 3


def test_verdicts_that_never_reach_the_disk_are_told_to_nobody(world, monkeypatch):
    append, tried = Ledger.append, []

    def full(ledger, batch):
        if any(hasattr(entry, "verdict") for entry in batch.entries):
            tried.append(batch)
            if len(tried) == 3:
                world.stop.end()
            raise sqlite3.OperationalError("database or disk is full")
        return append(ledger, batch)

    monkeypatch.setattr(Ledger, "append", full)
    monkeypatch.setattr("edge_runtime.station.run._TOLD_S", 0.2)
    monkeypatch.setattr("edge_runtime.station.run._LOST_S", 0.2)
    with pytest.raises(StoreError, match="are lost: database or disk is full"):
        world.run(ONE)
    assert not (world.folder / "verdicts.jsonl").exists() or world.lines() == []
    assert any(said.startswith("VERDICTS ARE NOT STORED") for said in world.said)


def test_a_film_that_has_ended_waits_for_the_disk_until_somebody_ends_it(world, monkeypatch):
    append, tried = Ledger.append, []

    def full_for_a_while(ledger, batch):
        if any(hasattr(entry, "verdict") for entry in batch.entries) and len(tried) < 4:
            tried.append(batch)
            raise sqlite3.OperationalError("database or disk is full")
        return append(ledger, batch)

    monkeypatch.setattr(Ledger, "append", full_for_a_while)
    for patience in ("_TOLD_S", "_LOST_S"):
        monkeypatch.setattr(f"edge_runtime.station.run.{patience}", 0.01)
    world.run(ONE)
    assert (len(tried), len(world.lines())) == (4, 3)


def test_stations_work_on_a_disk_that_takes_nothing_at_their_start_and_all_is_told_once_it_does(world, monkeypatch):
    tried = []

    def refused_for_a_while(place, *more):
        tried.append(world.lines() if (world.folder / "verdicts.jsonl").exists() else [])
        if len(tried) < 4:
            raise DiskError("cannot open the store: its disk is full")
        return open_store(place, *more)

    monkeypatch.setattr("edge_runtime.station.stored.open_store", refused_for_a_while)
    world.run(ONE)
    assert tried == [[]] * 4
    assert [line["verdict"] for line in world.lines()] == ["OK", "NG", "OK"]
    assert [said.partition(":")[0] for said in world.said[:2]] == [
        "VERDICTS ARE NOT STORED, they wait in memory and are not published",
        "verdicts are stored again, 4 that waited in memory among them",
    ]
    with reading(world.folder / "store") as reader:
        assert verify_log(reader).breaks == ()


def test_a_store_of_another_fault_ends_stations_that_wait_for_their_disk(world, monkeypatch):
    faults = [DiskError("cannot open the store: its disk is full"), StoreError("a newer Edgeline wrote it")]

    def refused(*_):
        raise faults.pop(0) if len(faults) > 1 else faults[0]

    monkeypatch.setattr("edge_runtime.station.stored.open_store", refused)
    with pytest.raises(StoreError, match="a newer Edgeline wrote it"):
        world.run(ONE)


def test_an_output_that_can_never_be_told_ends_stations_that_waited_for_their_disk(world, monkeypatch):
    faults = [DiskError("cannot open the store: its disk is full")]

    def refused_once(place, *more):
        if faults:
            raise faults.pop()
        return open_store(place, *more)

    write_text(world.folder / "verdicts.jsonl", "my shopping list\n")
    monkeypatch.setattr("edge_runtime.station.stored.open_store", refused_once)
    with pytest.raises(OutputError, match="no file of ours"):
        world.run(ONE)


def test_no_secret_is_in_a_record_or_in_a_word(world):
    world.pictures = ["rtsp://me:geheim!@cam said no", PICTURE]
    world.run("{store: s, stations: {a: {source: 'x-${PW}.mp4', bundle: m, outputs: [jsonl: v.jsonl]}}}", PW="geheim!")
    assert world.opened == [str(world.folder / "x-geheim!.mp4")]
    for path in world.folder.rglob("*"):
        if path.is_file() and path.name != "station.yaml":
            assert b"geheim" not in path.read_bytes(), path
    assert "x-${PW}.mp4" in world.lines("v.jsonl")[1]["source"]


def test_pictures_of_a_watched_folder_are_judged_once_and_moved_through_restarts(world, monkeypatch):
    folder = world.folder / "in"
    folder.mkdir()
    wanted = []

    def opened(text, options, stop):
        source = open_source(text, options, stop)
        give = source._pause

        def pause(seconds):
            moved = len(list((world.folder / "done").glob("*"))) if (world.folder / "done").exists() else 0
            if moved >= len(wanted):
                world.stop.end()
            return give(0.01)

        source._pause = pause
        return source

    monkeypatch.setattr(pipeline, "open_source", opened)
    recipe = ONE.replace("a.mp4", "'watch:in'").replace("bundle:", "watch: {settle: 1ms, done: done}, bundle:")
    for names in (["a.png", "b.png"], ["b.png", "c.png"]):
        for name in names:
            write_image(folder / name, len(wanted))
            wanted.append(name)
        world.run(recipe)
    lines = world.lines()
    assert [line["image"].rpartition("/")[2] for line in lines] == ["a.png", "b.png", "b.png", "c.png"]
    assert len({line["event_id"] for line in lines}) == 4
    assert sorted(path.name for path in (world.folder / "done").iterdir()) == ["a.png", "b-2.png", "b.png", "c.png"]
    (world.folder / "done" / "a.png").rename(folder / "a.png")  # as if it had been killed before it was moved
    (world.folder / "done" / "b.png").unlink()
    wanted.pop()
    world.run(recipe)
    assert len(world.lines()) == 4
    assert not list(folder.iterdir())


def test_a_watched_folder_has_no_trigger(world):
    with pytest.raises(UsageError, match="leave out trigger"):
        world.run(ONE.replace("a.mp4", "'watch:in'").replace("bundle:", "trigger: {every: 1s}, bundle:"))


PARTS = """
store: store
stations:
  belt:
    source: a.mp4
    bundle: m.edge
    trigger: {every: {period: 1s, frames: 2}}
    verdict: worst
    outputs: [jsonl: verdicts.jsonl]
"""


def test_the_frames_of_a_part_become_one_event(world):
    world.pictures = [PICTURE] * 5
    world.run(PARTS)
    lines = world.lines()
    assert [(line["part_number"], line["verdict"]) for line in lines] == [(0, "NG"), (1, "NG"), (2, "NO_READ")]
    assert [frame["verdict"] for frame in lines[0]["frames"]] == ["OK", "NG"]


def test_a_part_that_ends_half_seen_is_no_read(world):
    world.kind, world.fps = "video", 2.0
    world.pictures = [PICTURE] * 5
    world.run(PARTS)
    assert [(line["part_number"], line["verdict"]) for line in world.lines()] == [(0, "NG"), (1, "NG"), (2, "NO_READ")]
    assert world.lines()[2]["reasons"] == ["not all frames of the part were looked at"]
    with reading(world.folder / "store") as reader:
        assert verify_log(reader).breaks == ()


def test_a_memory_limit_is_for_one_bundle(world):
    world.limit = 1 << 30
    with pytest.raises(UsageError, match="planned for one bundle; the stations have 2"):
        world.run(THREE)


def test_each_station_has_the_health_that_it_learnt(world):
    rng = np.random.default_rng(0)
    good = [rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(20)]
    write_limits(world.folder / "limits.json", learn(good))
    world.pictures = [good[0], good[0] // 8 + 100]
    world.run(
        "store: s\nstations:\n"
        "  a: {source: a.png, bundle: m, health: limits.json, outputs: [jsonl: a.jsonl]}\n"
        "  b: {source: b.png, bundle: m, outputs: [jsonl: b.jsonl]}\n"
    )
    assert [line["verdict"] == "NO_READ" for line in world.lines("a.jsonl")] == [False, True]
    assert "NO_READ" not in [line["verdict"] for line in world.lines("b.jsonl")]
    with pytest.raises(UsageError, match="cannot read the limits"):
        world.run("store: s\nstations: {a: {source: a.png, bundle: m, health: none.json}}")


def test_pictures_of_files_in_which_nothing_can_be_seen_are_no_read_without_learning(world):
    rng = np.random.default_rng(0)
    white, black = np.full((128, 128, 3), 255, np.uint8), rng.integers(0, 3, (128, 128, 3)).astype(np.uint8)
    world.pictures = [white, black, white[:1, :1], rng.integers(0, 255, (64, 64, 3), np.uint8)]
    world.run(ONE)
    assert [line["verdict"] == "NO_READ" for line in world.lines()] == [True, True, True, False]


def test_an_empty_belt_of_one_colour_is_no_fault_where_presence_finds_the_parts(world):
    cv2.imwrite(str(world.folder / "empty.png"), np.full((128, 128, 3), 90, np.uint8))
    loaded = read_recipe(_written(world, "trigger: {presence: {empty: empty.png}}, "))
    assert health_of(loaded.recipe.stations["belt"]).on is None
    loaded = read_recipe(_written(world, "frozen: 30s, "))
    assert health_of(loaded.recipe.stations["belt"]) == HealthSettings(True, 30.0)


def _written(world, more):
    file = world.folder / "written.yaml"
    file.write_text(ONE.replace("source:", f"{more}source:"))
    return file


def test_a_picture_of_a_camera_that_is_judged_after_its_deadline_is_no_read_and_of_a_film_it_is_not(world):
    recipe = (
        "{store: s, stations: {belt: {source: cam, bundle: one.edge, deadline: 0.001ms, outputs: [{jsonl: v.jsonl}]}}}"
    )
    world.kind = "live"
    world.run(recipe)
    assert {line["verdict"] for line in world.lines("v.jsonl")} == {"NO_READ"}
    assert all(line["reasons"][0].startswith("late: judged") for line in world.lines("v.jsonl"))
    assert not any("answer" in line for line in world.lines("v.jsonl"))  # a replay has nothing to hold it against
    world.kind = "video"
    world.run(recipe.replace("v.jsonl", "w.jsonl"))
    assert "NO_READ" not in {line["verdict"] for line in world.lines("w.jsonl")}


def test_a_stream_that_repeats_one_picture_is_frozen_where_the_recipe_says_so(world):
    still = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    world.kind, world.pictures = "live", [still] * 3
    recipe = "{store: s, stations: {belt: {source: cam, bundle: one.edge%s, outputs: [{jsonl: %s.jsonl}]}}}"
    world.run(recipe % ("", "v"))
    assert "NO_READ" not in {line["verdict"] for line in world.lines("v.jsonl")}
    world.run(recipe % (", frozen: 0.001ms", "w"))
    assert [line["verdict"] for line in world.lines("w.jsonl")][1:] == ["NO_READ"] * 2
    assert world.lines("w.jsonl")[1]["reasons"][0].startswith("frozen: the same picture")
