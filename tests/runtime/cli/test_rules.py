"""Rules of a station on the sample's pictures, by the commands."""

import json

import cv2
import numpy as np
import pytest
from commands import run_script
from places import SAMPLE

from edge_export.evaluate.data.labelled import open_labelled
from edge_runtime.cli.station import edge_station
from edge_runtime.errors import UsageError
from edge_runtime.station.thresholds.labelled import Truth, read_labelled

IMAGES = SAMPLE.parent / "images"
BASE = f"source: '{IMAGES}/*.png', bundle: {SAMPLE}, outputs: [jsonl: v.jsonl], pictures: {{ok_every: 1}}"
RECIPE = f"""\
store: store/
stations:
  plain: {{{BASE}}}
  faint: {{{BASE}, rules: {{anything: {{score: 0.05}}}}}}
  sorted:
    {BASE.replace(", ", chr(10) + "    ")}
    rules:
      opens: {{classes: open, count: {{max: 1}}, verdict: WARN}}
      shorts: {{classes: short, zone: {{polygon: [[0%, 0%], [100%, 0%], [100%, 100%], [0%, 100%]]}}}}
      again: {{classes: [mousebite, spur, copper, pinhole], frames: 2}}
  pairs:
    {BASE.replace(", ", chr(10) + "    ")}
    trigger: {{every: {{period: 1s, frames: 2}}}}
    verdict: sharpest
    rules: {{opens: {{classes: open, frames: 3, score: 0.3, verdict: WARN}}}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which the recipe was run once, by the command."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "bin").mkdir()
    (folder / "station.yaml").write_text(RECIPE)
    done = run_script("edge-run", "station.yaml", cwd=folder, bin_folder=folder / "bin")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return folder


@pytest.fixture
def command(place, monkeypatch, capsys):
    """Runs edge-station in that folder, and returns what it printed."""
    monkeypatch.chdir(place)

    def run(*words):
        edge_station.main(list(words), standalone_mode=False)
        return capsys.readouterr().out

    return run


def told(place, station):
    lines = [json.loads(line) for line in (place / "v.jsonl").read_text().splitlines()]
    return {line["image"]: line for line in lines if line["station"] == station}


def test_a_lower_score_is_heeded_and_no_matter_of_stations_without_it(place):
    plain, faint = told(place, "plain"), told(place, "faint")
    assert len(plain) == len(faint) == 12
    assert all(found["confidence"] >= 0.55 for line in plain.values() for found in line["predictions"])
    below = [image for image, line in faint.items() if any(p["confidence"] < 0.55 for p in line["predictions"])]
    assert below
    for image, line in faint.items():
        clear = [found for found in line["predictions"] if found["confidence"] >= 0.55]
        assert clear == plain[image]["predictions"]
        assert line["verdict"] == ("NG" if line["predictions"] else "OK")
        assert all(reason.startswith("anything: ") for reason in line["reasons"])


def test_every_verdict_follows_from_what_was_seen(place):
    streak = 0
    for line in told(place, "sorted").values():
        names = [found["name"] for found in line["predictions"]]
        rest = len(names) - names.count("open") - names.count("short")
        assert line["streaks"].get("again", 0) == streak
        streak = streak + 1 if rest else 0
        worst = "NG" if "short" in names or streak >= 2 else "WARN" if names.count("open") > 1 else "OK"
        assert (line["verdict"], line["picture"]) == (worst, {"width": 640, "height": 640}), line
    assert {"OK", "NG"} <= {line["verdict"] for line in told(place, "sorted").values()}


def test_every_event_is_judged_again_by_the_rules_of_its_time(place, command, monkeypatch):
    (place / "station.yaml").write_text("forgotten")
    kinds = {}
    for station in ("plain", "faint", "sorted", "pairs"):
        for line in told(place, station).values():
            kinds.setdefault((station, line["verdict"], bool(line.get("streaks", {}).get("again"))), line["event_id"])
    assert len(kinds) >= 7
    for event in kinds.values():
        assert command("replay", "store", event).endswith("the same to the last bit\n")


def test_status_and_query_know_warn(place, command):
    count = sum(line["verdict"] == "WARN" for line in told(place, "sorted").values())
    assert len(command("query", "store", "--verdict", "WARN").splitlines()) == count
    assert ("WARN" in command("status", "store")) == (count > 0)


def test_what_the_bundle_does_not_know_is_a_mistake_with_its_line(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text(
        f"store: s\nstations:\n  a:\n    source: '{IMAGES}/*.png'\n    bundle: {SAMPLE}\n    rules:\n"
        "      first: {classes: open}\n      second:\n        classes:\n          - opne\n        anomaly: 0.5\n"
        "      third: {classes: [shrt]}\n"
    )
    with pytest.raises(UsageError, match="has 2 mistakes"):
        command("check", "wrong.yaml")
    said = capsys.readouterr().err
    assert "wrong.yaml:9: stations.a.rules.second: anomaly is about" in said
    assert "wrong.yaml:12: stations.a.rules.third.classes: the bundle has no class 'shrt'" in said
    text = (tmp_path / "wrong.yaml").read_text().replace("        anomaly: 0.5\n", "")
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(UsageError, match="has 2 mistakes"):
        command("check", "wrong.yaml")
    said = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in said] == ["wrong.yaml:10", "wrong.yaml:11"]
    assert "the bundle has no class 'opne'; it has open, short" in said[0]
    done = run_script("edge-run", "wrong.yaml", cwd=tmp_path, bin_folder=tmp_path)
    assert done.returncode == UsageError.exit_code
    assert "wrong.yaml:10: stations.a.rules.second.classes: the bundle has no class 'opne'" in done.stderr


def test_events_are_taken_out_as_coco_and_yolo_and_read_as_labels(place, command, tmp_path):
    wanted = told(place, "plain")
    objects = sum(len(line["predictions"]) for line in wanted.values())
    for form, kind in (("coco", "COCO instances"), ("yolo", "YOLO labels")):
        folder = tmp_path / form
        said = command("query", "store", "--station", "plain", f"--{form}", str(folder))
        assert f"{folder}: 12 pictures, {objects} objects" in said
        labelled = open_labelled(folder)
        assert labelled.format.startswith(kind.split()[0])
        assert labelled.names == ("open", "short", "mousebite", "spur", "copper", "pinhole")
        lines = {line["event_id"]: line for line in wanted.values()}
        for item in labelled.items:
            line = lines[item.path.stem]
            boxes = [[found["box"][side] for side in ("x1", "y1", "x2", "y2")] for found in line["predictions"]]
            scale = 640 if item.truth.normalized else 1
            assert item.truth.boxes * scale == pytest.approx(np.array(boxes).reshape(-1, 4), abs=0.02)
            assert item.truth.classes.tolist() == [found["class"] for found in line["predictions"]]
        bad = {one.path.stem for one in read_labelled(folder, Truth()) if one.bad}
        assert bad == {event for event, line in lines.items() if line["predictions"]}
        with pytest.raises(UsageError, match="nothing is overwritten"):
            command("query", "store", f"--{form}", str(folder))


def test_pictures_are_taken_out_by_their_verdict(place, command, tmp_path, capsys):
    assert "12 pictures" in command("query", "store", "--station", "sorted", "--pictures", str(tmp_path / "out"))
    found = {path.stem: path.parent.name for path in (tmp_path / "out").rglob("*.png")}
    assert found == {line["event_id"]: line["verdict"].lower() for line in told(place, "sorted").values()}
    image = next(iter(told(place, "sorted").values()))
    copied = (tmp_path / "out" / image["verdict"].lower() / f"{image['event_id']}.png").read_bytes()
    assert (cv2.imdecode(np.frombuffer(copied, np.uint8), 1) == cv2.imread(image["image"])).all()
    with pytest.raises(UsageError, match="--csv and --coco are forms of one answer"):
        command("query", "store", "--csv", "--coco", str(tmp_path / "x"))
    assert "0 pictures" in command("query", "store", "--part", "none", "--yolo", str(tmp_path / "y"))
