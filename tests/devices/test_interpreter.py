"""Python children: the import path of this process, the current folder not on it, on every Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from edge_devices import interpreter
from edge_devices.interpreter import python_code, python_environment, python_module

BEFORE_THE_FLAG, WITH_THE_FLAG = (3, 10), (3, 11)


@pytest.fixture(params=[BEFORE_THE_FLAG, WITH_THE_FLAG], ids=["3.10", "3.11"])
def version(request, monkeypatch):
    """Start children as this version does; every newer one can be started as 3.10 is."""
    if sys.version_info < request.param:
        pytest.skip("this Python has no -P")
    monkeypatch.setattr(interpreter.sys, "version_info", request.param)


@pytest.fixture
def hostile(tmp_path):
    """A folder where code lies under the names of modules that are not imported yet when a child starts."""
    for name in ("json", "runpy", "re", "numpy", "elsewhere"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)\n")
    return tmp_path


def run(command, folder):
    return subprocess.run(
        command, cwd=folder, env=python_environment(), capture_output=True, text=True, check=False, timeout=PATIENCE
    )


@pytest.mark.usefixtures("version")
def test_statements_import_nothing_from_the_current_folder_and_find_their_arguments(hostile):
    done = run(python_code("import json, re, sys, numpy; print(sys.argv[1:])", "a b", "-c"), hostile)
    assert (done.returncode, done.stdout) == (0, "['a b', '-c']\n"), done.stderr


@pytest.mark.usefixtures("version")
def test_a_module_runs_as_main_without_the_current_folder_on_its_path(hostile):
    done = run(python_module("json.tool", "--help"), hostile)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
    assert run(python_module("elsewhere"), hostile).returncode == 1


def test_the_same_folder_is_dangerous_to_a_python_that_is_started_without_care(hostile):
    assert run([sys.executable, "-m", "json.tool", "--help"], hostile).returncode == 99
    assert run([sys.executable, "-c", "import json"], hostile).returncode == 99


@pytest.mark.usefixtures("version")
def test_a_child_finds_what_this_process_finds_and_what_the_user_put_on_the_path(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "added.py").write_text("print('found', __name__)\n")
    monkeypatch.syspath_prepend(tmp_path / "mine")
    assert run(python_module("added"), tmp_path).stdout == "found __main__\n"
    assert run(python_code("import added"), tmp_path).stdout == "found added\n"


def test_the_current_folder_is_not_handed_on_where_this_process_has_it_as_nothing(monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "/lib/one", "/lib/two"])
    assert python_environment()["PYTHONPATH"] == os.pathsep.join(["/lib/one", "/lib/two"])
    assert python_environment().keys() >= os.environ.keys()


def test_another_interpreter_is_started_in_the_same_way():
    assert python_module("pip", "list", python="/env/bin/python")[0] == "/env/bin/python"
    assert python_code("pass", python="/env/bin/python")[0] == "/env/bin/python"


@pytest.mark.skipif(not Path("/proc/self/exe").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("gone", ["/nowhere/python", ""])
def test_a_python_whose_path_may_not_be_gone_any_more_is_started_as_what_runs_here(tmp_path, monkeypatch, gone):
    monkeypatch.setattr(interpreter.sys, "executable", gone)
    done = run(python_code("import numpy; print('found')"), tmp_path)
    assert (done.returncode, done.stdout) == (0, "found\n"), done.stderr
