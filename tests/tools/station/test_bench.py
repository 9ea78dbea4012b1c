import shutil

import pytest
from click.testing import CliRunner

from edge_tools.station.bench import main


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
def test_a_station_is_measured_beside_its_engine_and_a_plain_loop():
    done = CliRunner().invoke(main, ["--rounds", "1", "--frames", "80", "--films", "2"])
    assert done.exit_code == 0, done.output
    row = done.stdout.splitlines()[-1].split("|")
    assert row[1].strip() == "2"
    assert float(row[2]) > 0
    # The others are differences of two short runs: on a busy machine they may be anything.
    assert [float(cell) for cell in row[3:5]]
