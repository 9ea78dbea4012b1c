import json

import pytest
from places import SAMPLE

from edge_runtime.cli.station import edge_station
from edge_runtime.errors import DataError, UsageError

IMAGES = SAMPLE.parent / "images"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        edge_station.main(["thresholds", *words], standalone_mode=False)
        return capsys.readouterr().out

    (tmp_path / "station.yaml").write_text(
        f"store: s\nstations:\n  a: {{source: 0, bundle: {SAMPLE}}}\n"
        f"  b: {{source: 0, bundle: {SAMPLE}, rules: {{shorts: {{classes: short, score: 0.9}}, f: {{frames: 2}}}}}}\n"
    )
    return run


@pytest.fixture
def labelled(tmp_path):
    """The sample's pictures with the labels that they have."""
    pairs = [f"{path} {path.with_suffix('.txt')}" for path in sorted(IMAGES.glob("*.png"))]
    (tmp_path / "test.txt").write_text("\n".join(pairs) + "\n")
    return str(tmp_path / "test.txt")


def test_thresholds_are_proposed_with_what_is_proved_of_them(command, labelled):
    found = json.loads(command("station.yaml", labelled, "--station", "b", "--json"))
    good, bad = found["chosen_by"]["ok"], found["chosen_by"]["ng"]
    now, then = found["now"], found["proposed"]
    assert good + bad + now["escapes"]["of"] + now["overkills"]["of"] == 12
    assert [one["key"] for one in found["thresholds"]] == ["rules.shorts.score"]
    assert found["thresholds"][0]["now"] == 0.9
    assert found["notes"] == ["f counts frames in a row: left out"]
    for one in (now["escapes"], now["overkills"], then["escapes"], then["overkills"]):
        assert one["at_least"] <= one["found"] / one["of"] <= one["at_most"]
    assert then["escapes"]["more_to_prove"] > 200
    text = command("station.yaml", labelled, "--station", "b", "--prove-escapes", "90%", "--confidence", "0.5")
    assert "rules.shorts.score" in text
    assert "At most 90 % escapes is proved." in text
    assert text.rstrip().splitlines()[-1].startswith("    shorts: {..., score: 0.")


def test_what_is_missing_is_said(command, labelled, tmp_path):
    with pytest.raises(UsageError, match="has several stations: name one with --station: a, b"):
        command("station.yaml", labelled)
    with pytest.raises(UsageError, match="has no station 'c'"):
        command("station.yaml", labelled, "--station", "c")
    (tmp_path / "ok").mkdir()
    (tmp_path / "ng").mkdir()
    (tmp_path / "ok/a.png").symlink_to(IMAGES / "board-00.png")
    with pytest.raises(DataError, match=r"1 pictures of good parts \(ok/\)"):
        command("station.yaml", str(tmp_path), "--station", "a")
