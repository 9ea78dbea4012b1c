"""A tree as text, and the command that prints and records it."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_devices.__main__ import main
from edge_devices.recording import pack, parse, record, unpack
from edge_devices.tree import Tree

PATHS = st.lists(
    st.text("abcxyz.-_:", min_size=1, max_size=8).filter(lambda name: name.strip(".")), min_size=1, max_size=3
)


@given(st.dictionaries(PATHS.map("/".join), st.binary(max_size=60), max_size=5))
def test_what_is_packed_is_read_again(files):
    assert parse(pack(files, {})) == (files, {})


@given(st.text(max_size=200))
@settings(max_examples=50)
def test_any_text_can_be_read_as_a_tree(text):
    parse(text)


@pytest.mark.parametrize("content", [b"== not a file\n", b"a\\", b"\\0\n", b"\\\n", b"\0", b"\xff\n", b"", b"\n"])
def test_contents_that_look_like_the_format_survive(content):
    assert parse(pack({"a": content, "b": b"x\n"}, {"l": "a"})) == ({"a": content, "b": b"x\n"}, {"l": "a"})


@pytest.mark.parametrize(
    "text", ["== ../a\nx\n", "== a/../../b\n", "== a -> ../../b\n", "== l -> /etc/passwd\n", "== /../a\n"]
)
def test_a_tree_that_leads_out_of_its_folder_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match="leads out of the tree"):
        unpack(text, tmp_path / "root")
    assert not (tmp_path / "a").exists()


def test_serial_numbers_and_other_peoples_servers_are_left_out(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").write_text("Revision\t: d03115\nSerial\t\t: 100000000fe69593\nModel\t\t: Pi\n")
    nfs = "1 1 0:4 / /mnt rw - nfs4 secret.example:/home rw\n"
    (tmp_path / "proc/self/mountinfo").write_text("1 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + nfs)
    (tmp_path / "proc/self/status").write_text("Name:\tsecret\nCpus_allowed_list:\t0-3\n")
    tree = Tree(tmp_path)
    for path in ("proc/cpuinfo", "proc/self/mountinfo"):
        tree.data(path)
    text = record(tree)
    assert "Revision\t: d03115" in text
    assert "/dev/sda1" in text
    assert "Cpus_allowed_list:\t0-3" in text
    for word in ("fe69593", "secret"):
        assert word not in text


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EDGELINE_DEVICE", raising=False)


def test_the_command_tells_what_it_found_and_why(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("profile ")
    assert lines[1].startswith("because ")
    assert main(["--device", "jetson-nano", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["profile"], told["how"]) == ("jetson-nano", "override")
    assert isinstance(told["machine"]["isa"], list)


def test_a_recording_of_this_machine_is_this_machine_again(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert main(["--record", str(tmp_path / "board.txt"), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["--tree", str(tmp_path / "board.txt"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for key in ("cores", "isa", "storage", "online", "board", "container"):
        assert again["machine"][key] == first["machine"][key], key
    assert again["profile"] == first["profile"]


def test_the_variable_chooses_the_profile_too(capsys, monkeypatch):
    monkeypatch.setenv("EDGELINE_DEVICE", "raspberry-pi-5")
    assert main([]) == 0
    assert "raspberry-pi-5" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--device", "toaster"], ["--tree", "none.txt"], ["--record", "none/none.txt"]])
def test_what_cannot_be_used_is_one_line(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "Errno" not in said


def test_a_misspelt_profile_is_answered_with_where_the_names_are(capsys):
    assert main(["--profile", "raspberry-pi-4"]) == 2
    assert "did you mean 'raspberry-pi-4b'" in (said := capsys.readouterr().err)
    assert "edge-bench --devices" in said


def test_the_package_can_be_run():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "edge_devices", "--json"]
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert json.loads(done.stdout)["profile"]
