"""What killed processes left half made is removed; what lives, or is another's, stays."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from edge_devices.interpreter import python_code, python_environment
from edge_runtime.files.atomic import new_folder
from edge_runtime.files.leftovers import is_dead

_MAKES = """
import signal, sys
from pathlib import Path
from edge_runtime.files.atomic import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("made")
    print(folder, flush=True)
    signal.pause()
"""


@pytest.fixture
def making(tmp_path):
    """Another process, in the middle of making `tmp_path / "out"`."""
    with subprocess.Popen(
        python_code(_MAKES, str(tmp_path / "out")),
        stdout=subprocess.PIPE,
        text=True,
        env=python_environment(),
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def make(tmp_path):
    with new_folder(tmp_path / "out") as folder:
        (folder / "whole").write_text("made")


def test_what_a_killed_process_left_is_removed_by_the_next(making, tmp_path):
    process, folder = making
    assert Path(folder).is_dir()
    process.send_signal(signal.SIGKILL)
    process.wait()
    make(tmp_path)
    assert names_in(tmp_path) == ["out"]


def test_what_another_process_makes_meanwhile_stays(making, tmp_path):
    _process, folder = making
    assert not is_dead(tmp_path / folder)
    make(tmp_path)
    assert names_in(tmp_path) == sorted([Path(folder).name, "out"])


@pytest.mark.parametrize("name", [".out.0123abcd.tmp", ".out.0123abcd.old"])
def test_only_folders_of_that_name_and_of_this_user_are_removed(tmp_path, name):
    kept = [".other.0123abcd.tmp", ".out.0123abcd.tmpx", ".out.x.tmp", "out.0123abcd.tmp"]
    for folder in (name, *kept):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text("")
    (tmp_path / "file").write_text("")
    (tmp_path / ".out.00000000.tmp").symlink_to(tmp_path / "file")
    make(tmp_path)
    make(tmp_path)
    assert names_in(tmp_path) == sorted([*kept, "out", "file", ".out.00000000.tmp"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_what_another_user_left_stays(tmp_path):
    left = tmp_path / ".out.0123abcd.tmp"
    left.mkdir()
    (left / "a").write_text("")
    os.chown(left, 65534, 65534)
    make(tmp_path)
    assert left.is_dir()


def test_an_older_folder_that_was_put_aside_stays_while_there_is_no_newer(tmp_path):
    aside = tmp_path / ".out.0123abcd.old"
    aside.mkdir()
    (aside / "a").write_text("")
    with new_folder(tmp_path / "out"):
        assert aside.is_dir()
