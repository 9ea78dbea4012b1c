"""The memory that is left, out of recorded /proc and /sys trees."""

import os
import platform
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_devices import available_memory
from edge_devices.interpreter import python_code, python_environment
from edge_devices.process_memory import share_of
from edge_devices.tree import integer

MEMINFO = "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    4000000 kB\n"
AVAILABLE = 4_000_000 << 10
V1 = "12:pids:/box\n5:cpu,memory:/docker/box:1\n1:name=systemd:/box\n"
MB = 1 << 20


@pytest.fixture
def tree(tmp_path):
    def write(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    write({"proc/meminfo": MEMINFO})
    return write


def test_this_machine_tells_something():
    assert available_memory() is None or available_memory() > 0


def test_without_a_group_it_is_what_the_system_has(tree):
    assert available_memory(tree({})) == AVAILABLE


def test_a_system_that_tells_nothing_gives_none(tmp_path):
    assert available_memory(tmp_path) is None


def test_a_group_of_version_2_leaves_its_limit_less_what_its_processes_own(tree):
    root = tree(
        {
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/box/memory.max": f"{100 * MB}\n",
            "sys/fs/cgroup/box/memory.stat": f"anon {20 * MB}\nfile {70 * MB}\nkernel {2 * MB}\nshmem {3 * MB}\n",
        }
    )
    assert available_memory(root) == 75 * MB  # the page cache gives way


def test_a_group_of_version_1_leaves_its_limit_less_what_its_processes_own(tree):
    folder = "sys/fs/cgroup/memory/docker/box:1"
    root = tree(
        {
            "proc/self/cgroup": V1,
            f"{folder}/memory.limit_in_bytes": f"{100 * MB}\n",
            f"{folder}/memory.stat": f"cache {70 * MB}\nrss 5\ntotal_rss {20 * MB}\ntotal_shmem {3 * MB}\n",
        }
    )
    assert available_memory(root) == 77 * MB


@pytest.mark.parametrize(("inner", "outer", "left"), [("50", "80", 50), ("80", "50", 50), ("max", "50", 50)])
def test_of_nested_groups_the_least_room_counts(tree, inner, outer, left):
    def limit(text):
        return text if text == "max" else str(int(text) * MB)

    root = tree(
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            "sys/fs/cgroup/outer/inner/memory.max": limit(inner),
            "sys/fs/cgroup/outer/memory.max": limit(outer),
        }
    )
    assert available_memory(root) == left * MB


def test_what_the_neighbours_in_an_outer_group_own_is_not_left(tree):
    root = tree(
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            "sys/fs/cgroup/outer/inner/memory.max": str(50 * MB),
            "sys/fs/cgroup/outer/memory.max": str(80 * MB),
            "sys/fs/cgroup/outer/memory.stat": f"anon {70 * MB}\n",
        }
    )
    assert available_memory(root) == 10 * MB


@pytest.mark.parametrize(
    ("groups", "limit"), [("0::/\n", "memory.max"), (V1, "memory/memory.limit_in_bytes"), ("0::/../..\n", "memory.max")]
)
def test_in_a_container_the_mount_itself_is_the_group(tree, groups, limit):
    root = tree({"proc/self/cgroup": groups, f"sys/fs/cgroup/{limit}": str(10 * MB)})
    assert available_memory(root) == 10 * MB


@pytest.mark.parametrize("limit", ["max", "9223372036854771712", "", "many", "-1", "9" * 5000, "\u00b2"])
def test_a_limit_that_is_none_is_no_limit(tree, limit):
    root = tree(
        {
            "proc/self/cgroup": "0::/box\n5:memory:/box\n",
            "sys/fs/cgroup/box/memory.max": limit,
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": limit,
        }
    )
    assert available_memory(root) == AVAILABLE


def test_a_group_that_is_over_its_limit_has_nothing_left(tree):
    root = tree(
        {
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/box/memory.max": str(MB),
            "sys/fs/cgroup/box/memory.stat": f"anon {2 * MB}\n",
        }
    )
    assert available_memory(root) == 0


def test_a_group_of_another_kind_is_not_looked_at(tree):
    root = tree({"proc/self/cgroup": "5:cpu:/box\n", "sys/fs/cgroup/memory/box/memory.limit_in_bytes": str(MB)})
    assert available_memory(root) == AVAILABLE


def test_a_folder_in_the_place_of_a_file_tells_nothing(tmp_path):
    for name in ("proc/meminfo", "proc/self/cgroup"):
        (tmp_path / name).mkdir(parents=True)
    assert available_memory(tmp_path) is None


@given(meminfo=st.binary(max_size=80), value=st.binary(max_size=30), groups=st.binary(max_size=60))
def test_garbage_gives_a_number_or_none(tmp_path_factory, meminfo, value, groups):
    root = tmp_path_factory.mktemp("tree")
    group = root / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_bytes(b"MemAvailable: " + meminfo)
    (root / "proc/self/cgroup").write_bytes(b"0::/\n" + groups.replace(b"\0", b""))
    (group / "memory.max").write_bytes(value)
    (group / "memory.stat").write_bytes(b"anon " + meminfo)
    found = available_memory(root)
    assert found is None or found >= 0


@pytest.mark.parametrize("text", ["\u00b2", "\u0665", "9" * 5000, "", "-1", " 1"])
def test_only_plain_digits_are_a_number(text):
    assert integer(text) is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_another_process_has_a_share_of_the_memory_and_none_once_it_has_ended() -> None:
    share = share_of(os.getpid())
    assert share is not None
    assert 0 < share.now <= share.peak
    assert share_of(2**22 + 1) is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps what it likes")
@pytest.mark.parametrize(("call", "kept"), [("keep_freed_memory", True), ("tune_allocator", False)])
def test_what_is_freed_is_kept_or_given_back_as_the_process_asked(call, kept) -> None:
    code = f"""
from edge_devices.process_memory import {call}, memory
{call}()
before = memory().own
block = b"x" * (16 << 20)  # of which glibc maps and unmaps each by itself where nothing was asked
del block
print(memory().own - before)
"""
    run = subprocess.run(python_code(code), env=python_environment(), capture_output=True, text=True, check=True)
    assert (int(run.stdout) > 15 << 20) == kept
