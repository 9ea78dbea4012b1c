import pytest

from edge_runtime.errors import UsageError
from edge_tools.station_endurance import Endured, Sample, endure

MB = 1 << 20


def test_growth_is_counted_from_the_first_minute_on():
    samples = [
        Sample(10.0, 50 * MB, 0, 100, 5.0),
        Sample(60.0, 90 * MB, 1 * MB, 1000, 6.0),
        Sample(120.0, 92 * MB, 2 * MB, 2000, 6.0),
        Sample(180.0, 91 * MB, 3 * MB, 3024, 7.0),
    ]
    cells = [cell.strip() for cell in Endured(tuple(samples), 200 * MB).line().split("|")[1:-1]]
    assert cells == ["3", "3024", "16.9", "90.0", "+2.00", "+1.00", "200", "1.0", "1.5", "7"]


def test_a_station_is_watched_in_its_group(tmp_path):
    try:
        endured = endure(6.0, 20.0, 1.0, 512 * MB, tmp_path)
    except UsageError as error:
        if "control group" in str(error) or "memory" in str(error):
            pytest.skip(f"no memory control group: {error}")
        raise
    assert endured.samples
    assert endured.samples[-1].held > 10 * MB
    assert endured.most_bytes > endured.samples[-1].held / 2
