"""The probes one by one, on small trees: throttling, cores, groups, names, power modes, speed."""

import os
import struct
import subprocess
import sys

import pytest

from edge_devices import bandwidth, commands, look, processor_name, usable_cores
from edge_devices.bandwidth import CHUNK, brief_speed, read_speed
from edge_devices.board import board_name, l4t_release
from edge_devices.cgroups import allowed_cores, cpu_quota, in_container, memory_limit
from edge_devices.cpu import core_kind, cpuinfo
from edge_devices.memory import total_memory
from edge_devices.power_mode import power_mode
from edge_devices.probe import look_at
from edge_devices.thermal import zones
from edge_devices.throttle import firmware_bits, throttling
from edge_devices.tree import Tree

CPU = "sys/devices/system/cpu"


@pytest.fixture
def tree(tmp_path):
    def write(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Tree(tmp_path)

    return write


@pytest.mark.parametrize(
    ("text", "now", "before"),
    [
        ("throttled=0x0\n", [], []),
        ("throttled=0x50005", ["under-voltage", "throttled"], ["under-voltage", "throttled"]),
        ("80008\n", ["temperature limit"], ["temperature limit"]),
        ("f000f", ["under-voltage", "clock capped", "throttled", "temperature limit"], 4),
        ("", [], []),
        ('error=1 error_msg="Command not registered"', [], []),
        ("fffffffffffffffffffffffffffffff", 4, 4),
    ],
)
def test_the_firmwares_bits_become_words(text, now, before):
    for found, expected in zip(firmware_bits(text), (now, before), strict=True):
        assert (len(found) if isinstance(expected, int) else found) == expected


def test_vcgencmd_is_asked_only_on_a_raspberry_pi_that_has_no_file(tree):
    asked = []

    def ask(words):
        asked.append(list(words))
        return "throttled=0x40004\n"

    assert throttling(tree({}), "Raspberry Pi 4 Model B Rev 1.5", ask) == (("throttled",), ("throttled",))
    assert throttling(tree({}), "Radxa ROCK 5B", ask) == ((), ())
    file = "sys/devices/platform/soc/soc:firmware/get_throttled"
    assert throttling(tree({file: "0\n"}), "Raspberry Pi 4 Model B Rev 1.5", ask) == ((), ())
    assert asked == [["vcgencmd", "get_throttled"]]


@pytest.mark.parametrize(
    ("kind", "state", "hot"),
    [
        ("cpufreq-cpu0", "2", True),
        ("cpufreq-cpu0", "0", False),
        ("pwm-fan", "3", False),
        ("Processor", "1", True),
        ("cpu-balanced", "1", True),
        ("intel_powerclamp", "-1", False),
        ("cpu-throttle-alert", "1", True),
    ],
)
def test_a_cooling_device_that_slows_down_is_a_temperature_limit_and_a_fan_is_not(tree, kind, state, hot):
    base = "sys/class/thermal/cooling_device0"
    now, _ = throttling(tree({f"{base}/type": kind, f"{base}/cur_state": state}), "", commands.ask_nobody)
    assert now == (("temperature limit",) if hot else ())


@pytest.mark.parametrize(
    ("files", "answer", "mode"),
    [
        ({"var/lib/nvpmodel/status": "pmode:0002", "etc/nvpmodel.conf": "< POWER_MODEL ID=2 NAME=15W >\n"}, "", "15W"),
        ({"var/lib/nvpmodel/status": "pmode:0008"}, "", "mode 8"),
        ({}, "NVPM WARN: fan mode is not set!\nNV Power Mode: MAXN\n0\n", "MAXN"),
        ({f"{CPU}/cpu0/cpufreq/scaling_governor": "ondemand\n"}, "", "ondemand"),
        ({}, "", ""),
    ],
)
def test_a_power_mode_is_the_jetsons_or_else_the_governor(tree, files, answer, mode):
    assert power_mode(tree(files), "36.4.7", lambda words: answer) == mode


def test_nvpmodel_is_not_asked_where_there_is_no_jetson(tree):
    def never(words):
        raise AssertionError(words)

    assert power_mode(tree({}), "", never) == ""


def test_of_nested_groups_the_smallest_limit_counts(tree):
    base = "sys/fs/cgroup"
    found = tree(
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            f"{base}/outer/cpu.max": "150000 100000",
            f"{base}/outer/inner/cpu.max": "max 100000",
            f"{base}/outer/memory.max": str(100 << 20),
            f"{base}/outer/inner/memory.max": str(200 << 20),
            f"{base}/outer/inner/cpuset.cpus.effective": "2-3",
            f"{base}/outer/cpuset.cpus.effective": "0-3",
            "proc/meminfo": "MemTotal: 8000000 kB\n",
        }
    )
    assert (cpu_quota(found), memory_limit(found), allowed_cores(found)) == (1.5, 100 << 20, [2, 3])
    assert total_memory(found) == 100 << 20
    assert not in_container(found)


