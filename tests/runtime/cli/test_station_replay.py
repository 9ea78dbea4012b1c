"""Pictures that a station did not judge are looked at again: the same speaks against them."""

import json
import shutil

import cv2
import numpy as np
import pytest
from commands import run_script
from places import SAMPLE

from edge_runtime.bundle.trust import TrustPolicy
from edge_runtime.cli.station import edge_station
from edge_runtime.errors import DataError, VerificationError
from edge_runtime.inspect.opening import open_engine

IMAGES = SAMPLE.parent / "images"
RECIPE = f"""\
store: store/
stations:
  learnt: {{source: shown/, bundle: {SAMPLE}, outputs: [jsonl: verdicts.jsonl], health: limits.json}}
  placed: {{source: shown/, bundle: {SAMPLE}, outputs: [jsonl: verdicts.jsonl], reference: {{picture: good/0.png}}}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which stations were shown a good picture, and the same black, half filled, blurred and moved."""
    folder = tmp_path_factory.mktemp("replay")
    for name in ("bin", "good", "shown"):
        (folder / name).mkdir()
    pictures = [cv2.imread(str(path)) for path in sorted(IMAGES.glob("*.png"))]
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"good/{number}.png"), picture)
    good = pictures[0]
    half = good.copy()
    half[len(half) // 2 :] = 128
    shown = {
        "black": np.zeros_like(good),
        "half": half,
        "blurred": cv2.GaussianBlur(good, (0, 0), 6),
        "moved": np.roll(good, 90, axis=1),
        "good": good,
    }
    for name, picture in shown.items():
        cv2.imwrite(str(folder / f"shown/{name}.png"), picture)
    (folder / "station.yaml").write_text(RECIPE)
    for script, *words in (
        ("edge-station", "learn", "station.yaml", "good", "--station", "learnt"),
        ("edge-run", "station.yaml"),
    ):
        done = run_script(script, *words, cwd=folder, bin_folder=folder / "bin")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def replayed(place, monkeypatch, capsys):
    """Replays the event of a picture at a station, and returns its record and what was said."""
    monkeypatch.chdir(place)

    def replay(station, image):
        told = [json.loads(line) for line in (place / "verdicts.jsonl").read_text().splitlines()]
        wanted = (station, str(place / f"shown/{image}.png"))
        (record,) = [line for line in told if (line["station"], line["image"]) == wanted]
        edge_station.main(["replay", "store", record["event_id"]], standalone_mode=False)
        return record, capsys.readouterr().out

    return replay


@pytest.mark.parametrize(
    ("station", "image"),
    [("learnt", "black"), ("learnt", "half"), ("learnt", "blurred"), ("placed", "half"), ("placed", "moved")],
)
def test_the_same_speaks_against_a_picture_that_was_not_judged(replayed, station, image):
    record, said = replayed(station, image)
    assert record["verdict"] == "NO_READ"
    assert record["reasons"][0] in said
    assert said.endswith("the same to the last bit\n")


def test_limits_that_were_learnt_anew_do_not_change_what_was_said(place, replayed):
    kept = (place / "limits.json").read_text()
    (place / "limits.json").unlink()
    try:
        assert replayed("learnt", "blurred")[1].endswith("the same to the last bit\n")
    finally:
        (place / "limits.json").write_text(kept)


def test_a_picture_that_is_another_now_is_told(place, replayed):
    picture = next(path for path in place.glob("store/pictures/*/learnt/*.png") if not cv2.imread(str(path)).any())
    kept = picture.read_bytes()
    shutil.copy(place / "shown/blurred.png", picture)
    try:
        with pytest.raises(VerificationError, match="and is NO_READ"):
            replayed("learnt", "black")
        shutil.copy(place / "shown/good.png", picture)
        with pytest.raises(DataError, match="its picture alone has nothing against it"):
            replayed("learnt", "black")
    finally:
        picture.write_bytes(kept)


def test_what_judged_then_may_be_older_than_what_runs_now(replayed, monkeypatch):
    asked = []

    def opened(settings, *more):
        asked.append(settings.trust)
        return open_engine(settings, *more)

    monkeypatch.setattr("edge_runtime.cli.station_records.open_engine", opened)
    _, said = replayed("learnt", "good")
    assert "the same to the last bit" in said
    assert asked == [TrustPolicy(allow_downgrade=True)]
