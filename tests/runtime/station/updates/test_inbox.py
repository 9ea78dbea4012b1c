"""What is put into an inbox."""

from __future__ import annotations

import threading

import pytest
from patience import PATIENCE
from update_cases import bundle_of, versions

from edge_runtime.station.updates import inbox as watching
from edge_runtime.station.updates.inbox import Inbox


@pytest.fixture
def folder(tmp_path):
    found = versions(tmp_path)
    found.inbox.mkdir(parents=True)
    return found


class Child:
    """A process that was started: what it ends with stands in the name of what it was given."""

    def __init__(self, command, **_settings):
        self.given = command[-3]
        self.returncode = 3 if "bad" in self.given else 0
        CALLS.append(command[-4:])

    def communicate(self, timeout):
        return "", "error: it is damaged\n" if self.returncode else ""


CALLS: list[list[str]] = []


def watched(folder, monkeypatch, until):
    """Watch until something was said so many times."""
    CALLS.clear()
    said, enough = [], threading.Event()

    def say(line):
        said.append(line)
        if len(said) == until:
            enough.set()

    monkeypatch.setattr(watching.subprocess, "Popen", Child)
    inbox = Inbox(lambda: [folder], (), say, every_s=0.01)
    assert enough.wait(PATIENCE)
    inbox.close()
    return said


def test_what_is_taken_is_removed_and_what_is_refused_is_kept_with_the_reason(folder, tmp_path, monkeypatch):
    bundle_of(folder.inbox, "1")
    (folder.inbox / "bad.tar").write_bytes(b"x")
    (folder.inbox / "next.tar.part").write_bytes(b"half")
    said = watched(folder, monkeypatch, 2)
    left = {path.name: path.is_dir() or path.read_text() for path in folder.inbox.iterdir()}
    assert left == {"bad.tar.refused": "x", "bad.tar.refused.txt": "it is damaged\n", "next.tar.part": "half"}
    assert said == [
        f"1.edge of {folder.inbox} was taken",
        f"bad.tar of {folder.inbox} is REFUSED: it is damaged",
    ]
    assert [["update", str(folder.inbox / name), "--in", str(folder.root)] for name in ("1.edge", "bad.tar")] == CALLS


def test_what_still_grows_is_left_alone(folder, monkeypatch):
    growing = folder.inbox / "a.tar"
    growing.write_bytes(b"")
    (folder.inbox / "z.tar").write_bytes(b"whole")
    looked = watching._stamp

    def stamp(path):
        if path == growing:
            growing.write_bytes(growing.read_bytes() + b"x")
        return looked(path)

    monkeypatch.setattr(watching, "_stamp", stamp)
    assert watched(folder, monkeypatch, 1) == [f"z.tar of {folder.inbox} was taken"]
    assert growing.exists()
