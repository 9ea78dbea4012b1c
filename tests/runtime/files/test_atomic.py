import os
from pathlib import Path

import pytest

from edge_runtime.errors import OutputError
from edge_runtime.files import atomic
from edge_runtime.files.atomic import new_folder, sha256_file, write_bytes, write_text


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_holds_the_new_content_and_leaves_no_temp_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_folder_appears_only_when_it_is_complete(tmp_path):
    target = tmp_path / "out"
    with new_folder(target) as folder:
        (folder / "one").write_text("1")
        assert not target.exists()
    assert (target / "one").read_text() == "1"
    assert names_in(tmp_path) == ["out"]


def test_a_failure_leaves_the_old_folder_untouched(tmp_path):
    target = tmp_path / "out"
    with new_folder(target) as folder:
        (folder / "one").write_text("old")

    def write_and_fail():
        with new_folder(target) as folder:
            (folder / "one").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert (target / "one").read_text() == "old"
    assert names_in(tmp_path) == ["out"]


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        write_bytes(tmp_path / "file" / "inside", b"x")
    with pytest.raises(OutputError, match="cannot write"), new_folder(tmp_path / "file" / "inside"):
        pass


def test_a_full_disk_is_an_output_error(tmp_path, monkeypatch):
    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError, match="No space left"):
        write_bytes(tmp_path / "a", b"x" * 100)
    assert names_in(tmp_path) == []


def test_the_digest_is_that_of_the_whole_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a").startswith("ba7816bf")


def test_an_interrupt_between_the_two_renames_leaves_the_old_folder(tmp_path, monkeypatch):
    target = tmp_path / "out"
    with new_folder(target) as folder:
        (folder / "one").write_text("old")
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    rename, calls = Path.rename, []

    def interrupted(path, to):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), new_folder(target) as folder:
        (folder / "one").write_text("new")
    assert len(calls) == 3
    assert (target / "one").read_text() == "old"
    assert names_in(tmp_path) == ["out"]


def test_two_folders_are_exchanged_in_one_step_where_the_system_can(tmp_path, monkeypatch):
    target = tmp_path / "out"
    with new_folder(target) as folder:
        (folder / "one").write_text("old")
    (tmp_path / "probe").mkdir()
    if not atomic._exchange(target, tmp_path / "probe"):
        pytest.skip("this file system cannot exchange two folders")
    atomic._exchange(target, tmp_path / "probe")
    (tmp_path / "probe").rmdir()
    monkeypatch.setattr(Path, "rename", None)
    with new_folder(target) as folder:
        (folder / "one").write_text("new")
    assert (target / "one").read_text() == "new"
    assert names_in(tmp_path) == ["out"]


def test_nothing_is_exchanged_with_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "one").mkdir()
    assert not atomic._exchange(tmp_path / "one", tmp_path / "two")
    assert names_in(tmp_path) == ["one"]


def test_a_folder_may_be_named_by_a_dot(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with new_folder(Path()) as folder:
        (folder / "one").write_text("1")
    assert (tmp_path / "here" / "one").read_text() == "1"
    assert names_in(tmp_path) == ["here"]


def test_a_folder_that_is_to_last_is_known_to_each_of_its_parents(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(atomic, "sync_path", synced.append)
    atomic.lasting_folder(tmp_path / "a" / "b" / "c")
    assert synced == [tmp_path / "a" / "b", tmp_path / "a", tmp_path]
    atomic.lasting_folder(tmp_path / "a" / "b")
    assert len(synced) == 3
