"""Files that are missing, garbage, endless or no files at all never make a probe raise or hang."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_devices import Machine, available_memory, choose, detect, known_profiles, look, usable_cores
from edge_devices.board import board_name, compatible
from edge_devices.cpu import saturates_int8
from edge_devices.recording import parse, unpack
from edge_devices.tree import Tree, integer, numbers

BOARDS = sorted((Path(__file__).parent / "boards").glob("*.txt"))
NAMES = ("raspberry-pi-3b-plus", "jetson-nano", "jetson-orin-nano", "container-on-a-pi-5", "x86-desktop", "rock-5b")
TREES = {path.stem: parse(path.read_text(encoding="utf-8")) for path in BOARDS if path.stem in NAMES}
GARBAGE = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"", b"\0" * 300, b"\xff" * 300, b"9" * 5000, b"-1\n", b"0-99999999999\n", b"0x\n", b": : :\n" * 50]
    ),
)


@pytest.fixture(autouse=True)
def _nothing_asked_for(monkeypatch):
    monkeypatch.delenv("EDGELINE_DEVICE", raising=False)


def written(folder, files, links):
    shutil.rmtree(folder, ignore_errors=True)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    for path, target in links.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(target)
    folder.mkdir(exist_ok=True)
    return folder


def survives(root):
    found = detect(root=root, config=root / "none")
    assert found.why
    assert found.machine.usable_cores >= 1
    assert len({core.number for core in found.machine.cores}) == len(found.machine.cores)
    assert found.machine.memory_bytes is None or found.machine.memory_bytes >= 0
    assert usable_cores(root) >= 1
    assert saturates_int8(root) in (True, False)
    assert available_memory(root) is None or available_memory(root) >= 0
    return found


@given(st.data())
@settings(max_examples=25)
def test_any_files_can_be_missing_and_any_can_be_garbage(tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(TREES)))
    files, links = TREES[name]
    gone = data.draw(st.sets(st.sampled_from(sorted(files)), max_size=len(files)))
    kept = {path: content for path, content in files.items() if path not in gone}
    for path in data.draw(st.sets(st.sampled_from(sorted(kept)), max_size=6)) if kept else ():
        kept[path] = data.draw(GARBAGE)
    gone_links = data.draw(st.sets(st.sampled_from(sorted(links)))) if links else ()
    survives(
        written(
            tmp_path_factory.getbasetemp() / "hostile", kept, {p: t for p, t in links.items() if p not in gone_links}
        )
    )


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
@settings(max_examples=20)
def test_garbage_in_the_files_of_many_lines_is_survived(tmp_path_factory, cpuinfo, mountinfo, cgroup):
    files = {
        "proc/cpuinfo": b"processor: 0\nflags: " + cpuinfo,
        "proc/self/mountinfo": b"1 1 8:1 / / rw - " + mountinfo,
        "proc/self/cgroup": b"0::/" + cgroup,
        "proc/meminfo": b"MemTotal: " + cgroup,
        "proc/device-tree/compatible": mountinfo,
        "proc/device-tree/model": cpuinfo,
        "proc/self/auxv": cpuinfo,
        "etc/nv_tegra_release": b"# R36 (release), REVISION: " + cgroup,
    }
    survives(written(tmp_path_factory.getbasetemp() / "lines", files, {}))


def test_an_empty_tree_goes_by_the_plainest_default(tmp_path):
    found = survives(tmp_path)
    assert (found.profile.id, found.how) == ("plain", "default")
    assert survives(tmp_path / "none").how == "default"


def test_a_folder_in_the_place_of_every_file_tells_nothing(tmp_path):
    for files, _ in TREES.values():
        for path in files:
            (tmp_path / path).mkdir(parents=True, exist_ok=True)
    assert survives(tmp_path).machine.board == ""


def test_a_pipe_a_device_and_a_loop_are_not_waited_for(tmp_path):
    for path in ("proc/device-tree", "proc/self", "sys/class/dmi/id"):
        (tmp_path / path).mkdir(parents=True)
    os.mkfifo(tmp_path / "proc/cpuinfo")
    os.mkfifo(tmp_path / "proc/self/mountinfo")
    (tmp_path / "proc/meminfo").symlink_to("/dev/zero")
    (tmp_path / "proc/device-tree/model").symlink_to("model")
    assert survives(tmp_path).machine.memory_bytes is None


def test_an_endless_file_is_read_to_a_limit(tmp_path):
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    with (tmp_path / "proc/device-tree/model").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "proc/device-tree/compatible").write_bytes(b"a\0" * 100_000)
    tree = Tree(tmp_path)
    assert board_name(tree) == ""
    assert len(compatible(tree)) == 64
    assert max(map(len, tree.read.values())) <= 256 << 10


def test_a_link_out_of_a_recorded_tree_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "root"
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/device-tree/model").symlink_to(tmp_path / "secret")
    assert board_name(Tree(root)) == ""
    assert Tree(root).text("../secret") == ""


def test_a_folder_of_very_many_names_is_read_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_devices.tree._MOST_NAMES", 3)
    for number in range(9):
        (tmp_path / f"cpu{number}").touch()
    assert len(Tree(tmp_path).names(".")) == 3


def test_a_file_that_cannot_be_read_is_no_file(tmp_path, monkeypatch):
    (tmp_path / "temp").write_text("1")

    def asleep(*_):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "read", asleep)
    assert Tree(tmp_path).number("temp") is None


@given(st.text(max_size=30))
def test_a_list_of_numbers_is_short_and_ascending(text):
    found = numbers(text)
    assert found == sorted(set(found))
    assert all(number >= 0 for number in found)
    assert integer(text) is None or text.isdigit()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0-3", [0, 1, 2, 3]), ("0,2-3,7\n", [0, 2, 3, 7]), ("3-1", []), ("", []), ("0-99999999", []), ("a,1", [1])],
)
def test_the_kernels_lists_of_processors_are_read(text, expected):
    assert numbers(text) == expected


def test_a_machine_that_nothing_is_known_of_has_a_profile_even_without_any_profiles():
    profile, how, why = choose(Machine("riscv64"), {})
    assert (profile.id, how) == ("plain", "default")
    assert "riscv64" in why
    assert choose(Machine("aarch64"), known_profiles())[0].id == "arm64"


def test_the_same_tree_is_the_same_machine_again(tmp_path):
    unpack(BOARDS[0].read_text(encoding="utf-8"), tmp_path)
    assert look(tmp_path) == look(tmp_path)
