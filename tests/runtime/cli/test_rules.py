"""Rules of a station on the sample's pictures, by the commands."""

import json

import pytest
from commands import run_script
from places import SAMPLE

from edge_runtime.cli.station import edge_station
from edge_runtime.errors import UsageError

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
    for station in ("plain", "faint", "sorted"):
        for line in told(place, station).values():
            kinds.setdefault((station, line["verdict"], bool(line.get("streaks", {}).get("again"))), line["event_id"])
    assert len(kinds) >= 5
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
    with pytest.raises(UsageError, match="has 1 mistake"):
        command("check", "wrong.yaml")
    assert "wrong.yaml:9: stations.a.rules.second: anomaly is about" in capsys.readouterr().err
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
