"""The commands as a user starts them: in processes of their own, with the import path that an installed one has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from places import ROOT

from edge_devices.interpreter import python_environment, python_module

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["PROJECT", "SCRIPTS", "run_module", "run_script"]

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# The console scripts: their names, and MODULE:FUNCTION.
SCRIPTS: dict[str, str] = PROJECT["scripts"]


def run_script(
    name: str, *arguments: str, cwd: Path, bin_folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a console script as pip would have written it into `bin_folder`, with further environment variables."""
    module, function = SCRIPTS[name].split(":")
    script = bin_folder / name
    script.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n", encoding="utf-8")
    return _run([sys.executable, str(script), *arguments], cwd, variables)


def run_module(module: str, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE`, the current folder not on its path."""
    return _run(python_module(module, *arguments), cwd, variables)


def _run(command: list[str], cwd: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = python_environment()
    path = os.pathsep.join(filter(None, [variables.get("PYTHONPATH"), environment["PYTHONPATH"]]))
    environment = {**environment, **variables, "PYTHONPATH": path}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
