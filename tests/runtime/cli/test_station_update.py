"""`edge-station update` as people, Mender and hawkBit call it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
from commands import run_module
from patience import PATIENCE
from signing_cases import key_pair, signed, trust_key
from update_cases import bundle_of, changed, installed, untried, versions
from web_server import WebServer

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.bundle.bundle import bundle_sha256
from edge_runtime.bundle.trusted import user_store
from edge_runtime.cli import station_update
from edge_runtime.cli.console import run_command
from edge_runtime.cli.sample import find_sample
from edge_runtime.cli.station import edge_station
from edge_runtime.station.updates.switching import confirm, return_from

SAMPLE = find_sample()


@pytest.fixture(autouse=True)
def device(tmp_path, monkeypatch):
    """A device of its own, whose working folder is empty."""
    for name in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    (tmp_path / "at").mkdir()
    monkeypatch.chdir(tmp_path / "at")
    monkeypatch.setattr(station_update.os, "nice", lambda by: 0)  # of this process it would be for good


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Version 2 is on probation, 1 was before."""
    untried(monkeypatch)
    found = versions(tmp_path / "at")
    for number in ("1", "2"):
        installed(found, bundle_of(tmp_path, number))
    return found


def update(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        run_command(edge_station, "edge-station", ["update", *map(str, words)])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_the_first_version_makes_a_folder_that_recipes_name(tmp_path):
    done = run_module(
        "edge_runtime.cli.station", "update", str(bundle_of(tmp_path, "1")), "--in", "models", cwd=Path.cwd()
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "current is version 1"
    assert bundle_sha256(Path("models/current")) == bundle_sha256(tmp_path / "1.edge")


def test_what_runs_is_told(folder, capsys):
    code, out, _ = update(capsys, "--status", "--in", "models")
    assert code == 0
    first, second, *_ = out.splitlines()
    assert first.startswith("models: version 2 runs (")
    assert second.startswith("  version 2 is on probation since 20")
    facts = json.loads(update(capsys, "--status", "--json", "--in", "models")[1])
    assert (facts["current"], facts["versions"], facts["trial"]["before"]) == (2, [1, 2], 1)
    assert facts["bundle_sha256"] == bundle_sha256(folder.current)
    assert update(capsys, "--number", "--in", "models")[:2] == (0, "2\n")
    return_from(folder, 2, "it failed")
    assert "version 2 returned: it failed" in update(capsys, "--status", "--in", "models")[1]


def test_a_recipe_names_the_folder(folder, capsys):
    Path("station.yaml").write_text("{store: s, stations: {belt: {source: a.png, bundle: models/current}}}")
    assert update(capsys, "--number")[:2] == (0, "2\n")
    assert update(capsys, "--number", "--station", "belt")[:2] == (0, "2\n")
    assert update(capsys, "--number", "--station", "other")[0] == 2
    Path("station.yaml").write_text("{store: s, stations: {belt: {source: a.png, bundle: models/versions/1}}}")
    code, _, error = update(capsys, "--number")
    assert code == 2
    assert "bundle: models/NAME/current" in error


def test_confirmed_and_back_by_hand(folder, capsys):
    assert update(capsys, "--confirm", "--in", "models")[:2] == (0, "version 2 of models is confirmed\n")
    assert update(capsys, "--confirm", "--in", "models")[0] == 17
    assert update(capsys, "--back", "--in", "models")[:2] == (0, "current is version 1\n")
    assert update(capsys, "--back", "--in", "models")[0] == 17
    assert update(capsys, "--back", "--to", "1", "--in", "models")[0] == 0


def test_the_end_of_a_probation_is_waited_for(folder, capsys, monkeypatch):
    code, _, error = update(capsys, "--wait", "0", "--in", "models")
    assert code == 17
    assert "still on probation" in error
    monkeypatch.setattr(station_update, "_LOOK_S", 0.01)
    threading.Timer(0.05, confirm, (folder, "20 parts")).start()
    assert update(capsys, "--wait", "60", "--in", "models")[:2] == (0, "version 2 of models is confirmed\n")
    installed(folder, bundle_of(folder.root, "3"))
    threading.Timer(0.05, return_from, (folder, 3, "it failed")).start()
    code, _, error = update(capsys, "--wait", "60", "--in", "models")
    assert code == 17
    assert "version 3 of models was returned: it failed" in error


def test_words_that_do_not_go_together_are_a_usage_error(folder, tmp_path, capsys):
    for words in ([], ["--status", "--back"], [str(tmp_path / "1.edge"), "--confirm"], ["--confirm", "--to", "1"]):
        assert update(capsys, *words, "--in", "models")[0] == 2
    assert update(capsys, "--status", "--in", "nowhere")[0] == 2
    assert update(capsys, "nothing.tar", "--in", "models")[0] == 2


def test_exit_codes_say_what_is_wrong(folder, tmp_path, capsys):
    third = bundle_of(tmp_path, "3")
    (third / "weights.bin").write_bytes(b"")
    assert update(capsys, third, "--in", "models")[0] == 3
    assert update(capsys, "http://127.0.0.1:1/b.tar", "--in", "models")[0] == 5
    assert update(capsys, bundle_of(tmp_path, "4"), "--require-signed", "--in", "models")[0] == 16
    with folder.updating():
        assert update(capsys, bundle_of(tmp_path, "5"), "--in", "models")[0] == 17
    assert folder.number() == 2


def test_a_signed_bundle_comes_in_where_a_key_is_trusted(folder, tmp_path, capsys):
    pytest.importorskip("cryptography")
    key = key_pair(tmp_path)
    trust_key(key, user_store())
    assert update(capsys, bundle_of(tmp_path, "3"), "--in", "models")[0] == 16
    code, out, _ = update(capsys, signed(bundle_of(tmp_path, "4"), key), "--in", "models")
    assert code == 0
    assert "signed by the line's owner" in out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can go on as another user")
def test_root_goes_on_as_the_owner_of_the_folder(tmp_path):
    tmp_path.chmod(0o755)
    root = tmp_path / "models"
    root.mkdir()
    os.chown(root, 65534, 65534)
    code = (
        "import os, sys, pathlib; from edge_runtime.cli.station_update import _as_owner; "
        "_as_owner(pathlib.Path(sys.argv[1])); print(os.getuid(), os.getgid(), os.environ['HOME'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], env=python_environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[:2] == ["65534", "65534"], done.stderr


class Mender:
    """What Mender's client does with an update module, by its protocol (v3)."""

    def __init__(self, place, folder, capsys):
        self.module = place / "edgeline-bundle"
        self.module.write_text(update(capsys, "--mender")[1])
        self.module.chmod(0o755)
        self.files = place / "payload"
        for name in ("files", "tmp", "header"):
            (self.files / name).mkdir(parents=True)
        command = place / "edge-station"
        words = " ".join(f"'{word}'" for word in python_module("edge_runtime.cli.station"))
        command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        command.chmod(0o755)
        (place / "mender.conf").write_text(f"EDGELINE_IN={folder.root.absolute()}\nEDGELINE_WAIT=0\n")
        self.environment = {
            **python_environment(), "EDGELINE_CONF": str(place / "mender.conf"), "EDGELINE_STATION": str(command)
        }  # fmt: skip

    def payload(self, bundle):
        with tarfile.open(self.files / "files" / "b.tar.gz", "w:gz") as archive:
            archive.add(bundle, bundle.name)

    def call(self, state):
        """The module is called with the state and the folder, in which it stands."""
        return subprocess.run(
            ["/bin/sh", str(self.module), state, str(self.files)],
            cwd=self.files, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def mender(tmp_path, folder, capsys):
    confirm(folder, "here")
    (tmp_path / "mender").mkdir()
    return Mender(tmp_path / "mender", folder, capsys)


def test_mender_is_told_what_the_module_can_do(mender):
    assert mender.call("SupportsRollback").stdout == "Yes\n"
    assert mender.call("NeedsArtifactReboot").stdout == "No\n"
    for state in ("Download", "ArtifactReboot", "ArtifactVerifyReboot", "ArtifactFailure", "Cleanup", "ANewOne"):
        done = mender.call(state)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_mender_commits_what_came_through_its_probation(mender, folder, tmp_path):
    mender.payload(bundle_of(tmp_path, "3"))
    assert mender.call("ArtifactInstall").returncode == 0
    assert folder.number() == 3
    done = mender.call("ArtifactCommit")
    assert done.returncode == 17
    assert "still on probation" in done.stderr
    confirm(folder, "20 parts")
    assert mender.call("ArtifactCommit").returncode == 0


def test_mender_rolls_back_to_what_ran_before_the_artifact(mender, folder, tmp_path):
    mender.payload(bundle_of(tmp_path, "3"))
    assert mender.call("ArtifactInstall").returncode == 0
    for _ in range(2):  # the second time it is there already
        assert mender.call("ArtifactRollback").returncode == 0
        assert folder.number() == 2


def test_mender_rolls_nothing_back_where_nothing_was_installed(mender, folder, tmp_path):
    broken = bundle_of(tmp_path, "3")
    (broken / "weights.bin").write_bytes(b"")
    mender.payload(broken)
    assert mender.call("ArtifactInstall").returncode == 3
    assert mender.call("ArtifactRollback").returncode == 0
    assert folder.number() == 2
    (mender.files / "files" / "second").write_bytes(b"")
    assert mender.call("ArtifactInstall").returncode == 1


@pytest.fixture
def hawkbit(tmp_path):
    """A server with one action, its bundle, and what it is told."""
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.add(bundle_of(tmp_path, "7"), "b.edge")
    base, content = "/DEFAULT/controller/v1/line3", (tmp_path / "b.tar").read_bytes()

    def answer(asked):
        if asked.headers.get("Authorization") != "GatewayToken 99":
            return 401, {}, b""
        found = {"_links": {"deploymentBase": {"href": f"{web.url}{base}/deploymentBase/7"}}}
        if asked.path.endswith("deploymentBase/7"):
            artifact = {"filename": "b.tar", "size": len(content), "_links": {"download": {"href": f"{web.url}/b.tar"}}}
            found = {"id": "7", "deployment": {"download": "forced", "update": "forced",
                                               "chunks": [{"artifacts": [artifact]}]}}  # fmt: skip
        return 200, {}, content if asked.path == "/b.tar" else json.dumps(found).encode()

    web = WebServer(answer)
    yield web
    web.close()


def deployed(hawkbit, tmp_path, capsys):
    """Ask once; returns the exit code and how the action was closed."""
    (tmp_path / "token").write_text("GatewayToken 99\n")
    words = ("--url", hawkbit.url, "--controller", "line3", "--token-file", tmp_path / "token", "--in", "models")
    with pytest.raises(SystemExit) as ended:
        run_command(edge_station, "edge-station", ["hawkbit", *map(str, words), "--wait", "0", "--once"])
    capsys.readouterr()
    (*_, last) = [json.loads(asked.body)["status"] for asked in hawkbit.asked if asked.body]
    return ended.value.code, last["execution"], last["result"]["finished"], last["details"]


def test_hawkbit_deploys_what_a_station_then_runs(hawkbit, tmp_path, capsys):
    Path("models").mkdir()
    code, *closed = deployed(hawkbit, tmp_path, capsys)
    assert (code, closed) == (0, ["closed", "success", ["version 1 of models is confirmed"]])
    assert bundle_sha256(Path("models/current")) == bundle_sha256(tmp_path / "7.edge")


def test_hawkbit_hears_of_a_probation_that_took_too_long_and_the_version_before_goes_on(
    hawkbit, folder, tmp_path, capsys
):
    confirm(folder, "here")
    code, execution, finished, (why,) = deployed(hawkbit, tmp_path, capsys)
    assert (code, execution, finished) == (0, "closed", "failure")
    assert "version 3 of models is still on probation" in why
    assert folder.number() == 2


def test_mender_installs_a_first_version_too(mender, tmp_path):
    (tmp_path / "mender" / "mender.conf").write_text(f"EDGELINE_IN={tmp_path}/first\nEDGELINE_WAIT=0\n")
    mender.payload(bundle_of(tmp_path, "3"))
    for state in ("ArtifactInstall", "ArtifactCommit", "ArtifactRollback"):
        assert mender.call(state).returncode == 0
    assert bundle_sha256(tmp_path / "first" / "current") == bundle_sha256(tmp_path / "3.edge")


def test_a_station_at_work_takes_over_what_comes_into_its_inbox(tmp_path):
    first, second = (changed(Path(shutil.copytree(SAMPLE.bundle, tmp_path / f"{n}.edge")), version=n) for n in "12")
    folder = versions(Path.cwd())
    done = run_module("edge_runtime.cli.station", "update", str(first), "--in", "models", cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    folder.inbox.mkdir()
    Path("in").mkdir()
    Path("station.yaml").write_text(
        "{store: store, updates: {parts: 1, time: 0s}, "
        "stations: {belt: {source: 'watch:in', bundle: models/current, outputs: [jsonl: v.jsonl]}}}"
    )
    with subprocess.Popen(
        python_module("edge_runtime.cli.run", "station.yaml"),
        stderr=subprocess.PIPE, text=True, env=python_environment(),
    ) as station:  # fmt: skip
        watchdog = threading.Timer(PATIENCE, station.kill)
        watchdog.start()
        try:
            shutil.copytree(second, folder.inbox / ".half")
            (folder.inbox / ".half").rename(folder.inbox / "2.edge")
            said = []
            for line in station.stderr:
                said.append(line)
                if "reloaded" in line:
                    shutil.copy(next(SAMPLE.images.glob("*.png")), "in")
                if "is confirmed" in line:
                    break
            station.terminate()
            station.wait()
        finally:
            watchdog.cancel()
            station.kill()
    assert "version 2 of" in said[-1]
    assert bundle_sha256(folder.current) == bundle_sha256(second)
    assert not list(folder.inbox.iterdir())
    (record,) = map(json.loads, Path("v.jsonl").read_text().splitlines())
    assert record["model"]["sha256"] == bundle_sha256(second)
