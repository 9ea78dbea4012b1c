"""The edge-tune command from its arguments to its exit code, on a small bundle."""

import json
import os
import signal

import pytest
from tiny_bundle import make_bundle
from tuning_fakes import provenance

from edge_runtime.cli import tune as tune_cli
from edge_runtime.cli.console import run_command
from edge_runtime.errors import EngineError
from edge_runtime.plan.measurements import Speeds
from edge_runtime.tune import command
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.report import report
from edge_runtime.tune.store import read_tuned
from edge_runtime.tune.tuned import Duel, Temperature, Trial, Tuned


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "edgeline" / "tuned"


def edge_tune(*args):
    with pytest.raises(SystemExit) as leave:
        run_command(tune_cli.edge_tune, "edge-tune", [str(arg) for arg in args])
    return leave.value.code


# Rounds of a tiny model take milliseconds: 3 seconds is the shortest that the command takes, so tests ask for less.
QUICK = 0.3


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(tune_cli, "SECONDS_PER_MINUTE", QUICK / 0.05)


def test_a_bundle_is_tuned_and_the_profile_is_found(bundle, quick, config, capsys):
    assert edge_tune(bundle, "--minutes", 0.05, "--no-blocks") == 0
    out, err = capsys.readouterr()
    assert "best throughput" in out
    assert "edge-run takes it from now on" in out
    assert "tuning tiny.edge" in err
    (path,) = config.glob("*.json")
    sha = json.loads(path.read_text())["bundle_sha256"]
    found = read_tuned(sha)
    assert found.tuned is not None
    assert found.tuned.complete
    assert (config / found.tuned.provenance.samples).read_text().count("\n") > 10


def test_json_is_the_profile(bundle, quick, capsys):
    assert edge_tune(bundle, "--minutes", 0.05, "--no-blocks", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    assert found["default"]["images_per_s"] > 0


def test_blocks_are_prepared_and_told(bundle, quick, capsys):
    assert edge_tune(bundle, "--minutes", 0.05) == 0
    assert "Blocks for --memory-limit" in capsys.readouterr().out


def test_blocks_that_cannot_be_prepared_spoil_nothing(bundle, quick, monkeypatch, capsys):
    def broken(*_args):
        raise EngineError("no room")

    monkeypatch.setattr(tune_cli, "prepare_blocks", broken)
    assert edge_tune(bundle, "--minutes", 0.05) == 0
    assert "not prepared: no room" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_keeps_what_was_measured(bundle, config, monkeypatch, capsys, number, code):
    run = command.OrtRig.__call__
    turns = []

    def interrupted(rig, entrant, seconds):
        turns.append(entrant)
        if len(turns) == 6:
            os.kill(os.getpid(), number)
        return run(rig, entrant, min(seconds, 0.01))

    monkeypatch.setattr(command.OrtRig, "__call__", interrupted)
    assert edge_tune(bundle, "--minutes", 60) == code
    assert len(turns) <= 7
    (path,) = config.glob("*.json")
    assert json.loads(path.read_text())["complete"] is False
    assert "Interrupted: what had been measured is kept." in capsys.readouterr().out


def test_a_second_signal_ends_it_in_the_middle_of_a_turn_and_reports_all_the_same(bundle, config, monkeypatch, capsys):
    run = command.OrtRig.__call__
    turns = []

    def interrupted(rig, entrant, seconds):
        turns.append(entrant)
        if len(turns) == 6:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return run(rig, entrant, min(seconds, 0.01))

    monkeypatch.setattr(command.OrtRig, "__call__", interrupted)
    assert edge_tune(bundle, "--minutes", 60) == 130
    assert len(turns) == 6
    (path,) = config.glob("*.json")
    assert json.loads(path.read_text())["complete"] is False
    assert "Interrupted: what had been measured is kept." in capsys.readouterr().out


def test_stopped_before_anything_was_measured_nothing_is_written(bundle, config, monkeypatch, capsys):
    def killed(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return command._Prepared()

    monkeypatch.setattr(command, "_prepared", lambda *args: _entered(killed))
    assert edge_tune(bundle) == 143
    assert not list(config.glob("*.json"))
    assert "nothing was written" in capsys.readouterr().err


class _entered:  # noqa: N801  reads as what it does
    def __init__(self, made):
        self._made = made

    def __enter__(self):
        return self._made()

    def __exit__(self, *_exception):
        return None


def test_an_error_in_the_middle_keeps_what_was_measured(bundle, config, monkeypatch, capsys):
    run = command.OrtRig.__call__
    turns = []

    def failing(rig, entrant, seconds):
        turns.append(entrant)
        if len(turns) > 8 and entrant is None:
            raise EngineError("the card is gone")
        return run(rig, entrant, 0.01)

    monkeypatch.setattr(command.OrtRig, "__call__", failing)
    assert edge_tune(bundle) == 9
    assert "the card is gone" in capsys.readouterr().err
    assert len(list(config.glob("*.json"))) == 1


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_measured(bundle, tmp_path, capsys):
    (tmp_path / "edgeline").write_text("a file")
    assert edge_tune(bundle) == 7
    assert "XDG_CONFIG_HOME" in capsys.readouterr().err


def test_what_is_no_bundle_is_refused(tmp_path, capsys):
    assert edge_tune(tmp_path / "nothing.edge") == 3
    assert "no bundle at" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "x"])