def test_groups_of_version_1_limit_alike(tree):
    base = "sys/fs/cgroup"
    found = tree(
        {
            "proc/self/cgroup": "4:memory:/docker/ab\n3:cpuset:/docker/ab\n2:cpu,cpuacct:/docker/ab\n",
            f"{base}/cpu/docker/ab/cpu.cfs_quota_us": "50000",
            f"{base}/cpu/docker/ab/cpu.cfs_period_us": "100000",
            f"{base}/cpu/docker/cpu.cfs_quota_us": "-1",
            f"{base}/cpu/docker/cpu.cfs_period_us": "100000",
            f"{base}/memory/memory.limit_in_bytes": str(64 << 20),
            f"{base}/memory/docker/ab/memory.limit_in_bytes": "9223372036854771712",
            f"{base}/cpuset/docker/ab/cpuset.cpus": "1",
        }
    )
    assert (cpu_quota(found), memory_limit(found), allowed_cores(found)) == (0.5, 64 << 20, [1])
    assert in_container(found)


def test_usable_cores_are_those_of_the_affinity_that_are_on_and_allowed(tree):
    found = tree(
        {
            "proc/self/status": "Name: x\nCpus_allowed_list:\t0-5\n",
            f"{CPU}/online": "0-3",
            "sys/fs/cgroup/cpuset.cpus.effective": "2-7",
        }
    )
    assert usable_cores(found.root) == 2
    assert [core.number for core in look(found.root).cores] == [2, 3]
    assert look(found.root).online == (0, 1, 2, 3)


def test_limits_that_leave_no_core_are_wrong_and_ignored(tree):
    found = tree({"proc/self/status": "Cpus_allowed_list: 0-1\n", "sys/fs/cgroup/cpuset.cpus.effective": "6-7"})
    assert usable_cores(found.root) == 2


def test_cores_are_ordered_by_capacity_then_clock(tree):
    files = {f"{CPU}/online": "0-3"}
    for number, (mhz, capacity) in enumerate([(2000, 400), (1000, 1024), (1500, 1024), (1500, 1024)]):
        files[f"{CPU}/cpu{number}/cpufreq/cpuinfo_max_freq"] = f"{mhz}000\n"
        files[f"{CPU}/cpu{number}/cpu_capacity"] = f"{capacity}\n"
    assert [core.number for core in look(tree(files).root).cores] == [2, 3, 1, 0]


def test_intels_performance_cores_are_told_from_its_efficient_ones(tree):
    found = tree({f"{CPU}/online": "0-3", "sys/devices/cpu_core/cpus": "0-1", "sys/devices/cpu_atom/cpus": "2-3"})
    assert [core.kind for core in look(found.root).cores] == ["intel-core"] * 2 + ["intel-atom"] * 2


def test_a_core_is_known_by_its_register_where_cpuinfo_is_silent(tree):
    found = tree({f"{CPU}/online": "0", f"{CPU}/cpu0/regs/identification/midr_el1": "0x00000000414fd0b1\n"})
    assert look(found.root).cores[0].kind == "cortex-a76"


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ((0x41, 0xD03), "cortex-a53"),
        ((0x41, 0xD42), "cortex-a78ae"),
        ((0x4E, 0x004), "carmel"),
        ((0x4E, 0x003), "denver2"),
        ((1, 2), ""),
    ],
)
def test_a_core_is_named_by_its_maker_and_part(part, kind):
    assert core_kind(*part) == kind


def test_instruction_sets_are_those_of_all_cores(tree):
    found = tree({"proc/cpuinfo": "processor: 0\nFeatures: asimd i8mm\nprocessor: 1\nFeatures: asimd\n"})
    assert cpuinfo(found, "aarch64").isa == {"asimd"}


