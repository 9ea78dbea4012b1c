"""The temperature, on trees of files as boards have them."""

from edge_devices.thermal import hottest


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def zone(root, number, kind, text):
    write(root, f"sys/class/thermal/thermal_zone{number}/type", kind)
    write(root, f"sys/class/thermal/thermal_zone{number}/temp", text)


def test_the_hottest_zone_counts(tmp_path):
    zone(tmp_path, 0, "cpu-thermal\n", "61200\n")
    zone(tmp_path, 1, "gpu-thermal\n", "58000\n")
    assert hottest(tmp_path) == 61.2


def test_sensors_that_are_not_connected_do_not_count(tmp_path):
    zone(tmp_path, 0, "off", "-256000")
    zone(tmp_path, 1, "zero", "0")
    zone(tmp_path, 2, "broken", "hot")
    assert hottest(tmp_path) is None


def test_without_zones_the_hwmon_sensors_count(tmp_path):
    write(tmp_path, "sys/class/hwmon/hwmon1/temp1_input", "47125\n")
    write(tmp_path, "sys/class/hwmon/hwmon1/temp2_input", "255000\n")
    assert hottest(tmp_path) == 47.125


def test_no_sensor_is_no_temperature(tmp_path):
    assert hottest(tmp_path) is None
