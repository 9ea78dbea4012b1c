"""No command runs code that lies in the current folder or in a bundle, whichever processes it starts."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from commands import run_module, run_script
from places import ROOT, SAMPLE
from tiny_models import convnet, samples, save

from edge_devices import imports_safely
from edge_runtime.errors import BundleError

# Everything that a Python start, our code or a package could ask for by name.
NAMES = {*sys.stdlib_module_names, "edge_devices", "edge_runtime", "edge_export", "edge_tools", "sitecustomize"}
NAMES |= {"click", "cv2", "google", "numpy", "onnx", "onnxruntime", "onnxslim", "rich", "scipy", "yaml", "zstandard"}
# The places that may name an interpreter: the one that starts children, and facts and scripts by their path.
NAMED_IN = {"devices/edge_devices/interpreter.py", "runtime/edge_runtime/ort/import_check.py"}
BY_PATH = {
    "tools/edge_tools/damage/judge.py",
    "tools/edge_tools/export_bench/export.py",
    "tools/edge_tools/families/makers/model_api_models.py",  # itself, in an environment of its own
    "tools/edge_tools/families/work.py",  # a pool's workers, started from a checkout
}


class Trap:
    """A folder full of modules that leave a mark when they are run."""

    def __init__(self, folder, marks):
        self.folder, self.marks = folder, marks
        folder.mkdir()
        for name in NAMES:
            text = f"with open({str(marks)!r}, 'a') as marks:\n    marks.write(__name__ + ' ')\n"
            (folder / f"{name}.py").write_text(text)

    def sprung(self):
        return self.marks.read_text().split() if self.marks.exists() else []


@pytest.fixture
def trap(tmp_path):
    return Trap(tmp_path / "here", tmp_path / "marks")


@pytest.fixture
def settings(tmp_path):
    """Folders of its own for one command: nothing is prepared yet, so that children are started."""
    (tmp_path / "bin").mkdir()
    own = {name: str(tmp_path / name) for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    return {"bin_folder": tmp_path / "bin", **own}


def test_the_trap_works(trap):
    run_module("json.tool", "--help", cwd=trap.folder)
    assert trap.sprung() == []
    subprocess.run([sys.executable, "-m", "json.tool", "--help"], cwd=trap.folder, capture_output=True, check=False)
    assert trap.sprung()


@pytest.mark.parametrize("place", ["beside the bundle", "in the bundle"])
@pytest.mark.parametrize(
    ("program", "flags"),
    [
        ("edge-run", ["--source", "{images}", "--max-frames", "2", "--memory-limit", "400MB", "--json"]),
        ("edge-run", ["--verify"]),
        ("edge-tune", ["--minutes", "0.05"]),
        ("edge-bench", ["--rounds", "1", "--starts", "1", "--memory-limit", "none,400MB"]),
    ],
    ids=["run with a limit", "verify", "tune", "bench"],
)
def test_a_command_on_a_bundle_runs_nothing_of_the_folder_that_it_is_started_in(trap, settings, place, program, flags):
    inside = place == "in the bundle"
    shutil.copytree(SAMPLE, trap.folder if inside else trap.folder / "here.edge", dirs_exist_ok=True)
    flags = [flag.format(images=SAMPLE.parent / "images") for flag in flags]
    done = run_script(program, "." if inside else "here.edge", *flags, cwd=trap.folder, **settings)
    assert trap.sprung() == []
    # What a bundle does not list must not be in it.
    assert done.returncode == (BundleError.exit_code if inside else 0), done.stderr


def test_an_export_runs_nothing_of_the_folder_that_it_is_started_in(trap, settings, tmp_path):
    source, data = save(convnet(), tmp_path / "net.onnx"), tmp_path / "data.npz"
    np.savez(data, images=samples(8))
    flags = ["--calibrate", str(data), "-o", "new.edge"]
    done = run_script("edge-export", str(source), *flags, cwd=trap.folder, **settings)
    assert trap.sprung() == []
    assert done.returncode == 0, done.stderr


def test_a_trial_import_of_onnxruntime_takes_the_installed_one(trap, monkeypatch):
    monkeypatch.chdir(trap.folder)
    assert imports_safely() is None
    assert trap.sprung() == []


def test_what_a_machine_is_told_of_runs_nothing_of_the_folder(trap):
    done = run_module("edge_devices", cwd=trap.folder)
    assert done.returncode == 0, done.stderr
    assert trap.sprung() == []


def test_every_python_child_is_started_in_one_place():
    """Neither sys.executable nor an interpreter that multiprocessing starts anew is named anywhere else."""
    found = set()
    for folder in ("devices", "runtime", "export", "tools", "samples"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if "sys.executable" in text or '"spawn"' in text or '"forkserver"' in text:
                found.add(path.relative_to(ROOT).as_posix())
    assert found == NAMED_IN | BY_PATH
