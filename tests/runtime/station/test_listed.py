"""Lists of sources: NAME.streams."""

import pytest

from edge_runtime.errors import UsageError
from edge_runtime.inspect.sources.listed import each_source
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.station.recipe.mistakes import RecipeError

RECIPE = """\
store: store
stations:
  hall:
    source: lists/cameras.streams
    bundle: m.edge
    outputs: [jsonl: verdicts.jsonl]
  other: {source: '0', bundle: m.edge}
"""
LIST = "# the north side\nrtsp://me:${PW}@cam/1\n\n0\nbelt.mp4\n"


@pytest.fixture
def written(tmp_path):
    (tmp_path / "lists").mkdir()

    def write(text, recipe=RECIPE):
        (tmp_path / "lists" / "cameras.streams").write_text(text)
        (tmp_path / "station.yaml").write_text(recipe)
        return tmp_path / "station.yaml"

    return write


def test_a_list_makes_a_station_of_each_source_alike_in_all_else(written, tmp_path):
    loaded = read_recipe(written(LIST), {"PW": "geheim!"})
    stations = loaded.recipe.stations
    assert list(stations) == ["hall-1", "hall-2", "hall-3", "other"]
    assert [station.source.reveal() for station in stations.values()] == [
        "rtsp://me:geheim!@cam/1", "0", str(tmp_path / "lists" / "belt.mp4"), "0",
    ]  # fmt: skip
    assert "geheim" not in f"{loaded.recipe}"
    assert loaded.hider.text("no answer of geheim!") == "no answer of ${PW}"
    assert {station.bundle.name for station in stations.values()} == {"m.edge"}
    assert stations["hall-1"].outputs == stations["hall-3"].outputs
    assert loaded.mistake("stations.hall-2.bundle", "x").line == 5


@pytest.mark.parametrize(
    ("text", "recipe", "what"),
    [
        ("# none\n\n", RECIPE, "lists no source"),
        ("0\nmore.streams\n", RECIPE, "cameras.streams:2: a list in a list"),
        ("0\nrtsp://${NOPE}@cam\n", RECIPE, "cameras.streams:2: the environment has no 'NOPE'"),
        ("0\n", RECIPE.replace("other", "hall-1"), "makes one called hall-1"),
        ("0\n", RECIPE.replace("lists/", "nowhere/"), "cannot read the list of sources .*No such file"),
        ("0\n", RECIPE.replace("hall", "h" * 63), "longer than 64"),
    ],
)
def test_what_is_wrong_with_a_list_is_told_with_the_line_of_its_station(written, text, recipe, what):
    with pytest.raises(RecipeError, match=what) as caught:
        read_recipe(written(text, recipe), {})
    assert caught.value.mistakes[0].line in (4, 7)


def test_edge_run_takes_a_list_as_its_sources(tmp_path):
    file = tmp_path / "c.streams"
    file.write_text("0\nhttp://cam/a.mjpg\nin/*.png\n")
    assert each_source(str(file)) == ["0", "http://cam/a.mjpg", str(tmp_path / "in" / "*.png")]
    assert each_source("rtsp://cam/x.streams") == ["rtsp://cam/x.streams"]
    with pytest.raises(UsageError, match="cannot read the list of sources"):
        each_source(str(tmp_path / "none.streams"))
