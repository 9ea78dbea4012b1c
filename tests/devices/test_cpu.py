import os

import pytest

from edge_devices import saturates_int8, usable_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def tree(root, files):
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "rubbish\n"}, 8),
        ({"cpu.max": "100000 0\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_the_quota_of_the_cgroup_limits_the_cores(tmp_path, files, cores):
    assert usable_cores(tree(tmp_path, files)) == cores


def test_this_machine_has_at_least_one_core():
    assert usable_cores() >= 1


@pytest.mark.parametrize(
    ("text", "saturates"),
    [
        ("flags\t\t: fpu avx2 fma\n", True),
        ("flags\t\t: fpu avx2 avx_vnni\n", False),
        ("flags\t\t: fpu avx512f avx512_vnni\n", False),
        ("Features\t: fp asimd asimddp\n", False),
        ("", False),
    ],
)
def test_an_x86_without_vnni_is_known_to_cut_off_large_sums(tmp_path, text, saturates):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(text)
    assert saturates_int8(tmp_path) is saturates


def test_where_nobody_tells_sums_are_taken_to_be_right(tmp_path):
    assert not saturates_int8(tmp_path)
