"""The commands of a station, on the sample's film and pictures."""

import contextlib
import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
from commands import run_script
from patience import PATIENCE
from places import ROOT, SAMPLE
from store_cases import event, reading

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.console import run_command
from edge_runtime.cli.station import edge_station
from edge_runtime.cli.station_records import COLUMNS, moment_id
from edge_runtime.cli.station_status import status_lines
from edge_runtime.errors import DataError, StoreError, UsageError, VerificationError
from edge_runtime.files.sizes import format_size
from edge_runtime.station.board import Board, board_path, read_board
from edge_runtime.station.clock import Clock
from edge_runtime.station.figures import Figures
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.station.recipe.schema import SCHEMA_FILE, recipe_schema
from edge_runtime.station.writes import written_a_day
from edge_runtime.store.entries import Event
from edge_runtime.store.folder import Folder
from edge_runtime.store.opening import open_store
from edge_runtime.store.pictures import PictureKeeper
from edge_runtime.store.reading import Asked
from edge_runtime.store.shelf import Quota
from edge_runtime.store.verify import verify_log
from edge_runtime.store.writer import Writer

FILM, IMAGES = ROOT / "samples/pcb/belt.mp4", SAMPLE.parent / "images"
RECIPE = f"""\
store: store/
stations:
  belt: {{source: {FILM}, bundle: {SAMPLE}, outputs: [jsonl: verdicts.jsonl], pictures: {{ok_every: 1}}}}
  table: {{source: '{IMAGES}/*.png', bundle: {SAMPLE}, outputs: [jsonl: verdicts.jsonl]}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which a recipe was run once, by the command."""
    folder = tmp_path_factory.mktemp("station")
    (folder / "bin").mkdir()
    (folder / "station.yaml").write_text(RECIPE)
    done = run_script("edge-run", "station.yaml", cwd=folder, bin_folder=folder / "bin")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return folder


@pytest.fixture
def command(place, monkeypatch, capsys):
    """Runs edge-station in that folder, and returns what it printed."""
    monkeypatch.chdir(place)

    def run(*words):
        edge_station.main(list(words), standalone_mode=False)
        return capsys.readouterr().out

    return run


def lines(place):
    return [json.loads(line) for line in (place / "verdicts.jsonl").read_text().splitlines()]


def test_every_frame_of_every_source_is_stored_and_told_once(place, command):
    told = lines(place)
    assert len({line["event_id"] for line in told}) == len(told) == 90 + 12
    stored = [json.loads(line) for line in command("query", "store", "--json").splitlines()]
    assert stored == sorted(told, key=lambda line: line["seq"]) == told


def test_the_smallest_recipe_is_run_as_it_stands_in_the_issue(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "belt.mp4").symlink_to(FILM)
    (tmp_path / "pcb.edge").symlink_to(SAMPLE)
    (tmp_path / "station.yaml").write_text(
        "{store: store/, stations: {belt: {source: belt.mp4, bundle: pcb.edge, outputs: [{jsonl: verdicts.jsonl}]}}}"
    )
    done = run_script("edge-run", "station.yaml", cwd=tmp_path, bin_folder=tmp_path / "bin")
    assert done.returncode == 0, done.stderr
    assert len(lines(tmp_path)) == 90
    assert "belt: 90 parts" in done.stderr


def test_a_table_begins_with_the_event_id(place, command):
    rows = list(csv.reader(io.StringIO(command("query", "store", "--csv", "--station", "table", "--verdict", "NG"))))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0][0] == "event_id"
    wanted = [line["event_id"] for line in lines(place) if (line["station"], line["verdict"]) == ("table", "NG")]
    assert [row[0] for row in rows[1:]] == wanted


def test_events_are_found_by_their_time(place, command):
    told = lines(place)
    moment = told[40]["ts_utc"]
    ids = {line["event_id"] for line in told}
    before = {
        json.loads(line)["event_id"] for line in command("query", "store", "--json", "--until", moment).splitlines()
    }
    since = {
        json.loads(line)["event_id"] for line in command("query", "store", "--json", "--since", moment).splitlines()
    }
    assert before | since == ids
    assert not before & since
    assert before == {line["event_id"] for line in told if line["ts_utc"] < moment}
    assert len(command("query", "store", "--since", "1d", "--last", "5").splitlines()) == 5


