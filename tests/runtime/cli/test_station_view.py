"""Regions, masks and tiles from a recipe, on the sample: two stations share the engine, and answers are replayed."""

import json

import cv2
import numpy as np
import pytest
from commands import run_script
from places import SAMPLE

from edge_runtime.cli.station import edge_station
from edge_runtime.engine import open_bundle
from edge_runtime.errors import UsageError
from edge_runtime.station.check import look_for
from edge_runtime.station.recipe.load import read_recipe

IMAGES = SAMPLE.parent / "images"
RECIPE = f"""\
store: store/
stations:
  sheet:
    source: sheet
    bundle: {SAMPLE}
    tiles: {{width: 640, overlap: 160}}
    mask: {{polygons: [[[0, 0], [300, 0], [300, 300], [0, 300]]]}}
    outputs: [jsonl: verdicts.jsonl]
    pictures: {{ok_every: 1}}
  corner:
    source: sheet
    bundle: {SAMPLE}
    region: {{x: 0.5, y: 0.5, width: 0.5, height: 0.5}}
    outputs: [jsonl: verdicts.jsonl]
    pictures: {{ok_every: 1}}
  plain:
    source: board
    bundle: {SAMPLE}
    outputs: [jsonl: verdicts.jsonl]
"""


def board(number):
    return cv2.imread(str(IMAGES / f"board-{number:02}.png"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which two sheets of four boards were looked at; the lower right board is by itself in another."""
    folder = tmp_path_factory.mktemp("view")
    for name in ("bin", "sheet", "board"):
        (folder / name).mkdir()
    for first in (0, 4):
        boards = [board(first + number) for number in range(4)]
        cv2.imwrite(str(folder / f"sheet/{first}.png"), np.vstack([np.hstack(boards[:2]), np.hstack(boards[2:])]))
        cv2.imwrite(str(folder / f"board/{first}.png"), boards[3])
    (folder / "station.yaml").write_text(RECIPE)
    done = run_script("edge-run", "station.yaml", cwd=folder, bin_folder=folder / "bin")
    assert done.returncode == 0, done.stderr
    return folder


def told(place, station):
    lines = [json.loads(line) for line in (place / "verdicts.jsonl").read_text().splitlines()]
    return [line for line in lines if line["station"] == station]


def inside(box, x, y):
    return box["x1"] < x < box["x2"] and box["y1"] < y < box["y2"]


def test_a_region_answers_as_the_part_by_itself_in_the_place_of_the_whole(place):
    for corner, plain in zip(told(place, "corner"), told(place, "plain"), strict=True):
        assert corner["looked_at"] == {"region": [640, 640, 640, 640], "tiles": 1}
        assert (corner["verdict"], corner["reasons"]) == (plain["verdict"], plain["reasons"])
        shifted = [{side: value + 640 for side, value in one["box"].items()} for one in plain["predictions"]]
        assert [one["box"] for one in corner["predictions"]] == [
            {side: pytest.approx(value) for side, value in box.items()} for box in shifted
        ]


def test_tiles_find_what_each_board_shows_by_itself_and_nothing_under_the_mask(place):
    with open_bundle(SAMPLE) as engine:
        alone = engine.run([board(number) for number in range(8)])
    compared = 0
    for first, sheet in zip((0, 4), told(place, "sheet"), strict=True):
        assert sheet["looked_at"]["tiles"] == 9
        assert 0 < sheet["looked_at"]["masked"] < 0.1
        for number in range(4):
            right, down = 640 * (number % 2), 640 * (number // 2)
            for one in alone[first + number].predictions:
                box = one.box
                if min(box.x1, box.y1) < 20 or max(box.x2, box.y2) > 620 or one.confidence < 0.5:
                    continue  # where boards meet there is what no board has
                x, y = (box.x1 + box.x2) / 2 + right, (box.y1 + box.y2) / 2 + down
                near = [own for own in sheet["predictions"] if own["name"] == one.name and inside(own["box"], x, y)]
                masked = box.x2 + right < 300 and box.y2 + down < 300
                beside = box.x1 + right > 300 or box.y1 + down > 300
                assert len(near) == (0 if masked else 1) or not (masked or beside), (first, number, one)
                compared += 1
    assert compared > 20


def test_both_are_replayed_to_the_last_bit_from_the_whole_picture(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    for station in ("sheet", "corner"):
        event = told(place, station)[0]["event_id"]
        edge_station.main(["replay", "store", event], standalone_mode=False)
        assert capsys.readouterr().out.endswith("the same to the last bit\n")


def test_check_names_what_cannot_be_looked_at_with_its_line(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    cv2.imwrite("white.png", np.full((1280, 1280), 255, np.uint8))
    cv2.imwrite("small.png", np.full((10, 10), 255, np.uint8))
    text = RECIPE.replace("{x: 0.5, y: 0.5, width: 0.5, height: 0.5}", "{x: 700, y: 0, width: 640, height: 640}")
    text += """\
  dark: {source: sheet, bundle: B, mask: {picture: white.png, masked: white}}
  small: {source: sheet, bundle: B, mask: {picture: small.png, masked: white}}
  lost: {source: sheet, bundle: B, reference: white.png}
""".replace("B", str(SAMPLE))
    (place / "wrong.yaml").write_text(text)
    found = [
        mistake.text(place / "wrong.yaml").split(": ", 1)[1] for mistake in look_for(read_recipe(place / "wrong.yaml"))
    ]
    assert [line.split(":")[0] for line in found] == [
        "stations.corner.region",
        "stations.dark.mask",
        "stations.small.mask",
        "stations.lost.reference",
    ]
    assert "ends at 1340,640, the picture has 1280x1280" in found[0]
    assert "nothing would be judged" in found[1]
    (place / "wrong.yaml").write_text(RECIPE.replace("overlap: 160", "overlap: 600"))
    with pytest.raises(UsageError, match="has 1 mistake"):
        edge_station.main(["check", "wrong.yaml"], standalone_mode=False)
    assert "stations.sheet.tiles: tiles overlap by" in capsys.readouterr().err