def test_the_hosts_processor_under_an_emulator_is_not_ours(tree):
    auxv = struct.pack("=QQQQQQ", 16, 1 << 1 | 1 << 20, 26, 1 << 13, 0, 0)
    found = tree({"proc/cpuinfo": "processor: 0\nmodel name: AMD EPYC\nflags: avx2 lm\n", "proc/self/auxv": auxv})
    told = cpuinfo(found, "aarch64")
    assert (told.isa, told.name, told.parts) == ({"asimd", "asimddp", "i8mm"}, "", {})
    assert cpuinfo(found, "x86_64").isa == {"avx2", "lm"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("model name\t: AMD EPYC\n", "AMD EPYC"),
        ("Hardware\t: BCM2835\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n", "Raspberry Pi 5 Model B Rev 1.0"),
        (
            "processor: 0\nmodel name: ARMv8 Processor rev 1 (v8l)\nCPU implementer: 0x41\nCPU part: 0xd42\n",
            "cortex-a78ae",
        ),
        ("Hardware\t: Some SoC\n", "Some SoC"),
    ],
)
def test_a_processor_has_the_most_telling_name(tree, text, name):
    assert processor_name(tree({"proc/cpuinfo": text}).root) == name


@pytest.mark.parametrize(
    ("dmi", "name"),
    [
        (("Intel(R) Client Systems", "NUC11ATKC4", "x"), "Intel(R) Client Systems NUC11ATKC4"),
        (("Default string", "Default string", "Default string"), ""),
        (("To Be Filled By O.E.M.", "To Be Filled By O.E.M.", "N100DC-ITX"), "N100DC-ITX"),
        (("LENOVO", "LENOVO 20XX", ""), "LENOVO 20XX"),
    ],
)
def test_a_pc_is_named_by_its_maker_unless_that_was_left_empty(tree, dmi, name):
    keys = ("sys_vendor", "product_name", "board_name")
    assert (
        board_name(tree({f"sys/class/dmi/id/{key}": f"{value}\n" for key, value in zip(keys, dmi, strict=True)}))
        == name
    )


@pytest.mark.parametrize("text", ["", "R36", "# R (release), REVISION: 4", "# R36 (release), REVISION: x"])
def test_a_release_that_is_none_is_none(tree, text):
    assert l4t_release(tree({"etc/nv_tegra_release": text})) == ""


def test_a_sensor_that_is_off_has_no_temperature(tree):
    base = "sys/class/thermal/thermal_zone0"
    files = {
        f"{base}/type": "gpu",
        f"{base}/temp": "-256000",
        f"{base}/trip_point_0_temp": "0",
        f"{base}/trip_point_0_type": "passive",
    }
    assert [(zone.celsius, zone.trips) for zone in zones(tree(files))] == [(None, ())]


def test_a_recorded_tree_asks_no_command(tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("a command was run")

    monkeypatch.setattr(subprocess, "run", never)
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("Raspberry Pi 4 Model B")
    assert look(tmp_path).throttled == ()


def test_a_command_that_is_missing_or_fails_says_nothing():
    assert commands.ask(["edgeline-has-no-such-command"]) == ""
    assert commands.ask([sys.executable, "-c", "import sys; print('x'); sys.exit(1)"]) == ""
    assert commands.ask([sys.executable, "-c", "print('found')"]) == "found\n"


def test_a_command_that_hangs_says_nothing(monkeypatch):
    def hangs(command, **_):
        raise subprocess.TimeoutExpired(command, 2)

    monkeypatch.setattr(subprocess, "run", hangs)
    assert commands.ask([sys.executable]) == ""


def test_a_brief_look_at_a_file_tells_how_fast_its_disk_is(tmp_path):
    (tmp_path / "big").write_bytes(bytes(CHUNK + 1))
    (tmp_path / "small").write_bytes(bytes(1000))
    assert brief_speed(tmp_path / "big") > 0
    assert look(tmp_path, file=tmp_path / "big").storage.read_bytes_per_s > 0
    for name in ("small", "none", "."):
        assert brief_speed(tmp_path / name) is None


def test_no_more_is_read_than_was_said(tmp_path, monkeypatch):
    counts = []
    real = os.preadv
    monkeypatch.setattr(bandwidth, "CHUNK", 4096)
    monkeypatch.setattr(os, "preadv", lambda *given: counts.append(real(*given)) or counts[-1])
    (tmp_path / "a").write_bytes(bytes(20 * 4096))
    assert read_speed([tmp_path / "a"], False, 3 * 4096, 60.0) > 0
    assert sum(counts) == 3 * 4096


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(OSError, match="No such file") as caught:
        read_speed([tmp_path / "none"], True, CHUNK, 1.0)
    assert caught.value.filename in (str(tmp_path / "none"), tmp_path / "none")


def test_this_machine_can_be_looked_at():
    machine = look()
    assert machine.usable_cores >= 1
    assert machine.architecture
    assert look_at(Tree()).cores == machine.cores
