from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models
from click.testing import CliRunner

from edge_runtime.errors import UsageError
from edge_tools.bench.busy import Turn, as_table, busy


def turn(number: int, load: str, who: str, runs: int, seconds: float = 1.0) -> Turn:
    return Turn(number, load, who, runs, seconds)


def test_the_table_tells_rates_by_load_and_what_of_the_better_one_stepping_back_has() -> None:
    turns = [
        turn(number, load, who, runs)
        for number in range(3)
        for load, counts in {"idle": (98, 100, 50, 80), "9h": (38, 20, 40, 10)}.items()
        for who, runs in zip(("steps back", "all threads", "one thread", "onnxruntime"), counts, strict=True)
    ]
    lines = as_table(turns).splitlines()
    assert lines[2] == "| idle | 98.0 | 100.0 | 50.0 | 80.0 | 0.98 (0.98 .. 0.98) | 1.23 |"
    assert lines[3] == "| 9 processes, half busy | 38.0 | 20.0 | 40.0 | 10.0 | 0.95 (0.95 .. 0.95) | 3.80 |"
    assert lines[4] == "| all of it | 68.0 | 60.0 | 45.0 | 45.0 | 1.13 (1.13 .. 1.13) | 1.51 |"


@pytest.mark.parametrize("load", ["1", "1h"])
def test_a_model_is_timed_in_all_four_ways(tmp_path: Path, load: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(tiny_models.convnet(size=32).SerializeToString())
    done = CliRunner().invoke(busy, [str(path), "--load", load, "--seconds", "0.1", "--rounds", "1"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split("|")[1].strip()[:11] for line in lines[2:5]] == [
        "idle",
        "1 process" + ", " * load.endswith("h"),
        "all of it",
    ]
    assert lines[-1].startswith("threads: ")


def test_a_load_that_is_none_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(tiny_models.convnet().SerializeToString())
    done = CliRunner().invoke(busy, [str(path), "--load", "many"])
    assert isinstance(done.exception, UsageError)
    assert "--load 'many'" in str(done.exception)