def test_a_moment_becomes_the_least_id_of_its_millisecond():
    now = datetime(2026, 1, 31, 9, 30, tzinfo=timezone.utc)
    assert moment_id("2026-01-31T09:30:00Z", now, "--since") == moment_id("0s", now, "--since")
    assert moment_id("2026-01-31", now, "--since") < moment_id("2026-01-31T00:00:00.001", now, "--since")
    assert moment_id("8h", now, "--since") == moment_id("2026-01-31T01:30", now, "--since")
    assert moment_id(None, now, "--since") == ""
    for text in ("yesterday", "8x", "", "9999999d"):
        with pytest.raises(UsageError, match="expected a time"):
            moment_id(text, now, "--since")


@pytest.mark.parametrize("verdict", ["OK", "NG"])
def test_an_event_is_judged_again_to_the_last_bit(place, command, verdict):
    event = next(line for line in lines(place) if line["verdict"] == verdict)["event_id"]
    assert command("replay", "store", event).endswith("the same to the last bit\n")


def test_what_cannot_be_judged_again_says_why(place, command, tmp_path):
    with pytest.raises(UsageError, match="has no event"):
        command("replay", "store", "nothing")
    unkept = next(line for line in reversed(lines(place)) if (line["station"], line["verdict"]) == ("table", "OK"))
    with pytest.raises(DataError, match="was not kept"):
        command("replay", "store", unkept["event_id"])


def test_a_store_that_was_not_touched_verifies_and_one_that_was_does_not(place, command, tmp_path):
    told = lines(place)
    last = f"{told[-1]['seq']}:{told[-1]['hash']}"
    assert "are as they were written" in command("verify-log", "store", "--against", last)
    assert "are as they were written" in command("verify-log", "station.yaml")
    copy = tmp_path / "store"
    copy.mkdir()
    (copy / "store.db").write_bytes((place / "store/store.db").read_bytes())
    with sqlite3.connect(copy / "store.db") as connection:
        connection.execute("UPDATE entries SET body = replace(body, '\"NG\"', '\"OK\"'), verdict = 'OK' WHERE seq = 3")
    connection.close()
    with pytest.raises(VerificationError, match="is not as it was written"):
        command("verify-log", str(copy))
    with pytest.raises(VerificationError):
        command("verify-log", "store", "--against", f"3:{'0' * 64}")
    with pytest.raises(UsageError, match="SEQ:HASH"):
        command("verify-log", "store", "--against", "3")


def _copied(place, tmp_path):
    return Path(shutil.copytree(place / "store", tmp_path / "copy"))


def _done(capsys, *words):
    """What a command ends with: its exit code, and what it printed and told."""
    with pytest.raises(SystemExit) as ended:
        run_command(edge_station, "edge-station", [str(word) for word in words])
    return (ended.value.code or 0, *capsys.readouterr())


def test_a_store_without_its_head_does_not_prove_its_end(place, command, tmp_path):
    copy = _copied(place, tmp_path)
    (copy / "head.json").unlink()
    with pytest.raises(VerificationError, match=r"head\.json"):
        command("verify-log", str(copy))
    last = lines(place)[-1]
    assert "are as they were written" in command("verify-log", str(copy), "--against", f"{last['seq']}:{last['hash']}")


def test_a_picture_that_somebody_removed_is_named(place, command, tmp_path, capsys):
    copy = _copied(place, tmp_path)
    picture = next((copy / "pictures").rglob("*.png"))
    picture.unlink()
    assert "are as they were written" in command("verify-log", str(copy))
    code, _, said = _done(capsys, "verify-log", copy)
    assert (code, picture.name in said) == (0, True)


