import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.cli.station import edge_station
from edge_runtime.inspect.health.limits import read_limits

RECIPE = """\
store: store
stations:
  line: {{source: in, bundle: x.edge, health: health.json{more}}}
"""


def picture(number):
    rng = np.random.default_rng(number)
    view = np.full((240, 320, 3), 90, np.float32)
    view[60:180, 80:240] = 190
    view[90:150:6, 100:220] = 20
    return (view * rng.uniform(0.97, 1.03) + rng.normal(0, 2, view.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def station(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(12):
        cv2.imwrite(str(tmp_path / "in" / f"{number:02d}.png"), picture(number))
    (tmp_path / "station.yaml").write_text(RECIPE.format(more=""))
    return tmp_path


def learn(folder, *words):
    return CliRunner().invoke(edge_station, ["learn", str(folder / "station.yaml"), *map(str, words)])


def test_limits_are_learnt_from_a_folder_or_the_source_and_shown(station):
    for words in ((station / "in",), ()):
        found = learn(station, *words)
        assert found.exit_code == 0, found.output
        for word in ("learnt from 12 pictures", "out of focus", "under-exposed", "over-exposed", "covered", "shifted"):
            assert word in found.output
        assert read_limits(station / "health.json").pictures == 12
        (station / "health.json").unlink()


def test_a_picture_that_shows_nothing_is_left_out_and_named(station):
    cv2.imwrite(str(station / "in" / "99.png"), np.zeros((240, 320, 3), np.uint8))
    found = learn(station)
    assert found.exit_code == 0, found.output
    assert "left out: black" in found.output
    assert read_limits(station / "health.json").pictures == 12


def test_the_empty_view_is_written_where_the_trigger_looks_for_it(station):
    (station / "station.yaml").write_text(RECIPE.format(more=", trigger: {presence: empty}"))
    found = learn(station, "--empty")
    assert found.exit_code == 0, found.output
    assert len(list((station / "empty").glob("*.png"))) == 10
    assert np.array_equal(cv2.imread(str(station / "empty" / "empty-0.png")), picture(0))
    (station / "station.yaml").write_text(RECIPE.format(more=", trigger: {presence: empty.png}"))
    assert learn(station, "--empty").exit_code == 0
    assert (station / "empty.png").exists()


def test_what_cannot_be_learnt_is_told_with_what_to_do(station):
    assert "trigger: {presence" in str(learn(station, "--empty").exception)
    (station / "station.yaml").write_text(RECIPE.format(more="").replace(", health: health.json", ""))
    assert "health: line-health.json" in str(learn(station).exception)
    recipe = {"store": "s", "stations": {name: {"source": "in", "bundle": "x"} for name in ("one", "two")}}
    (station / "station.yaml").write_text(json.dumps(recipe))
    assert "--station one of one, two" in str(learn(station).exception)
    assert "no station 'three'" in str(learn(station, "--station", "three").exception)
