"""What stands under a measurement: temperature, throttling, and the facts of a report."""

from __future__ import annotations

from pathlib import Path

from bench_fakes import fake_bundle

from edge_devices import Machine, Zone, detect
from edge_devices.power import FoundSensor
from edge_devices.thermal import hottest
from edge_tools.bench.board import bundle_facts, climate_of, describe
from edge_tools.bench.cases import Climate
from edge_tools.bench.words import climate_words


def test_the_hottest_zone_speaks_for_the_machine() -> None:
    zones = (Zone("gpu", 48.5), Zone("off", None), Zone("cpu", 61.0))
    found = climate_of(Machine("aarch64", zones=zones, throttled=("under-voltage",)))
    assert found == Climate(61.0, "cpu", ("under-voltage",))
    assert climate_words(found) == "61 C (cpu), throttled: under-voltage"
    assert climate_words(climate_of(Machine("x86_64", throttled_before=("temperature limit",)))) == (
        "throttled since boot: temperature limit"
    )
    assert climate_words(Climate()) == ""


def test_temperatures_are_read_while_something_is_measured(tmp_path: Path) -> None:
    assert hottest(tmp_path) is None
    for number, text in enumerate(("45000", "rubbish", "62500")):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"zone{number}\n")
        (zone / "temp").write_text(text)
    assert hottest(tmp_path) == 62.5


def test_a_report_says_when_where_and_what(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path)
    about = describe(bundle, detect(), FoundSensor(None, "no power sensor was found"), None, 0.25, "1.31", ["a b.edge"])
    assert about.command == "edge-bench 'a b.edge'"
    assert about.versions["onnxruntime"] == "1.31"
    assert about.bundle == bundle_facts(bundle)
    assert about.bundle["model"] == bundle.manifest.model.name
    assert (about.power, about.load) == ("no power sensor was found", 0.25)
    assert about.board
