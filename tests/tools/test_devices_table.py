"""What `edge-bench --devices` prints fits a terminal and hides nothing; its JSON holds every field."""

import dataclasses
import json

import pytest

from edge_devices.profile import Cluster
from edge_devices.profiles import known_profiles
from edge_tools.bench.devices_table import devices_json, devices_table


@pytest.fixture
def profiles(tmp_path):
    return dict(known_profiles(tmp_path))


def entry(text, identity):
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line[2:].startswith(f"{identity} "))
    return lines[start], [line.strip() for line in lines[start + 1 :] if line.startswith(" " * 6)]


def test_every_profile_has_its_line_within_a_hundred_columns(profiles):
    text = devices_table(profiles, None)
    for identity in profiles:
        assert entry(text, identity)
    assert max(map(len, text.splitlines()[:-1])) <= 100
    assert text.endswith("\n")


def test_a_line_tells_cores_memory_instruction_sets_and_providers(profiles):
    line, notes = entry(devices_table(profiles, None), "jetson-orin-nano")
    for text in ("6x cortex-a78ae 1.7 GHz", "4-8 GB", "dotprod fp16", "TensorRT, CUDA, CPU"):
        assert text in line
    assert notes[0] == "priors: RAM 68 GB/s; mobilenet_v2 6.5, resnet50_int8 29.9 ms"


def test_the_machine_it_stands_on_is_marked(profiles):
    text = devices_table(profiles, "raspberry-pi-5")
    assert [line.split()[1] for line in text.splitlines() if line.startswith("* ")] == ["raspberry-pi-5", "this"]
    assert "*" not in devices_table(profiles, None).replace("/*.toml", "")
    assert "this machine" not in devices_table(profiles, "unheard-of")


def test_a_profile_of_ones_own_shows_its_path(profiles):
    profiles["mine"] = dataclasses.replace(profiles["arm64"], id="mine", file="/somewhere/devices/mine.toml")
    assert "yours: /somewhere/devices/mine.toml" in entry(devices_table(profiles, None), "mine")[1]


def test_many_kinds_of_cores_go_below_the_line(profiles):
    clusters = (Cluster("cortex-x1", 1, 3000), Cluster("cortex-a76", 3, 2400), Cluster("cortex-a55", 4, 1800))
    profiles["mine"] = dataclasses.replace(profiles["raspberry-pi-5"], id="mine", clusters=clusters)
    line, notes = entry(devices_table(profiles, None), "mine")
    assert "8 cores" in line
    assert notes[0] == "cores: 1x cortex-x1 3.0 + 3x cortex-a76 2.4 + 4x cortex-a55 1.8 GHz"


def test_a_small_memory_is_told_in_megabytes(profiles):
    assert "512 MB" in entry(devices_table(profiles, None), "raspberry-pi-zero-2-w")[0]


def test_the_json_holds_every_field_and_the_sources_of_priors(profiles):
    data = json.loads(json.dumps(devices_json(profiles, "arm64")))
    assert data["here"] == "arm64"
    by_id = {device["id"]: device for device in data["devices"]}
    assert set(by_id) == set(profiles)
    pi = by_id["raspberry-pi-5"]
    assert set(pi) == {field.name for field in dataclasses.fields(profiles["raspberry-pi-5"])}
    assert pi["storage_read_mb_per_s"]["sd"]["value"] == 85
    assert pi["latency_ms"]["mobilenet_v2"]["source"].startswith("https://")