@pytest.mark.parametrize("words", [("verify-log",), ("query", "--csv"), ("query",), ("status",)])
def test_a_database_that_is_damaged_inside_is_told_in_one_line(place, tmp_path, capsys, words):
    copy = _copied(place, tmp_path)
    data = bytearray((copy / "store.db").read_bytes())
    data[8192:] = bytes(len(data) - 8192)
    (copy / "store.db").write_bytes(data)
    code, _, said = _done(capsys, words[0], copy, *words[1:])
    assert (code, said.count("\n")) == (14, 1), said
    assert "sets a damaged one aside" in said


@pytest.mark.parametrize("change", ["kind = 'note'", "body = '{'", "body = '[]', kind = 'note'"])
def test_an_entry_that_became_something_else_is_told_by_its_number(place, tmp_path, capsys, change):
    copy = _copied(place, tmp_path)
    with contextlib.closing(sqlite3.connect(copy / "store.db")) as connection:
        connection.execute(f"UPDATE entries SET {change} WHERE seq = 3")
        connection.commit()
    code, printed, _ = _done(capsys, "verify-log", copy)
    assert (code, "entry 3 was altered" in printed) == (13, True)
    assert _done(capsys, "query", copy)[0] in (0, 14)


def test_status_tells_of_a_station_that_does_not_run(place, command):
    text = command("status", "station.yaml")
    assert "not running" in text
    assert "0 wait to be told" in text
    found = json.loads(command("status", "store", "--json"))
    assert sum(found["stored"]["belt"].values()) == 90
    assert found["now"] is None


def test_status_shows_rates_lag_queues_and_what_is_wrong():
    now = {
        "started": "2026-01-31T09:30:00.000Z",
        "memory": 160e6,
        "temperature_c": 61.2,
        "stations": {
            "belt": {
                "rate": 9.5,
                "lag_ms": {"p50": 12, "p95": 30, "p99": 40},
                "last": {"verdict": "NG", "ts": "T", "reasons": ["short x1"]},
            },
            "old": {
                "rate": 0.0,
                "lag_ms": {"p50": 1, "p95": 1, "p99": 1},
                "last": {"verdict": "OK", "ts": "T", "reasons": []},
            },
        },
        "clock": {"synced": False, "stepped": 2, "by": -3600.04},
        "store": {"waiting": 7, "failing_s": 12.0, "why": "disk is full", "pictures_left_out": 3},
        "outputs": {"jsonl x": {"sent": 3, "refused": "no space"}},
    }
    found = {
        "store": "store",
        "running": 42,
        "entries": 9,
        "stored": {"belt": {"OK": 5, "NG": 1}, "old": {"OK": 1}},
        "queues": {"jsonl x": 1},
        "now": now,
    }
    assert status_lines(found) == [
        "store: running, process 42; 9 entries",
        "since 2026-01-31T09:30:00.000Z; memory 160.0 MB, 61 degrees C",
        "VERDICTS ARE NOT STORED for 12 s, 7 wait in memory: disk is full",
        "the clock was set 2 times, last back by 3600.0 s",
        "3 pictures were left out: no time, no room, or no writes left",
        "  belt  OK 5  NG 1   9.5/s, lag p50 12 p95 30 ms, last NG at T: short x1",
        "  old   OK 1   0.0/s, lag p50 1 p95 1 ms, last OK at T",
        "  jsonl x: 1 waits to be told: no space",
    ]


def test_a_board_is_written_while_a_station_runs_and_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    path = board_path(tmp_path / "store")
    assert path.parent == tmp_path
    writer = Writer(open_store(tmp_path / "store", print), print)
    keeper = PictureKeeper(Folder(tmp_path / "store"), Quota(0, 0), writer, print)
    figures = Figures()
    figures.add(_dated(event(0, "NG")), time.monotonic(), 12.5)
    board = Board(path, writer, keeper, [], {"belt": figures}, Clock(print))
    deadline = time.monotonic() + PATIENCE
    while (found := read_board(path)) is None and time.monotonic() < deadline:
        pass
    assert found["pid"] == os.getpid()
    assert found["stations"]["belt"]["verdicts"] == {"OK": 0, "WARN": 0, "NG": 1, "NO_READ": 0}
    assert found["stations"]["belt"]["last"]["reasons"] == figures.to_json(0.0)["last"]["reasons"]
    assert found["clock"]["stepped"] == 0
    board.close()
    writer.close()
    assert read_board(path) is None


