import pytest

from edge_runtime.errors import UsageError
from edge_runtime.station.writes import Load, bytes_a_second
from edge_tools.station.endurance import Endured, Sample, endure

MB = 1 << 20


def cells_of(endured):
    return [cell.strip() for cell in endured.line().split("|")[1:-1]]


def test_growth_is_counted_from_the_first_minute_on():
    samples = [
        Sample(10.0, 50 * MB, 0, 100, 5.0),
        Sample(60.0, 90 * MB, 1 * MB, 1000, 6.0),
        Sample(120.0, 92 * MB, 2 * MB, 2000, 6.0),
        Sample(180.0, 91 * MB, 3 * MB, 3024, 7.0),
    ]
    predicted = bytes_a_second(Load(2024 / 120, lines=2024 / 120, files=1)) * 120 / 2024
    assert cells_of(Endured(tuple(samples), 200 * MB)) == [
        "3", "3024", "16.9", "90.0", "+2.00", "+1.00", "+1.00", "200", "1.0", f"{predicted / 1e3:.1f}", "1.5", "7",
    ]  # fmt: skip


def test_what_should_be_written_is_told_of_the_pictures_that_were_kept():
    samples = (Sample(60.0, MB, 0, 0, 1.0, 5_000_000), Sample(160.0, MB, 9_000_000, 100, 1.0, 7_000_000))
    predicted = bytes_a_second(Load(1.0, 0.4, 20_000.0, 1.0, 1))
    assert cells_of(Endured(samples, MB, 50_000.0))[8:10] == ["90.0", f"{predicted / 1e3:.1f}"]


def test_a_station_is_watched_in_its_group(tmp_path):
    try:
        endured = endure(6.0, 20.0, 1.0, 512 * MB, tmp_path)
    except UsageError as error:
        if "control group" in str(error) or "memory" in str(error):
            pytest.skip(f"no memory control group: {error}")
        raise
    assert endured.samples
    assert endured.samples[-1].held > 10 * MB
    assert endured.samples[0].parts > 0
    assert endured.picture_size > 1000
    assert endured.most_bytes > endured.samples[-1].held / 2
