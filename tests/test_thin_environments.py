"""Every command where little is installed: it works, or says in one line what to install, with exit code 8."""

import json
import re

import pytest
from commands import PROJECT, SCRIPTS, run_module, run_script
from places import SAMPLE

from edge_runtime.cli.console import EXTRAS
from edge_runtime.errors import DependencyError

# What an install without extras brings, as it is imported, and what `[cpu]` adds to it.
BASE = {"click", "cv2", "numpy", "simplejpeg", "tomli", "edge_devices", "edge_runtime", "edge_export", "edge_tools"}
CPU = {"onnxruntime", "coloredlogs", "flatbuffers", "google", "humanfriendly", "mpmath", "packaging", "sympy"}
ENVIRONMENTS = {"base": BASE, "cpu": BASE | CPU}
# Python itself runs this first, in every process of a command: other packages are then not found.
HIDE = """
import sys
from importlib.machinery import PathFinder
seen, find = {names!r} | set(sys.stdlib_module_names), PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: find(name, *rest) if name.split(".")[0] in seen else None
"""
# The commands that cannot do without the workstation's packages, and the extra that they name.
NEED_EXPORT = {
    "edge_export": "export",
    "edge_export.qat": "torch",
    "edge_tools.accuracy_table": "export",
    "edge_tools.export_bench": "export",
    "edge_tools.models_table": "export",
    "edge_tools.zoo": "export",
}
LIGHT = ["edge_devices", "edge_tools.batching_bench", "edge_tools.bench.endurance", "edge_tools.bench.starts"]
LIGHT += ["edge_tools.device_pack", "edge_tools.layout_bench", "edge_tools.results_plots", "edge_tools.serving_bench"]


@pytest.fixture(params=ENVIRONMENTS)
def environment(request, tmp_path):
    """What a command is started with, so that it finds what is in this environment, and nothing else."""
    return thin(request.param, tmp_path)


def thin(name, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(names=ENVIRONMENTS[name]))
    (tmp_path / "bin").mkdir()
    own = {name: str(tmp_path / name) for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    return {"cwd": tmp_path, "PYTHONPATH": str(tmp_path), **own}


def script(name, *arguments, environment):
    return run_script(name, *arguments, bin_folder=environment["cwd"] / "bin", **environment)


def says_what_to_install(done, extra):
    assert done.returncode == DependencyError.exit_code, done.stderr
    assert done.stdout == ""
    # Files of other kinds beside the pictures are told first.
    *before, last = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert before in ([], [f"preparing {SAMPLE.name}"])  # edge-bench says what it does
    return last.startswith("error: ") and f"pip install 'edgeline[{extra}]'" in last


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_shows_its_help_or_says_what_to_install(name, environment):
    done = script(name, "--help", environment=environment)
    if name == "edge-export":
        assert says_what_to_install(done, "export")
        assert "edge-export needs onnx, " in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"Usage: {name}")


@pytest.mark.parametrize("module", LIGHT)
def test_a_command_that_needs_no_extra_shows_its_help(module, environment):
    done = run_module(module, "--help", **environment)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", NEED_EXPORT)
def test_a_command_of_the_workstation_says_what_to_install(module, environment):
    done = run_module(module, "--help", **environment)
    assert says_what_to_install(done, NEED_EXPORT[module])


JOBS = {
    "edge-run": ["--max-frames", "1", "--memory-limit", "400MB", "--json"],
    "edge-tune": ["--minutes", "0.05", "--no-blocks", "--json"],
    "edge-bench": [str(SAMPLE), "--rounds", "1", "--starts", "1", "--json"],
}


@pytest.mark.parametrize("name", JOBS)
def test_with_onnxruntime_alone_the_device_commands_do_their_work(name, tmp_path):
    done = script(name, *JOBS[name], environment=thin("cpu", tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize("name", JOBS)
def test_without_onnxruntime_the_device_commands_say_what_to_install(name, tmp_path):
    done = script(name, *JOBS[name], environment=thin("base", tmp_path))
    assert says_what_to_install(done, "cpu")
    assert "onnxruntime is not installed" in done.stderr


def test_an_import_that_fails_for_another_reason_keeps_its_traceback(tmp_path):
    """A package of the extra that is there and broken, or a slip of ours, is no missing extra."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "rich.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "bin").mkdir()
    done = run_script(
        "edge-export", "--help", cwd=tmp_path, bin_folder=tmp_path / "bin", PYTHONPATH=str(tmp_path / "broken")
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "No module named 'nothing_of_that_name'" in done.stderr


def test_the_modules_of_an_extra_are_those_that_it_installs():
    """protobuf is imported as a part of `google`, which other packages are parts of as well; onnx brings it.

    pyyaml is imported as `yaml`.
    """
    extras = PROJECT["optional-dependencies"]
    wanted = [*extras["export"], *extras["cpu"]]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in wanted} - {"edgeline", "protobuf", "pyyaml"}
    assert set(EXTRAS["export"]) == names | {"yaml"}


@pytest.mark.parametrize("words", [("edge-run", "station.yaml"), ("edge-station", "check", "station.yaml")])
def test_a_recipe_without_yaml_says_what_to_install(words, environment):
    (environment["cwd"] / "station.yaml").write_text("store: store\n")
    assert says_what_to_install(script(*words, environment=environment), "station")
