"""Recorded trees of boards: the right profile, and what the probes make of each."""

from pathlib import Path
from typing import NamedTuple

import pytest

from edge_devices import detect, look
from edge_devices.machine import Storage, Trip
from edge_devices.recording import unpack

BOARDS = Path(__file__).parent / "boards"


class Known(NamedTuple):
    """What is to be found: `cores` big ones first (how many, kind, MHz), instruction sets that it has and lacks, the
    disk, its memory in MiB, why it is held down `now` and was `before`, its power mode."""

    profile: str
    cores: str
    has: str
    lacks: str
    disk: tuple[str, str]
    mebibytes: int
    now: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    mode: str = ""


EXPECTED = {
    "container-on-a-pi-5": Known(
        "raspberry-pi-5 probe", "3x cortex-a76 2400", "asimddp asimdhp", "i8mm", ("mmcblk0", "sd"), 512, mode="ondemand"
    ),
    "intel-n100": Known(
        "intel-n100 probe",
        "4x ? 3400",
        "avx2 avx_vnni",
        "avx512f avx512_vnni",
        ("sda", "ssd"),
        7726,
        before=("temperature limit",),
        mode="powersave",
    ),
    "jetson-agx-orin": Known(
        "jetson-agx-orin probe",
        "12x cortex-a78ae 2201",
        "asimddp asimdhp",
        "i8mm",
        ("mmcblk0", "emmc"),
        62827,
        before=("under-voltage",),
        mode="mode 0",
    ),
    "jetson-nano": Known(
        "jetson-nano probe",
        "4x cortex-a57 1479",
        "asimd",
        "asimddp asimdhp",
        ("mmcblk0", "emmc"),
        3956,
        now=("temperature limit",),
        mode="5W",
    ),
    "jetson-orin-nano": Known(
        "jetson-orin-nano probe",
        "6x cortex-a78ae 1728",
        "asimddp asimdhp",
        "i8mm",
        ("nvme0n1", "nvme"),
        7619,
        before=("average over-current", "instantaneous over-current"),
        mode="25W",
    ),
    "jetson-orin-nx": Known(
        "jetson-orin-nx probe",
        "8x cortex-a78ae 1984",
        "asimddp asimdhp",
        "i8mm",
        ("nvme0n1", "nvme"),
        15528,
        mode="MAXN",
    ),
    "jetson-xavier-nx": Known(
        "jetson-xavier-nx probe",
        "2x carmel 1907",
        "asimdhp",
        "asimddp",
        ("mmcblk0", "emmc"),
        7775,
        mode="MODE_15W_2CORE",
    ),
    "raspberry-pi-3b-plus": Known(
        "raspberry-pi-3b-plus probe",
        "4x cortex-a53 1400",
        "asimd",
        "asimddp asimdhp aes",
        ("mmcblk0", "sd"),
        908,
        now=("under-voltage",),
        before=("under-voltage", "throttled"),
        mode="ondemand",
    ),
    "raspberry-pi-4b": Known(
        "raspberry-pi-4b probe",
        "4x cortex-a72 1800",
        "asimd",
        "asimddp asimdhp aes",
        ("mmcblk0", "sd"),
        3793,
        before=("clock capped", "throttled"),
        mode="ondemand",
    ),
    "raspberry-pi-5": Known(
        "raspberry-pi-5 probe",
        "4x cortex-a76 2400",
        "asimddp asimdhp aes",
        "i8mm bf16 sve",
        ("nvme0n1", "nvme"),
        8058,
        mode="ondemand",
    ),
    "raspberry-pi-zero-2-w": Known(
        "raspberry-pi-zero-2-w probe",
        "4x cortex-a53 1000",
        "asimd",
        "asimddp asimdhp aes",
        ("mmcblk0", "sd"),
        416,
        now=("temperature limit",),
        before=("temperature limit",),
        mode="ondemand",
    ),
    "rock-5b": Known(
        "arm64 default",
        "4x cortex-a76 2400, 4x cortex-a55 1800",
        "asimddp asimdhp",
        "i8mm",
        ("mmcblk0", "emmc"),
        15745,
        now=("temperature limit",),
        mode="schedutil",
    ),
    "x86-desktop": Known(
        "x86-64 probe",
        "8x ? 0",
        "avx2",
        "avx_vnni avx512_vnni avx512f",
        ("sda", "hdd"),
        3940,
    ),
    "x86-server-vnni": Known(
        "x86-64-vnni probe",
        "2x ? 0",
        "avx512_vnni avx_vnni amx_int8",
        "asimd",
        ("sda", "virtual"),
        7933,
    ),
    "x86-virtual-machine": Known(
        "x86-64-vnni probe",
        "2x ? 0",
        "avx512_vnni avx2",
        "amx_int8",
        ("vda", "virtual"),
        24105,
    ),
}


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A board's tree in a folder, unpacked once."""
    folders = {}

    def unpacked(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            unpack((BOARDS / f"{name}.txt").read_text(encoding="utf-8"), folders[name])
        return folders[name]

    return unpacked


def told(cores):
    groups = {}
    for core in cores:
        groups.setdefault((core.kind or "?", core.mhz), []).append(core)
    return ", ".join(f"{len(group)}x {kind} {mhz}" for (kind, mhz), group in groups.items())


def test_every_recorded_board_is_expected_to_be_something():
    assert sorted(EXPECTED) == sorted(path.stem for path in BOARDS.glob("*.txt"))
    assert len(EXPECTED) >= 12


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_board_is_known_for_what_it_is(board, name, tmp_path, monkeypatch):
    monkeypatch.delenv("EDGELINE_DEVICE", raising=False)
    known = EXPECTED[name]
    found = detect(root=board(name), config=tmp_path)
    machine = found.machine
    assert f"{found.profile.id} {found.how}" == known.profile, found.why
    assert told(machine.cores) == known.cores
    assert machine.isa.issuperset(known.has.split())
    assert machine.isa.isdisjoint(known.lacks.split())
    assert machine.storage == Storage(*known.disk)
    assert machine.memory_bytes >> 20 == known.mebibytes
    assert (machine.throttled, machine.throttled_before) == (known.now, known.before)
    assert machine.power_mode == known.mode
    assert machine.container == (name in ("container-on-a-pi-5", "x86-virtual-machine"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_board_tells_where_it_is_from(name):
    lines = (BOARDS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    source = [line for line in lines if line.startswith("# ")]
    assert len(source) >= 2
    assert any("recorded" in line.lower() for line in source)


@pytest.mark.parametrize(
    ("name", "release"),
    [("jetson-nano", "32.7.4"), ("jetson-orin-nx", "35.4.1"), ("jetson-orin-nano", "36.4.7"), ("raspberry-pi-5", "")],
)
def test_nvidias_release_is_read(board, name, release):
    assert look(board(name)).l4t == release


def test_a_container_sees_its_own_cores_and_memory_and_not_the_hosts(board):
    inside, host = look(board("container-on-a-pi-5")), look(board("raspberry-pi-5"))
    assert [core.number for core in inside.cores] == [1, 2, 3]
    assert (inside.usable_cores, host.usable_cores) == (2, 4)  # 1.5 CPUs
    assert inside.memory_bytes == 512 << 20 < host.memory_bytes


def test_big_cores_come_first(board):
    assert [core.number for core in look(board("rock-5b")).cores] == [4, 5, 6, 7, 0, 1, 2, 3]


def test_a_device_trees_list_outweighs_what_a_carriers_maker_wrote_as_its_model(board):
    assert "Orin NX" in look(board("jetson-orin-nano")).board


def test_thermal_zones_have_their_trip_points_ascending(board):
    zones = {zone.name: zone for zone in look(board("jetson-orin-nano")).zones}
    assert zones["tj-thermal"].celsius == 63.775
    assert zones["tj-thermal"].trips == (Trip("passive", 99.0), Trip("critical", 104.5))
    assert zones["cv0-thermal"].celsius is None
    active = [trip.celsius for trip in look(board("raspberry-pi-5")).zones[0].trips]
    assert active == [50.0, 60.0, 67.5, 75.0, 110.0]


def test_a_board_without_a_profile_goes_by_a_default_that_is_logged(board, tmp_path, caplog, monkeypatch):
    monkeypatch.delenv("EDGELINE_DEVICE", raising=False)
    found = detect(root=board("rock-5b"), config=tmp_path)
    assert found.how == "default"
    assert [record.name for record in caplog.records] == ["edge_devices.detection"]
    assert "Radxa ROCK 5B is no board that Edgeline knows" in caplog.text


def test_what_is_asked_for_outweighs_what_is_found(board, tmp_path, monkeypatch):
    root = board("raspberry-pi-4b")
    monkeypatch.setenv("EDGELINE_DEVICE", "jetson-nano")
    assert detect(root=root, config=tmp_path).profile.id == "jetson-nano"
    found = detect("raspberry-pi-5", root, tmp_path)
    assert (found.profile.id, found.how) == ("raspberry-pi-5", "override")
    assert found.machine.board.startswith("Raspberry Pi 4")
    monkeypatch.setenv("EDGELINE_DEVICE", "")
    assert detect(root=root, config=tmp_path).how == "probe"
