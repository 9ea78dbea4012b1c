"""A gate from a recipe: not without proof, and what it leaves out is in the records."""

import json

import cv2
import pytest
from commands import run_script
from places import ROOT, SAMPLE

from edge_runtime.cli.station import edge_station
from edge_runtime.errors import GateError, UsageError
from edge_runtime.inspect.sources.open import open_source

RECIPE = f"""\
store: store/
stations:
  belt:
    source: belt
    bundle: {SAMPLE}
    gate: {{proof: gate.json}}
    outputs: [jsonl: verdicts.jsonl]
    pictures: {{ok_every: 1}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the end of one board's rest on the belt, the way to the next, and the beginning of its."""
    folder = tmp_path_factory.mktemp("gate")
    for name in ("bin", "belt", "labelled/ng"):
        (folder / name).mkdir(parents=True)
    for number, frame in enumerate(open_source(str(ROOT / "samples/pcb/belt.mp4"))):
        if 8 <= number < 26:
            for target in ("belt", "labelled/ng"):
                cv2.imwrite(str(folder / target / f"{number:02}.png"), frame.image)
    (folder / "station.yaml").write_text(RECIPE)
    return folder


def test_a_gate_runs_once_it_is_proven_and_its_records_are_replayed(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    with pytest.raises(UsageError, match="has 1 mistake"):
        edge_station.main(["check"], standalone_mode=False)
    assert "station.yaml:6: stations.belt.gate: the gate is not proven" in capsys.readouterr().err
    refused = run_script("edge-run", "station.yaml", cwd=place, bin_folder=place / "bin")
    assert (refused.returncode, "the gate is not proven" in refused.stderr) == (2, True)

    edge_station.main(["gate", "station.yaml", "--budget", "0.1%", "labelled"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "0 lost of" in said
    assert "gate.json is written" in said
    edge_station.main(["check"], standalone_mode=False)
    done = run_script("edge-run", "station.yaml", cwd=place, bin_folder=place / "bin")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in (place / "verdicts.jsonl").read_text().splitlines()]
    left_out = [line for line in told if "gate" in line["looked_at"]]
    assert len(told) == 18
    assert len(left_out) >= 9
    assert all(line["looked_at"]["gate"] == {"judged": 0, "reused": 1, "passed": 0} for line in left_out)
    capsys.readouterr()
    edge_station.main(["replay", "store", told[0]["event_id"]], standalone_mode=False)
    assert "the same to the last bit" in capsys.readouterr().out
    edge_station.main(["replay", "store", left_out[0]["event_id"]], standalone_mode=False)
    assert "; its gate had left out 1 pieces" in capsys.readouterr().out


def test_a_gate_that_loses_more_than_it_may_is_refused_with_its_own_exit_code(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    text = RECIPE.replace(
        "gate: {proof: gate.json}", "tiles: 320\n    gate: {proof: bad.json, unchanged: false, scout: 0.99}"
    )
    (place / "bad.yaml").write_text(text)
    with pytest.raises(GateError, match="it does not run") as error:
        edge_station.main(["gate", "bad.yaml", "labelled"], standalone_mode=False)
    assert error.value.exit_code == 15
    with pytest.raises(UsageError):
        edge_station.main(["check", "bad.yaml"], standalone_mode=False)
    assert "loses too much" in capsys.readouterr().err
    with pytest.raises(UsageError, match="expected a share"):
        edge_station.main(["gate", "bad.yaml", "labelled", "--budget", "lots"], standalone_mode=False)
    (place / "plain.yaml").write_text(RECIPE.replace("    gate: {proof: gate.json}\n", ""))
    with pytest.raises(UsageError, match="stations with a gate: none"):
        edge_station.main(["gate", "plain.yaml", "labelled"], standalone_mode=False)
