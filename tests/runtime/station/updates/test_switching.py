"""`current` and what is known of it, whatever a kill came between."""

from __future__ import annotations

import dataclasses

import pytest
from update_cases import bundle_of, installed, untried, versions

from edge_runtime.errors import UpdateError
from edge_runtime.station.updates.state import State, Trial, read_state, write_state
from edge_runtime.station.updates.switching import confirm, go_back, return_from, settle
from edge_runtime.station.updates.versions import versions_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Version 2 is on probation, 1 was before."""
    untried(monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    found = versions(tmp_path)
    for number in ("1", "2"):
        installed(found, bundle_of(tmp_path, number))
    return found


def last(folder):
    ending = read_state(folder.state).endings[-1]
    return ending.version, ending.how, ending.why


def test_a_return_says_why(folder):
    assert return_from(folder, 2, "it failed")
    assert folder.number() == 1
    assert last(folder) == (2, "returned", "it failed")
    assert not return_from(folder, 2, "again")
    with pytest.raises(UpdateError, match="on probation"):
        confirm(folder, "late")


def test_a_confirmed_version_is_gone_back_from_by_hand_alone(folder):
    assert confirm(folder, "20 parts") == 2
    assert last(folder) == (2, "confirmed", "20 parts")
    assert not return_from(folder, 2, "it failed")
    assert folder.number() == 2
    assert go_back(folder, None, "by hand") == 1
    assert last(folder) == (2, "went back", "by hand")
    with pytest.raises(UpdateError, match="no version before this one"):
        go_back(folder, None, "once more")
    assert go_back(folder, 1, "there already") == 1
    with pytest.raises(UpdateError, match="no version 7"):
        go_back(folder, 7, "by hand")


def test_a_confirmation_is_of_the_version_that_was_judged(folder):
    with pytest.raises(UpdateError, match="on probation"):
        confirm(folder, "20 parts", 1)
    assert confirm(folder, "20 parts", 2) == 2


def test_what_a_kill_left_before_the_switch_is_as_if_it_had_not_been(folder):
    confirm(folder, "here")
    state = dataclasses.replace(read_state(folder.state), trial=Trial(3, 2, "0" * 64, "now"))
    write_state(folder.state, state)
    settle(folder)
    assert folder.number() == 2
    assert read_state(folder.state).trial is None
    assert last(folder)[:2] == (3, "interrupted")
    assert read_state(folder.state).before == 1


@pytest.mark.parametrize("switched", [False, True])
def test_a_return_that_a_kill_came_into_is_ended(folder, switched):
    state = read_state(folder.state)
    write_state(folder.state, dataclasses.replace(state, trial=dataclasses.replace(state.trial, returning="bad")))
    if switched:
        folder.switch(1)
    settle(folder)
    assert folder.number() == 1
    assert last(folder) == (2, "returned", "bad")


def test_halves_are_removed_and_nothing_else(folder):
    folder.staging.mkdir()
    (folder.staging / "half").write_bytes(b"x")
    (folder.root / "versions" / ".gone-1").mkdir()
    (folder.root / ".current.1234.tmp").symlink_to("versions/9")
    settle(folder)
    assert {path.name for path in (folder.root / "versions").iterdir()} == {"1", "2"}
    left = {path.name for path in folder.root.iterdir()}
    assert left == {"current", "lock", "state.lock", "update.json", "versions"}


def test_what_another_update_has_staged_stays(folder):
    folder.staging.mkdir()
    with folder.updating():
        settle(folder)
    assert folder.staging.is_dir()


def test_a_state_that_rotted_is_as_if_none_were_there(folder, caplog):
    folder.state.write_text("{")
    assert read_state(folder.state) == State()
    assert "cannot be read" in caplog.text
    settle(folder)
    assert folder.number() == 2


def test_only_a_link_to_a_version_is_a_folder_of_versions(folder, tmp_path):
    assert versions_of(folder.current) == folder
    assert versions_of(folder.version(1)) is None
    other = tmp_path / "current"
    other.symlink_to(folder.version(1))
    assert versions_of(other) is None
    folder.current.unlink()
    folder.current.mkdir()
    with pytest.raises(UpdateError, match="no link to a version"):
        folder.number()
