import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.errors import UsageError
from edge_tools.station.bench import boxes_of_ultralytics, main


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
def test_a_station_is_measured_beside_its_engine_and_a_plain_loop():
    done = CliRunner().invoke(main, ["--rounds", "1", "--frames", "80", "--films", "2"])
    assert done.exit_code == 0, done.output
    row = done.stdout.splitlines()[-1].split("|")
    assert row[1].strip() == "2"
    assert all(float(cell) > 0 for cell in row[2:4])
    # The others are differences of two short runs: on a busy machine they may be anything.
    assert [float(cell) for cell in row[4:6]]
    assert all(float(cell) > 0 for cell in row[9:13])  # processor time


def test_another_model_is_given_as_a_bundle_and_as_what_it_was_made_of(tmp_path):
    with pytest.raises(UsageError, match="give both"):
        CliRunner().invoke(main, ["--bundle", str(tmp_path)], catch_exceptions=False)


def test_of_boxes_that_lie_on_each_other_a_plain_loop_keeps_one():
    raw = np.zeros((6, 4), np.float32)
    raw[:4, :3] = np.array([[50, 50, 20, 20], [51, 50, 20, 20], [200, 50, 20, 20]]).T
    raw[4:, :] = [[0.9, 0.8, 0.1, 0.0], [0.0, 0.0, 0.6, 0.1]]
    assert sorted(boxes_of_ultralytics(raw)) == [0, 2]
