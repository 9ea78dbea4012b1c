"""Control groups: where they are made, what is written, what is left behind; for real where this machine allows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_fakes import install_fakes, order

from edge_runtime.errors import UsageError
from edge_tools.bench import hierarchy as hierarchy_module
from edge_tools.bench.confine import Caps, Charges, Group, create_group
from edge_tools.bench.hierarchy import Hierarchy, disks_of, open_hierarchy
from edge_tools.bench.page_cache import PageCache
from edge_tools.bench.process import KilledError, start_worker

LIMIT = 150_000_000


def tree(root: Path, mounts: str, own: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/mounts").write_text(mounts)
    (root / "proc/self/cgroup").write_text(own)
    return root


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    names = ("memory", "blkio", "cpu,cpuacct")
    for name in names:
        (tmp_path / "cg" / name).mkdir(parents=True)
    mounts = "".join(f"cgroup /cg/{name} cgroup rw,relatime,{name} 0 0\n" for name in names)
    return tree(tmp_path, "/dev/sda1 / ext4 rw 0 0\n" + mounts, "3:memory:/user\n2:blkio:/\n1:cpu,cpuacct:/\n0::/\n")


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    top = tmp_path / "cg"
    top.mkdir()
    (top / "cgroup.procs").write_text("")
    (top / "cgroup.controllers").write_text("cpu io memory pids\n")
    (top / "cgroup.subtree_control").write_text("memory\n")
    return tree(tmp_path, "cgroup2 /cg cgroup2 rw,nosuid 0 0\n", "0::/\n")


def test_version_1_takes_a_folder_in_each_controllers_tree(v1: Path) -> None:
    caps = Caps(LIMIT, 40_000_000, ("8:0", "8:16"), 1.5)
    with open_hierarchy(caps.controllers(), v1) as hierarchy:
        memory, blkio, cpu = create_group(hierarchy, caps).folders
    assert [folder.parent.name for folder in (memory, blkio, cpu)] == ["memory", "blkio", "cpu,cpuacct"]
    assert (memory / "memory.limit_in_bytes").read_text() == str(LIMIT)
    assert (blkio / "blkio.throttle.read_bps_device").exists()
    assert (cpu / "cpu.cfs_quota_us").read_text() == "150000"
    assert not (memory / "memory.memsw.limit_in_bytes").exists()  # this kernel does not have it


def test_version_2_takes_one_folder_and_gives_controllers_back(v2: Path) -> None:
    caps = Caps(LIMIT, 40_000_000, ("8:0",), 2)
    with open_hierarchy(caps.controllers(), v2) as hierarchy:
        assert (v2 / "cg/cgroup.subtree_control").read_text() == "+io +cpu"
        (folder,) = create_group(hierarchy, caps).folders
    assert (folder / "memory.max").read_text() == str(LIMIT)
    assert (folder / "io.max").read_text() == "8:0 rbps=40000000"
    assert (folder / "cpu.max").read_text() == "200000 100000"
    assert (v2 / "cg/cgroup.subtree_control").read_text() == "-io -cpu"


def test_a_controller_that_is_off_is_named(v2: Path) -> None:
    (v2 / "cg/cgroup.controllers").write_text("cpu\n")
    with pytest.raises(UsageError, match=r"memory controller switched off \(on Raspberry Pi OS"):
        open_hierarchy(["memory"], v2).__enter__()


def test_missing_rights_are_told_with_what_would_give_them(v1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hierarchy_module.os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match=r"needs root, or a control group of its own: systemd-run --user --scope"):
        open_hierarchy(["memory"], v1).__enter__()


def test_a_machine_without_control_groups_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no control groups are mounted"):
        open_hierarchy(["memory"], tree(tmp_path, "", "0::/\n")).__enter__()


def test_groups_of_an_edge_bench_that_is_gone_are_removed(v1: Path) -> None:
    left, alive = v1 / "cg/memory/edge-bench-999999999-0", v1 / "cg/memory/edge-bench-1-0"
    left.mkdir()
    alive.mkdir()
    with open_hierarchy(["memory"], v1):
        assert (left.exists(), alive.exists()) == (False, True)


def test_a_group_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the kernel refused"):
        create_group(Hierarchy(1, {"memory": tmp_path, "cpu": tmp_path / "absent"}), Caps(LIMIT, cpus=1))
    assert list(tmp_path.iterdir()) == []


def test_charges_are_read_from_either_version(tmp_path: Path) -> None:
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (tmp_path / "memory.failcnt").write_text("3\n")
    (tmp_path / "memory.memsw.failcnt").write_text("4\n")
    (tmp_path / "memory.max_usage_in_bytes").write_text("1000\n")
    (tmp_path / "memory.events").write_text("low 0\nmax 5\noom_kill 1\n")
    (tmp_path / "memory.peak").write_text("2000\n")
    assert Group(1, (tmp_path,)).charges() == Charges(2, 7, 1000)
    assert Group(2, (tmp_path,)).charges() == Charges(1, 5, 2000)


def test_a_partition_is_throttled_by_its_disk(tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    disk = tmp_path / "devices/sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1/partition").write_text("1\n")
    links = tmp_path / "sys/dev/block"
    links.mkdir(parents=True)
    with pytest.raises(UsageError, match="lies on no disk of its own"):
        disks_of([tmp_path], tmp_path / "sys")
    (links / f"{number >> 8}:{number & 255}").symlink_to(disk / "sda1")
    assert disks_of([tmp_path, tmp_path], tmp_path / "sys") == ("8:0",)


def test_the_page_cache_is_dropped_as_far_as_the_rights_go(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"w" * 5000)
    switch = tmp_path / "drop_caches"
    files = PageCache([tmp_path], switch=switch)
    files.drop()
    assert "posix_fadvise" in files.how
    switch.write_text("")
    whole = PageCache([tmp_path], switch=switch)
    whole.drop()
    assert "drop_caches" in whole.how
    assert switch.read_text() == "3\n"
    assert PageCache([tmp_path], drop=False).how == "left as it was"


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hierarchy]:
    install_fakes(monkeypatch, tmp_path)
    try:
        with open_hierarchy(["memory"]) as hierarchy:
            create_group(hierarchy, Caps(LIMIT)).remove()
            yield hierarchy
    except UsageError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")


def test_the_kernel_kills_what_takes_more_than_its_group_may(real: Hierarchy, tmp_path: Path) -> None:
    group = create_group(real, Caps(LIMIT))
    with (
        pytest.raises(KilledError, match=r"killed by the kernel for its memory: 1[45]"),
        start_worker(order(tmp_path, "eats"), "the engine", 30.0, group) as worker,
    ):
        worker.open()
    assert not any(folder.exists() for folder in group.folders)


def test_what_stays_within_its_group_is_charged_from_its_first_page(real: Hierarchy, tmp_path: Path) -> None:
    group = create_group(real, Caps(LIMIT))
    with start_worker(order(tmp_path), "the engine", 30.0, group) as worker:
        worker.open()
        charges = worker.charges()
    assert charges is not None
    assert charges.oom_kills == 0
    assert 0 < charges.most_bytes <= LIMIT
    assert not any(folder.exists() for folder in group.folders)
