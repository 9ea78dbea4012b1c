import dataclasses
import os
import shutil
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from station_world import StationWorld

from edge_runtime.errors import UsageError
from edge_runtime.inspect.sources.base import FakeSource
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.station.service.notify import Hangup, Notifier, Service
from edge_runtime.station.service.pulse import Pulse
from edge_runtime.station.service.unit import Unit, unit_name, unit_text
from edge_runtime.store.writer import Waiting

PICTURE = np.zeros((4, 4, 3), np.uint8)
UNIT = Unit(
    Path("/srv/line 1/station.yaml"),
    ("belt", "table"),
    ("/usr/bin/env", "edge-run", "station.yaml"),
    "nobody",
    (Path("/var/lib/edge line/store"), Path("/srv/out")),
    "80%",
    ("CAMERA_PASSWORD",),
    ("video",),
)


@pytest.fixture
def ear(tmp_path):
    """A notify socket: all that has come, newest last."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.setblocking(False)
    heard = []

    def come():
        try:
            while True:
                heard.extend(listening.recv(4096).decode().splitlines())
        except BlockingIOError:
            return heard

    with listening:
        yield SimpleNamespace(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}, come=come)


def test_nothing_is_told_where_nobody_listens_and_a_socket_that_is_gone_is_no_error(tmp_path):
    Notifier({}).send("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send("READY=1")


def test_a_socket_without_a_file_is_told_too():
    name = f"\0edgeline-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name)
        Notifier({"NOTIFY_SOCKET": f"@{name[1:]}"}).send("READY=1")
        assert listening.recv(100) == b"READY=1"


def test_the_watchdog_of_another_process_is_not_ours():
    assert Notifier({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 60
    assert Notifier({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}).watchdog_s is None
    assert Notifier({}).watchdog_s is None


def test_the_watchdog_is_told_now_and_then_and_not_while_verdicts_are_at_a_stand(ear):
    said = []
    service = Service(Notifier({**ear.environment, "WATCHDOG_USEC": "40000000"}), said.append)
    for now in (0.0, 1.0, 10.0, 11.0):
        service.beat("", now)
    assert ear.come().count("WATCHDOG=1") == 2
    for now in (30.0, 45.0):
        service.beat("a frame of belt is with the engine for 50 s", now)
    assert ear.come().count("WATCHDOG=1") == 2
    assert said == ["AT A STAND, the watchdog is not told any more: a frame of belt is with the engine for 50 s"]
    service.beat("", 50.0)
    assert ear.come().count("WATCHDOG=1") == 3
    assert said[-1] == "it goes on again"


class Line:
    """A pulse with a clock, and a writer, that a test sets."""

    def __init__(self):
        self.now = 0.0
        self.pulse = Pulse(45.0, lambda: self.now)
        self.waiting, self.head = Waiting(0, None, ""), SimpleNamespace(seq=7)

    def stuck(self, now):
        self.now = now
        return self.pulse.stuck(self)


def test_a_station_that_waits_for_its_trigger_is_not_at_a_stand():
    line = Line()
    iter(line.pulse.above("table", FakeSource([PICTURE])))
    assert line.stuck(100_000.0) == ""


def test_a_frame_that_does_not_come_back_from_the_engine_is_a_stand():
    line = Line()
    frames = iter(line.pulse.above("belt", FakeSource([PICTURE] * 3)))
    next(frames)
    assert line.stuck(40.0) == ""
    assert line.stuck(50.0) == "a frame of belt is with the engine for 50 s"
    line.pulse.told("belt")
    assert line.stuck(500.0) == ""


def test_a_camera_that_says_nothing_is_a_stand_until_it_says_at_least_that():
    line = Line()
    frames = iter(line.pulse.beneath("belt", FakeSource([PICTURE, "lost", PICTURE], kind="live")))
    next(frames)
    assert line.stuck(44.0) == ""
    assert line.stuck(46.0) == "the source of belt says nothing for 46 s"
    next(frames)
    assert line.stuck(80.0) == ""
    list(frames)
    assert line.stuck(9000.0) == ""  # it has ended
    film = FakeSource([PICTURE], kind="video")
    assert line.pulse.beneath("belt", film) is film  # that waits for whoever reads it


def test_a_commit_that_does_not_come_back_is_a_stand_and_a_disk_that_refuses_is_none():
    line = Line()
    assert line.stuck(0.0) == ""
    line.waiting = Waiting(3, None, "")
    assert line.stuck(44.0) == ""
    assert "no commit comes back" in line.stuck(46.0)
    line.waiting = Waiting(3, 1.0, "disk full")
    assert line.stuck(500.0) == ""
    line.waiting = Waiting(3, None, "")
    line.head = SimpleNamespace(seq=8)
    assert line.stuck(501.0) == ""


def test_a_hang_up_reloads_unless_the_terminal_is_gone_that_began_the_run():
    terminal = [True]
    hangup = Hangup(lambda: terminal[0])
    assert not hangup.asked()
    hangup()
    assert (hangup.asked(), hangup.asked(), hangup.ends()) == (True, False, False)
    terminal[0] = False
    assert hangup.ends()
    assert not Hangup(lambda: False).ends()


def test_a_unit_holds_what_a_service_must_not_do():
    text = unit_text(UNIT, "edgeline-line")
    for line in (
        "Type=notify", "User=nobody", "NoNewPrivileges=yes", "ProtectSystem=strict", "MemoryMax=80%", "WatchdogSec=60",
        'ReadWritePaths="/var/lib/edge line/store" /srv/out', "SupplementaryGroups=video",
        "EnvironmentFile=/etc/edgeline/edgeline-line.env", "ExecReload=/bin/kill -HUP $MAINPID",
    ):  # fmt: skip
        assert line in text.splitlines()


def test_a_unit_is_named_after_its_recipe_or_the_folder_of_a_station_yaml():
    assert unit_name(Path("/srv/line 1/station.yaml")) == "edgeline-line-1"
    assert unit_name(Path("/srv/belt.yaml")) == "edgeline-belt"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path):
    place = tmp_path / "edgeline-line.service"
    place.write_text(
        unit_text(dataclasses.replace(UNIT, user="daemon", recipe=tmp_path / "station.yaml"), "edgeline-line")
    )
    done = subprocess.run(["systemd-analyze", "verify", str(place)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


class Reload:
    """Asks once for a recipe that a test wrote (None: it has mistakes), as soon as `when` says so."""

    def __init__(self, world, recipe, when):
        self.world, self.recipe, self.when = world, recipe, when

    def asked(self):
        due = self.when is not None and self.when()
        self.when = None if due else self.when
        return due

    def ends(self):
        return 0

    def read(self):
        (self.world.folder / "station.yaml").write_text(self.recipe)
        return read_recipe(self.world.folder / "station.yaml", {})


RECIPE = "{store: s, stations: {belt: {source: belt.mp4, bundle: one.edge, outputs: [{jsonl: v.jsonl}]}%s}}"
MORE = ", table: {source: table.mp4, bundle: %s.edge, outputs: [{jsonl: v.jsonl}]}"


@pytest.fixture
def world(tmp_path, monkeypatch):
    return StationWorld(tmp_path, monkeypatch)


def reloaded(world, ear, recipe):
    """Run a station of 400 pictures, and ask for another recipe after the first; return what was told."""
    world.pictures, world.kind = [PICTURE] * 400, "video"
    service = Service(Notifier(ear.environment), world.said.append)
    world.run(
        RECIPE % "", service=service, reloading=Reload(world, recipe, lambda: (world.folder / "v.jsonl").exists())
    )
    return ear.come()


def test_a_reload_goes_on_with_the_new_recipe_in_the_same_store(world, ear):
    told = reloaded(world, ear, RECIPE % MORE % "two")
    assert "READY=1" in told
    assert told.index("RELOADING=1") < len(told) - 1 - told[::-1].index("READY=1")
    assert told[-2:] == ["STOPPING=1", "STATUS=committing what was judged"]
    lines = world.lines("v.jsonl")
    assert [line["seq"] for line in lines] == sorted({line["seq"] for line in lines})
    assert sum(line["station"] == "table" for line in lines) == 400
    assert sum(line["station"] == "belt" for line in lines) > 400  # a film begins anew
    assert "reloaded: the stations of the new recipe go on" in world.said


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        ("{store: s, stations: {belt: {sauce: 0}}}", "unknown key"),
        ("{store: elsewhere, stations: {belt: {source: belt.mp4, bundle: one.edge}}}", "the store is another one"),
        (RECIPE % MORE % "broken", "no such bundle"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused_and_the_old_one_goes_on(world, ear, monkeypatch, recipe, why):
    opened = world._open_bundle

    def opening(path, **settings):
        if path.name == "broken.edge":
            raise UsageError("no such bundle")
        return opened(path, **settings)

    monkeypatch.setattr("edge_runtime.inspect.opening.open_bundle", opening)
    told = reloaded(world, ear, recipe)
    assert len(world.lines("v.jsonl")) == 400
    assert any(line.startswith("NOT RELOADED") and why in line for line in world.said)
    assert told.count("READY=1") == 2


def test_a_reload_within_a_memory_limit_opens_one_after_the_other_and_goes_back_when_it_cannot(world, ear, monkeypatch):
    world.limit = 1 << 30
    opened = world._open_bundle

    def opening(path, **settings):
        if path.name == "broken.edge":
            raise UsageError("no such bundle")
        return opened(path, **settings)

    monkeypatch.setattr("edge_runtime.inspect.opening.open_bundle", opening)
    reloaded(world, ear, (RECIPE % "").replace("one.edge", "broken.edge"))
    assert len(world.lines("v.jsonl")) > 400
    assert any(line.startswith("NOT RELOADED") and "no such bundle" in line for line in world.said)
