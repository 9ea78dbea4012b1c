"""Other exporters' virtual environments, made on demand: their pins fight with each other's and with ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edge_devices.interpreter import python_code, python_module
from edge_runtime.errors import EngineError
from edge_runtime.files.atomic import write_text
from edge_tools.export_bench.exporters import ENVIRONMENTS, Environment

__all__ = ["install", "python_of", "version_of"]

_STAMP = "edgeline-installed.json"
Say = Callable[[str], None]


def python_of(name: str, folder: Path) -> Path:
    """Return the interpreter of an environment below `folder`."""
    return folder / name / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def install(name: str, folder: Path, say: Say) -> None:
    """Make an environment unless it is there as it should be. Raises EngineError with pip's last line."""
    wanted = ENVIRONMENTS[name]
    stamp = folder / name / _STAMP
    if stamp.is_file() and json.loads(stamp.read_text()) == _installs(wanted):
        return
    say(f"making a virtual environment for {wanted.package}")
    folder.mkdir(parents=True, exist_ok=True)
    _call(python_module("venv", str(folder / name)), name)
    for packages in wanted.installs:
        say(f"installing {' '.join(packages)}")
        _call(python_module("pip", "install", "--quiet", *packages, python=str(python_of(name, folder))), name)
    write_text(stamp, json.dumps(_installs(wanted)))


def version_of(name: str, folder: Path) -> str:
    """Return PACKAGE VERSION of an installed environment. Raises EngineError where it does not run."""
    package = ENVIRONMENTS[name].package
    script = f"import importlib.metadata as m; print(m.version({package!r}))"
    return f"{package} {_call(python_code(script, python=str(python_of(name, folder))), name).strip()}"


def _installs(environment: Environment) -> list[list[str]]:
    return [list(packages) for packages in environment.installs]


def _call(command: list[str], name: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EngineError(f"environment {name!r}: {command[0]} cannot be run: {error}; remove its folder") from error
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        last = lines[-1] if lines else f"exit code {done.returncode}"
        raise EngineError(f"environment {name!r} could not be made: {last[:300]}")
    return done.stdout