def test_minutes_that_are_none_are_refused(bundle, minutes):
    assert edge_tune(bundle, "--minutes", minutes) == 2


def test_the_help_has_examples_and_exit_codes(capsys):
    assert edge_tune("--help") == 0
    out = capsys.readouterr().out
    assert "edge-tune boards.edge --minutes 0.3" in out
    assert "130 Ctrl-C" in out
    assert max(map(len, out.splitlines())) <= 100


def test_the_report_fits_a_terminal(tmp_path):
    latency, lanes = Choice(4, 1, 1, False, ()), Choice(1, 4, 8, False, (0, 1, 2, 3))
    cores = (0, 1, 2, 3)
    table = [Choice(1, lanes, batch, False, cores) for lanes in (1, 2, 4) for batch in (1, 2, 4, 8)]
    trials = [Trial(latency, 12.3, 15.0, 81.0, 50)]
    trials += [Trial(choice, 40.0 * choice.batch, 44.0 * choice.batch, 25.0 * choice.lanes, 9) for choice in table]
    tuned = Tuned(
        schema=1,
        bundle_sha256="ab" * 32,
        bundle="boards",
        provenance=provenance(board="Raspberry Pi 4 Model B Rev 1.4", onnxruntime="1.27.0"),
        latency=latency,
        throughput=lanes,
        default=Trial(Choice(4, 1, 1, True, ()), 13.0, 19.0, 76.0, 40),
        trials=tuple(trials),
        speeds=Speeds(41e6, 8e8, 4),
        computing_read_bytes_per_s=38e6,
        first_minute_per_s=101.0,
        steady_per_s=88.0,
        steady=True,
        temperature=Temperature(48.0, 81.0),
        complete=True,
        duels=(Duel("latency", latency, 1.06, 1.03, 1.08, 24), Duel("throughput", lanes, 1.32, 1.3, 1.36, 24)),
        load_seconds=240.0,
        throttled=("temperature limit",),
    )
    text = report(tuned, tmp_path / "x.json", tmp_path / "x.json")
    assert max(len(line) for line in text.splitlines() if not line.startswith("Written")) <= 100
    assert "1.32 (1.30 to 1.36)" in text
    assert "101 images/s in the first minute, 88.0 in the steady state (-12.9 %)" in text
    assert "48 °C at the start, 81 °C at the end" in text
    assert "temperature limit" in text
    assert "41.0 MB/s idle, 38.0 MB/s while computing" in text