def _dated(event):
    return Event.of({**event.body, "ts_utc": "2026-01-31T09:30:00.000Z"})


def test_init_writes_a_recipe_that_runs_and_overwrites_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.edge").symlink_to(SAMPLE)
    (tmp_path / "belt.mp4").symlink_to(FILM)
    assert "edge-run station.yaml" in command("init")
    (station,) = read_recipe(tmp_path / "station.yaml").recipe.stations.values()
    assert station.bundle == tmp_path / "my.edge"
    assert "no mistakes" in command("check")
    with pytest.raises(UsageError, match="nothing is overwritten"):
        command("init")
    for path in (tmp_path / "my.edge", tmp_path / "belt.mp4", tmp_path / "station.yaml"):
        path.unlink()
    command("init")
    assert "no mistakes" in command("check")


def test_init_writes_names_that_yaml_would_read_as_something_else(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my: #1 {x}.edge").symlink_to(SAMPLE)
    (tmp_path / "it's: #1 [y].mp4").symlink_to(FILM)
    assert "edge-run 'my station.yaml'" in command("init", "my station.yaml")
    (station,) = read_recipe(tmp_path / "my station.yaml").recipe.stations.values()
    assert (station.bundle.name, str(station.source)) == ("my: #1 {x}.edge", "it's: #1 [y].mp4")


def test_check_looks_for_what_a_recipe_names(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "station.yaml").write_text(
        "store: file/store\nstations:\n  a:\n    source: none.mp4\n    bundle: none.edge\n"
        f"    outputs:\n      - jsonl: file/x.jsonl\n  b: {{source: rtsp://not-there.example/1, bundle: {SAMPLE}}}\n"
    )
    with pytest.raises(UsageError, match="has 4 mistakes"):
        command("check", "station.yaml")
    places = [line.split(": ")[:2] for line in capsys.readouterr().err.splitlines()]
    assert places == [
        ["station.yaml:1", "store"],
        ["station.yaml:4", "stations.a.source"],
        ["station.yaml:5", "stations.a.bundle"],
        ["station.yaml:7", "stations.a.outputs[0]"],
    ]


def test_check_says_what_is_written_a_day(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = f"store: {{path: store, pictures_a_day: 1GB}}\nstations: {{a: {{source: 0, bundle: {SAMPLE}}}}}\n"
    (tmp_path / "station.yaml").write_text(text)
    written = written_a_day(read_recipe(tmp_path / "station.yaml").recipe, 2.5)
    assert command("check", "--rate", "2.5").splitlines()[-1] == (
        f"written a day at 2.5 parts/s (--rate): about {format_size(written.all)}; "
        f"records and lines {format_size(written.records)}, pictures at most 1.0 GB (store.pictures_a_day)"
    )
    none = "pictures: {ok_every: 0, ng: false, no_read: false}"
    (tmp_path / "station.yaml").write_text(text.replace("source: 0,", f"source: 0, {none},"))
    assert "pictures" not in command("check").splitlines()[-1]


def test_check_tells_what_is_written_wrong_and_what_is_not_there_at_once(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.mp4").write_text("no film")
    (tmp_path / "s.yaml").write_text(
        f"""\
stores: store/
stations:
  a:
    source: nothing.mp4
    bundle: {SAMPLE}
    deadline: 3 parsecs
    rules: {{r: {{classes: shrot, score: 7}}, q: {{zone: [[0, 0], [700, 0], [700, 700]]}}}}
    outputs: [jsonl: a.jsonl, smoke: signals, jsonl: a.jsonl]
  b: {{source: damaged.mp4}}
  c: {{source: 'rtsp://user:hidden@[camera/1', bundle: none.edge, trigger: {{every: 3}}}}
  d: {{source: '{IMAGES}/*.png', bundle: {SAMPLE}, rules: {{q: {{zone: [[0, 0], [900, 0], [9, 9]]}}}}, parts: 3}}
"""
    )
    with pytest.raises(UsageError, match="has 14 mistakes"):
        command("check", "s.yaml")
    said = capsys.readouterr().err
    assert [line.split(": ")[:2] for line in said.splitlines()] == [
        ["s.yaml:1", "the key store is missing"],
        ["s.yaml:1", "stores"],
        ["s.yaml:4", "stations.a.source"],
        ["s.yaml:6", "stations.a.deadline"],
        ["s.yaml:7", "stations.a.rules.r"],
        ["s.yaml:8", "stations.a.outputs[1].smoke"],
        ["s.yaml:8", "stations.a.outputs[2]"],
        ["s.yaml:9", "stations.b"],
        ["s.yaml:9", "stations.b.source"],
        ["s.yaml:10", "stations.c.bundle"],
        ["s.yaml:10", "stations.c.source"],
        ["s.yaml:10", "stations.c.trigger.every"],
        ["s.yaml:11", "stations.d.parts"],
        ["s.yaml:11", "stations.d.rules.q.zone"],
    ]
    assert "hidden" not in said


def test_status_needs_none_of_a_recipe_but_its_store(place, command):
    (place / "secret.yaml").write_text(RECIPE.replace(str(FILM), "'rtsp://u:${NOT_EXPORTED_HERE}@h/1'"))
    assert "not running" in command("status", "secret.yaml")
    (place / "new.yaml").write_text(RECIPE.replace("store/", "new/"))
    with pytest.raises(StoreError, match="has not run yet"):
        command("status", "new.yaml")
    (place / "storeless.yaml").write_text(RECIPE.replace("store: store/", "{}"))
    with pytest.raises(UsageError):
        command("status", "storeless.yaml")


def test_the_schema_that_is_shipped_is_the_one_of_the_recipe(command):
    assert json.loads(SCHEMA_FILE.read_text()) == recipe_schema() == json.loads(command("schema"))


def test_a_folder_that_is_no_store_is_told_in_one_line(command, tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        command("query", str(tmp_path))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["station.yaml", "--save"], "--save is not for a recipe"),
        (["station.yaml", "--source", "0"], "--source is not for a recipe"),
        (["station.yaml", "more"], "leave out more"),
        (["none.yaml"], "cannot read the recipe"),
    ],
)
def test_what_a_recipe_says_is_not_said_on_the_command_line(place, words, said):
    done = run_script("edge-run", *words, cwd=place, bin_folder=place / "bin")
    assert done.returncode == UsageError.exit_code
    assert said in done.stderr


def test_sigterm_commits_and_tells_what_was_judged_and_nobody_else_may_write_meanwhile(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "in").mkdir()
    for number in range(5000):
        (tmp_path / "in" / f"{number:05}.png").symlink_to(IMAGES / "board-00.png")
    recipe = f"{{store: store, stations: {{a: {{source: in, bundle: {SAMPLE}, outputs: [jsonl: v.jsonl]}}}}}}"
    (tmp_path / "station.yaml").write_text(recipe)
    command = python_module("edge_runtime.cli.run", "station.yaml")
    with subprocess.Popen(
        command, cwd=tmp_path, env=python_environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + PATIENCE
        told = tmp_path / "v.jsonl"
        while not (told.exists() and told.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
            pass
        other = run_script("edge-run", "station.yaml", cwd=tmp_path, bin_folder=tmp_path / "bin")
        process.terminate()
        said = process.communicate()[1]
    assert process.returncode == 143, said
    assert other.returncode == StoreError.exit_code
    assert f"is written by another process ({process.pid})" in other.stderr
    found = [json.loads(line)["event_id"] for line in told.read_text().splitlines()]
    with reading(tmp_path / "store") as reader:
        assert found == [stored.event_id for stored in reader.query(Asked())]
        assert verify_log(reader).breaks == ()
        assert json.loads(next(reader.notes()).body)["what"] == "stop"
    assert 0 < len(found) < 5000
