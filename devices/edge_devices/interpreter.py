"""How a Python child process is started: with this process's import path, and not with the current folder on it.

`python -m NAME` and `python -c CODE` import from the current folder before anything else, so a json.py that lies beside
a bundle, or in it, would be run. Every child of Edgeline's is started with the words that are made here; what the user
put on the path (PYTHONPATH, an editable install) stays on it. Commands that pip installs (edge-run, edge-export) do not
look in the current folder either; whoever starts a module by hand says so: `python -P -m NAME`, from Python 3.11 on.
"""

from __future__ import annotations

import os
import sys

__all__ = ["python_code", "python_environment", "python_module"]

# Before Python 3.11 has a flag for it: the current folder is "" on the path of `-c`, and sys is no file that could lie
# there. What Python itself imports at its start, it imports before that "" is on the path.
_WITHOUT_FOLDER = "import sys; sys.path[:] = filter(None, sys.path)\n"

_THIS_PROGRAM = "/proc/self/exe"


def python_module(module: str, *arguments: str, python: str | None = None) -> list[str]:
    """Return the words that run an importable module as a program; `python`: another interpreter of this version."""
    if sys.version_info >= (3, 11):
        return [python or _interpreter(), "-P", "-m", module, *arguments]
    run = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return python_code(run, *arguments, python=python)


def python_code(code: str, *arguments: str, python: str | None = None) -> list[str]:
    """Return the words that run statements, which find `arguments` in sys.argv[1:]."""
    if sys.version_info >= (3, 11):
        return [python or _interpreter(), "-P", "-c", code, *arguments]
    return [python or _interpreter(), "-c", _WITHOUT_FOLDER + code, *arguments]


def _interpreter() -> str:
    """This process's Python; where its path may not be gone any more (rights were dropped since), what runs here."""
    if os.access(sys.executable, os.X_OK) or not os.access(_THIS_PROGRAM, os.X_OK):
        return sys.executable
    return _THIS_PROGRAM


def python_environment() -> dict[str, str]:
    """Return this process's environment for a child that is to find the modules that this process finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
