"""Power sensors as recorded trees show them: Jetson, Raspberry Pi 5, Intel; and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_devices.power import Meter, find_power_sensor, parse_pmic

PI5 = "Raspberry Pi 5 Model B Rev 1.0\0"
PMIC = """\
  3V7_WL_SW_A current(0)=0.09759275A
   3V3_SYS_A current(1)=0.06538708A
  VDD_CORE_A current(7)=0.80000000A
 3V7_WL_SW_V volt(8)=3.70000000V
   3V3_SYS_V volt(9)=3.30000000V
  VDD_CORE_V volt(15)=0.75000000V
     EXT5V_V volt(24)=5.12000000V
      BATT_V volt(25)=0.00000000V
"""


def recorded(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def ina3221(number: int, rails: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    folder = f"sys/class/hwmon/hwmon{number}"
    files = {f"{folder}/name": "ina3221\n"}
    for index, (name, (millivolts, milliamperes)) in enumerate(rails.items(), start=1):
        files[f"{folder}/in{index}_label"] = f"{name}\n"
        files[f"{folder}/in{index}_input"] = f"{millivolts}\n"
        files[f"{folder}/curr{index}_input"] = f"{milliamperes}\n"
    # The chip sums its shunts in a fourth current, whose voltage is another thing.
    files |= {f"{folder}/in7_label": "sum of shunt voltages\n", f"{folder}/in7_input": "7\n"}
    return files | {f"{folder}/curr4_input": "9999\n"}


ORIN_NANO = {"VDD_IN": (5000, 1200), "VDD_CPU_GPU_CV": (5000, 400), "VDD_SOC": (5000, 300)}
AGX_ORIN = {"VDD_GPU_SOC": (20000, 200), "VDD_CPU_CV": (20000, 100), "VIN_SYS_5V0": (5000, 800)}
AGX_ORIN_2 = {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (4968, 200)}


def watts(root: Path) -> float:
    found = find_power_sensor(root)
    assert found.sensor is not None, found.why
    figures = found.sensor.read()
    assert figures is not None
    return sum(figures)


def test_the_rail_that_feeds_a_jetson_is_taken_alone(tmp_path: Path) -> None:
    assert watts(recorded(tmp_path, ina3221(3, ORIN_NANO))) == pytest.approx(6.0)


def test_rails_without_a_common_one_are_added_up_but_for_one_that_another_feeds(tmp_path: Path) -> None:
    root = recorded(tmp_path, ina3221(2, AGX_ORIN) | ina3221(3, AGX_ORIN_2))
    assert watts(root) == pytest.approx(4.0 + 2.0 + 4.0)
    sensor = find_power_sensor(root).sensor
    assert sensor is not None
    assert sensor.covers == "the rails VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0, added up"


def test_the_driver_of_jetpack_4_gives_milliwatts(tmp_path: Path) -> None:
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    rails = {"0": ("POM_5V_IN", "2450"), "1": ("POM_5V_GPU", "40"), "2": ("POM_5V_CPU", "600")}
    files = {f"{folder}/rail_name_{index}": name for index, (name, _) in rails.items()}
    files |= {f"{folder}/in_power{index}_input": power for index, (_, power) in rails.items()}
    assert watts(recorded(tmp_path, files)) == pytest.approx(2.45)


def test_a_monitor_that_knows_watts_is_read_in_watts(tmp_path: Path) -> None:
    folder = "sys/class/hwmon/hwmon0"
    assert watts(recorded(tmp_path, {f"{folder}/name": "ina226", f"{folder}/power1_input": "3500000"})) == 3.5


def test_other_chips_of_hwmon_are_no_power_sensors(tmp_path: Path) -> None:
    folder = "sys/class/hwmon/hwmon0"
    found = find_power_sensor(recorded(tmp_path, {f"{folder}/name": "amdgpu", f"{folder}/power1_input": "9000000"}))
    assert (found.sensor, found.why) == (None, "no power sensor was found")


def test_the_pmic_of_a_raspberry_pi_5_is_added_up_where_current_and_voltage_are_known(tmp_path: Path) -> None:
    assert parse_pmic(PMIC) == pytest.approx(
        {"3V7_WL_SW": 0.09759275 * 3.7, "3V3_SYS": 0.06538708 * 3.3, "VDD_CORE": 0.6}
    )
    root = recorded(tmp_path, {"proc/device-tree/model": PI5})
    sensor = find_power_sensor(root, lambda words: PMIC if tuple(words) == ("vcgencmd", "pmic_read_adc") else "").sensor
    assert sensor is not None
    assert sensor.read() == pytest.approx((1.17687,), abs=1e-4)


def test_a_recorded_board_is_not_asked_by_command(tmp_path: Path) -> None:
    found = find_power_sensor(recorded(tmp_path, {"proc/device-tree/model": PI5}))
    assert (found.sensor, found.why) == (None, "Raspberry Pi 5 PMIC is there but gives no figure")


def rapl(root: Path, package: int, dram: int) -> Path:
    folder = "sys/class/powercap/intel-rapl:0"
    zones = {folder: ("package-0", package), f"{folder}:0": ("core", 1), f"{folder}:1": ("dram", dram)}
    files = {f"{zone}/name": name for zone, (name, _) in zones.items()}
    files |= {f"{zone}/energy_uj": str(energy) for zone, (_, energy) in zones.items()}
    files |= {f"{zone}/max_energy_range_uj": "1000000" for zone in zones}
    return recorded(root, {name.replace(f"{folder}:", "sys/class/powercap/intel-rapl:0:"): text
                           for name, text in files.items()})  # fmt: skip


def test_counters_that_start_over_lose_nothing_and_parts_are_not_counted_twice(tmp_path: Path) -> None:
    sensor = find_power_sensor(rapl(tmp_path, 900_000, 100_000)).sensor
    assert sensor is not None
    before = sensor.read()
    rapl(tmp_path, 150_000, 300_000)
    after = sensor.read()
    assert before is not None
    assert after is not None
    assert sensor.joules(before, after, 1.0) == pytest.approx(0.25 + 0.2)
    assert sensor.covers == "the processor package and its memory, not the board around it"


def test_a_counter_that_only_root_may_read_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    found = find_power_sensor(rapl(tmp_path, 1, 1))
    assert (found.sensor, found.why) == (None, "RAPL is there, but only root may read it (energy_uj)")


@pytest.mark.parametrize("text", ["", "rubbish", "1e400", "-", "4294967295999999999999", "12 34"])
def test_what_is_no_figure_is_no_power(tmp_path: Path, text: str) -> None:
    files = ina3221(0, {"VDD_IN": (5000, 1000)}) | {"sys/class/hwmon/hwmon0/curr1_input": text}
    assert find_power_sensor(recorded(tmp_path, files)).sensor is None


class Fake:
    """Gives the figures that it was given, one after another; None for none."""

    name, covers, period_s = "a fake", "everything", 1.0

    def __init__(self, figures: list[float | None]) -> None:
        self._figures = iter(figures)

    def read(self) -> tuple[float, ...] | None:
        figure = next(self._figures)
        return None if figure is None else (figure,)

    def joules(self, before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
        return (before[0] + after[0]) / 2 * seconds


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=20), st.floats(0.01, 10))
def test_the_mean_power_lies_between_the_least_and_the_most(figures: list[float], step: float) -> None:
    meter = Meter(Fake(list(figures)))
    for index in range(len(figures)):
        meter.sample(index * step)
    used = meter.result()
    assert used is not None
    assert min(figures) * 0.999 <= used.watts <= max(figures) * 1.001
    assert used.seconds == pytest.approx(step * (len(figures) - 1))


def test_a_reading_that_fails_is_bridged_and_one_alone_is_no_measurement() -> None:
    meter = Meter(Fake([4.0, None, 4.0]))
    assert meter.result() is None
    for now in (0.0, 1.0, 2.0):
        meter.sample(now)
    used = meter.result()
    assert used is not None
    assert (used.joules, used.seconds, used.watts) == (8.0, 2.0, 4.0)
