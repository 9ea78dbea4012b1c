"""Which profiles there are: the shipped ones, and a user's own ahead of them."""

import dataclasses
from pathlib import Path

import pytest
from profile_texts import WHOLE

from edge_devices.profile_toml import ProfileError
from edge_devices.profiles import config_folder, known_profiles, profile_of


def own(config, name, text=WHOLE):
    folder = config / "devices"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_without_files_of_ones_own_there_are_the_shipped_ones(tmp_path):
    profiles = known_profiles(tmp_path)
    assert len(profiles) == 13
    assert list(profiles) == sorted(profiles)
    assert {profile.file for profile in profiles.values()} == {""}
    assert all(identity == profile.id for identity, profile in profiles.items())


def test_a_profile_of_ones_own_is_added_with_its_path(tmp_path):
    own(tmp_path, "my-board.toml")
    profiles = known_profiles(tmp_path)
    assert len(profiles) == 14
    assert profiles["my-board"].file == str(tmp_path / "devices/my-board.toml")


def test_a_profile_of_ones_own_wins_over_the_shipped_one(tmp_path):
    own(tmp_path, "raspberry-pi-5.toml")
    profile = known_profiles(tmp_path)["raspberry-pi-5"]
    assert profile.name == "My board"
    assert profile.file
    assert known_profiles(tmp_path / "elsewhere")["raspberry-pi-5"].name == "Raspberry Pi 5"


def test_other_files_and_hidden_ones_beside_them_are_left_alone(tmp_path):
    for name in ("notes.txt", "my-board.toml~", ".my-board.toml.swp", ".hidden.toml"):
        own(tmp_path, name, "not a profile")
    assert len(known_profiles(tmp_path)) == 13


def test_a_broken_profile_of_ones_own_is_an_error_with_its_path(tmp_path):
    own(tmp_path, "my-board.toml", "name = ")
    with pytest.raises(ProfileError, match=r"devices/my-board\.toml: not valid TOML"):
        known_profiles(tmp_path)


def test_a_file_where_the_folder_should_be_is_no_folder(tmp_path):
    (tmp_path / "devices").write_text("")
    assert len(known_profiles(tmp_path)) == 13


def test_an_id_is_found_and_a_misspelt_one_gets_those_near_it(tmp_path):
    assert profile_of("jetson-nano", tmp_path).name == "Jetson Nano"
    with pytest.raises(ProfileError, match=r"no device profile 'raspbery-pi-5' \(did you mean 'raspberry-pi-5'"):
        profile_of("raspbery-pi-5", tmp_path)
    with pytest.raises(ProfileError, match="did you mean 'raspberry-pi-4b'"):
        profile_of("Raspberry Pi 4B", tmp_path)
    with pytest.raises(ProfileError, match="no device profile 'toaster'; `edge-bench --devices` lists them"):
        profile_of("toaster", tmp_path)


def test_the_config_folder_is_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_folder() == tmp_path / "edgeline"
    own(tmp_path, "unseen.toml")
    (tmp_path / "edgeline").mkdir()
    own(tmp_path / "edgeline", "my-board.toml")
    assert "my-board" in known_profiles()
    assert "unseen" not in known_profiles()
    assert profile_of("my-board").name == "My board"


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_without_a_usable_xdg_folder_it_lies_in_the_home(monkeypatch, tmp_path, value):
    monkeypatch.setenv("XDG_CONFIG_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_folder() == tmp_path / ".config/edgeline"


def test_a_user_without_a_home_has_the_systems_folder(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert config_folder() == Path("/etc/edgeline")


def test_a_profile_cannot_be_changed(tmp_path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        known_profiles(tmp_path)["arm64"].name = "other"


def test_a_home_that_is_another_users_holds_no_profiles_and_that_is_said(tmp_path, monkeypatch, caplog):
    def refused(_path, **_more):
        raise PermissionError(13, "Permission denied")

    shipped = known_profiles(tmp_path)
    monkeypatch.setattr(Path, "iterdir", refused)
    monkeypatch.setattr(Path, "stat", refused)
    assert known_profiles(tmp_path) == shipped
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'devices'} may not be looked into: there are no device profiles of your own"
    ]


def test_a_profile_that_another_user_may_have_written_is_not_read_and_that_is_said(tmp_path, caplog):
    path = own(tmp_path, "my-board.toml")
    path.chmod(0o666)
    assert "my-board" not in known_profiles(tmp_path)
    assert [record.message for record in caplog.records] == [
        f"the device profile my-board.toml is not used: others can write {path}: chmod go-w it"
    ]
    path.chmod(0o644)
    path.parent.chmod(0o777)
    assert "my-board" not in known_profiles(tmp_path)
