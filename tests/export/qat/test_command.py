"""`python -m edge_export.qat`, and edge_export.qat where torch is not installed."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from places import ROOT
from tiny_models import convnet, samples, save

import edge_export.qat
from edge_export.qat.cli import main, qat_command
from edge_runtime.errors import DependencyError


def run_main(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["qat", *map(str, args)])
    with pytest.raises(SystemExit) as leaving:
        main()
    return leaving.value.code


def test_help_needs_no_torch_and_lists_the_flags_under_headings():
    text = CliRunner().invoke(qat_command, ["--help"]).output
    for heading in ("Result:", "Training:", "Where:", "The model:", "Examples:"):
        assert heading in text


def test_the_command_line_is_imported_without_torch():
    light = ("edge_export.qat", "edge_export.qat.__main__", "edge_export.qat.cli", "edge_export.qat.plan")
    code = f"import sys\nfor name in {light}: __import__(name)\nprint('torch' in sys.modules)"
    path = os.pathsep.join(str(ROOT / folder) for folder in ("devices", "runtime", "export"))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.stdout.strip() == "False"


def test_without_torch_every_name_says_what_to_install(monkeypatch):
    def without_torch(name, package=None):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(importlib, "import_module", without_torch)
    with pytest.raises(DependencyError, match=r"pip install 'edgeline\[torch\]'"):
        edge_export.qat.__getattr__("prepare")


def test_every_public_name_is_there():
    pytest.importorskip("torch", reason="torch is not installed")
    assert sorted(edge_export.qat.__all__) == edge_export.qat.__all__
    assert all(getattr(edge_export.qat, name) is not None for name in edge_export.qat.__all__)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        edge_export.qat.absent  # noqa: B018


@pytest.fixture
def files(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    np.savez(tmp_path / "data.npz", images=samples(12))
    return save(convnet(), tmp_path / "net.onnx"), tmp_path / "data.npz", tmp_path / "out.onnx"


def test_the_command_trains_and_says_what_it_gained(files, monkeypatch, capsys):
    model, data, out = files
    assert run_main(monkeypatch, model, "--calibrate", data, "--steps", 4, "--batch", 2, "-o", out) == 0
    text = capsys.readouterr().out
    assert "4 steps" in text
    assert "dB of the float model" in text
    assert f"next: edge-export {out}" in text
    assert out.stat().st_size > 1000


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--keep-float", "nothing"], 2, "matches no layer"),
        (["-o", "absent/out.onnx"], 7, "make it first"),
        (["--device", "nonsense"], 2, "--device nonsense"),
        (["--sparsity", "1.5"], 2, "--sparsity"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(files, monkeypatch, capsys, tmp_path, flags, code, words):
    model, data, _ = files
    monkeypatch.chdir(tmp_path)
    assert run_main(monkeypatch, model, "--calibrate", data, "--steps", 1, *flags) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert len(error.splitlines()) == 1
