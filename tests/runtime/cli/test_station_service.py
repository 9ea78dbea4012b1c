import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess

import pytest
from click.testing import CliRunner
from patience import PATIENCE

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.sample import find_sample
from edge_runtime.cli.station import edge_station
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.station.service import install
from edge_runtime.store.reading import Asked, open_reader

SAMPLE = find_sample()
PICTURES = sorted(SAMPLE.images.glob("*.png"))


def recipe(folder, more=""):
    text = f"store: store\nstations:\n  line:\n    source: watch:in\n    bundle: {SAMPLE.bundle}\n{more}"
    (folder / "in").mkdir(exist_ok=True)
    (folder / "station.yaml").write_text(text)
    return folder / "station.yaml"


def station(*words):
    return CliRunner().invoke(edge_station, [str(word) for word in words])


def test_a_unit_is_shown_written_and_removed(tmp_path):
    file = recipe(tmp_path, "    outputs: [jsonl: out/v.jsonl]\n")
    shown = station("install", file, "--user", "daemon", "--memory-limit", "300MB", "--print")
    assert shown.exit_code == 0, shown.output
    assert "MemoryMax=300000000\n" in shown.output
    assert f"ReadWritePaths={tmp_path}/out {tmp_path}/store\n" in shown.output
    units = tmp_path / "units"
    units.mkdir()
    written = station("install", file, "--user", "daemon", "--folder", units)
    assert written.exit_code == 0, written.output
    (unit,) = units.iterdir()
    assert "MemoryMax=80%" in unit.read_text()
    assert (tmp_path / "out").is_dir()
    assert station("uninstall", file, "--folder", units).exit_code == 0
    assert list(units.iterdir()) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit_of_a_recipe(tmp_path):
    assert station("install", recipe(tmp_path), "--user", "daemon", "--folder", tmp_path).exit_code == 0
    (unit,) = tmp_path.glob("*.service")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_cannot_be_installed_is_told_with_what_to_do(tmp_path):
    file = recipe(tmp_path)
    for words, why in (
        (("--user", "root"), "does not run as root"),
        (("--user", "nobody-of-this-name"), "there is no user"),
        (("--user", "daemon", "--folder", "/proc"), "use sudo, or --print"),
    ):
        found = station("install", file, *words)
        assert found.exit_code != 0
        assert why in str(found.exception), found.output
    assert "not installed" in str(station("uninstall", file, "--folder", tmp_path).exception)
    file.write_text(file.read_text().replace("bundle", "bundel"))
    assert "bundel" in station("install", file, "--user", "daemon", "--print").output


def test_a_service_is_ready_beats_while_it_waits_reloads_refuses_and_ends_with_all_committed(tmp_path):
    file = recipe(tmp_path)
    with contextlib.ExitStack() as cleanup:
        ear = cleanup.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(PATIENCE)
        environment = {**python_environment(), "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        environment.pop("WATCHDOG_PID", None)
        command = python_module("edge_runtime.cli.run", file.name)
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        cleanup.callback(process.stderr.close)
        cleanup.callback(process.wait)
        cleanup.callback(process.kill)

        def wait_for(word):
            while word not in ear.recv(4096).decode():
                assert process.poll() is None, process.stderr.read()

        def drop(number):
            shutil.copy(PICTURES[number], tmp_path / "in" / f"{number}.part")
            (tmp_path / "in" / f"{number}.part").rename(tmp_path / "in" / f"{number}.png")
            while verdicts() <= number:
                wait_for("WATCHDOG=1")

        def verdicts():
            with contextlib.closing(open_reader(tmp_path / "store")) as reader:
                return sum(1 for _ in reader.query(Asked()))

        wait_for("READY=1")
        wait_for("WATCHDOG=1")  # no part has come yet
        drop(0)
        recipe(tmp_path, "    outputs: [jsonl: v.jsonl]\n")
        process.send_signal(signal.SIGHUP)
        wait_for("RELOADING=1")
        wait_for("READY=1")
        drop(1)
        recipe(tmp_path, "    outputs: [jsonl: v.jsonl, 7]\n")
        process.send_signal(signal.SIGHUP)
        wait_for("RELOADING=1")
        wait_for("READY=1")
        drop(2)
        os.kill(process.pid, signal.SIGTERM)
        wait_for("STOPPING=1")
        assert process.wait(PATIENCE) == 143
        said = process.stderr.read()
    assert "reloaded" in said
    assert "NOT RELOADED, the recipe of before goes on" in said
    assert "station.yaml:6: stations.line.outputs[1]" in said
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert len(lines) == 2  # an output hears of what comes after it was named first
    with contextlib.closing(open_reader(tmp_path / "store")) as reader:
        assert sum(1 for _ in reader.query(Asked())) == 3


def test_a_station_may_write_where_its_versions_are_returned_and_kept(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    versions = tmp_path / "models"
    (versions / "versions").mkdir(parents=True)
    (versions / "versions" / "1").symlink_to(SAMPLE.bundle)
    (versions / "current").symlink_to("versions/1")
    file = recipe(tmp_path)
    file.write_text(file.read_text().replace(str(SAMPLE.bundle), "models/current"))
    daemon = pwd.getpwnam("daemon")
    entry = pwd.struct_passwd((*daemon[:2], os.getuid(), os.getgid(), daemon[4], str(home), daemon[6]))
    monkeypatch.setattr(install.pwd, "getpwnam", lambda name: entry)
    unit = install.unit_for(read_recipe(file, {}), "daemon", None)
    assert {versions, home / ".local/state/edgeline", tmp_path / "store"} <= set(unit.writes)
    install.install(unit, tmp_path, start=False)
    assert (home / ".local/state/edgeline").is_dir()
