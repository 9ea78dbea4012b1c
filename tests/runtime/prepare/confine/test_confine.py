"""What a confined process can do no more, each tried in a process of its own that confines itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge_devices.interpreter import python_code, python_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limits are Linux's")

_PROGRAM = """
import json, os, socket, subprocess, sys
from pathlib import Path
from edge_runtime.prepare.confine.confine import Bounds, confine
read, write = Path(sys.argv[1]), Path(sys.argv[2])
missing = confine(Bounds(64 << 20, 1 << 20, (read,), (write,)))
def tried(action):
    try:
        return str(action())
    except BaseException as error:
        return type(error).__name__
done = {
    "taken": tried(lambda: len(bytearray(32 << 20))),
    "too much": tried(lambda: len(bytearray(256 << 20))),
    "read": tried(lambda: (read / "a").read_text()),
    "read beside": tried(lambda: (read.parent / "secret").read_text()),
    "written": tried(lambda: (write / "b").write_text("x")),
    "written where it reads": tried(lambda: (read / "a").write_text("x")),
    "written beside": tried(lambda: (read.parent / "c").write_text("x")),
    "removed": tried(lambda: (read.parent / "secret").unlink()),
    "too long": tried(lambda: (write / "d").write_bytes(bytes(2 << 20))),
    "socket": tried(lambda: socket.socket().fileno()),
    "program": tried(lambda: subprocess.run([sys.executable, "-c", "import socket; socket.socket()"],
                                            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode),
    "peak": tried(lambda: Path("/proc/self/clear_refs").write_text("5")),
}
print(json.dumps([missing, done]))
"""


@pytest.fixture(scope="module")
def confined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("confined")
    for name in ("read", "write"):
        (folder / name).mkdir()
    (folder / "read" / "a").write_text("to be read")
    (folder / "secret").write_text("secret")
    done = subprocess.run(
        python_code(_PROGRAM, str(folder / "read"), str(folder / "write")),
        capture_output=True,
        text=True,
        check=True,
        env=python_environment(),
        cwd=folder,
    )
    missing, found = json.loads(done.stdout)
    return missing, found


def lacks(confined, words):
    if any(words in one for one in confined[0]):
        pytest.skip(f"this system has no {words}")
    return confined[1]


def test_memory_of_its_own_is_bounded(confined):
    found = lacks(confined, "RLIMIT_DATA")
    assert found["taken"] == str(32 << 20)
    assert found["too much"] == "MemoryError"


def test_only_the_files_it_was_given_can_be_touched(confined):
    found = lacks(confined, "Landlock")
    assert found["read"] == "to be read"
    assert found["read beside"] == "PermissionError"
    assert found["written"] == "1"
    assert found["written where it reads"] == "PermissionError"
    assert found["written beside"] == found["removed"] == "PermissionError"
    assert found["peak"] == "1"


def test_a_file_cannot_grow_without_end(confined):
    assert lacks(confined, "RLIMIT_FSIZE")["too long"] == "OSError"


def test_there_is_no_network_nor_for_what_it_starts(confined):
    found = lacks(confined, "seccomp")
    assert found["socket"] == "PermissionError"
    assert found["program"] == "1"


def test_this_machine_lacks_nothing_that_it_has(confined):
    assert set(confined[0]) <= {
        "a limit of memory (RLIMIT_DATA)",
        "only the files that it needs (Landlock)",
        "no network (seccomp)",
    }


def test_processor_time_is_bounded(tmp_path):
    program = "from edge_runtime.prepare.confine.limits import limit_seconds\nlimit_seconds(0.5)\nwhile True: pass"
    done = subprocess.run(python_code(program), env=python_environment(), check=False, cwd=tmp_path)
    assert done.returncode == -24  # SIGXCPU


def test_a_system_that_can_nothing_is_told_and_goes_on(monkeypatch, tmp_path):
    import tempfile

    from edge_runtime.prepare.confine import confine as module

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    names = ("die_with_parent", "limit_data", "limit_files", "no_core", "no_new_privileges", "forbid_calls")
    for name in names:
        monkeypatch.setattr(module, name, lambda *_: False)
    monkeypatch.setattr(module, "restrict_files", lambda *_: False)
    missing = module.confine(module.Bounds(1, 1, (), (Path(tmp_path),)))
    assert len(missing) == 7
    assert "no network (seccomp)" in missing
