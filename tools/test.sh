#!/bin/sh
# Sets up an environment of its own beside the checkout and runs every check: ruff, mypy, undeclared imports, pytest.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-test
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade pip
"$venv/bin/python" -m pip install --quiet --editable ".[dev]"
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/python" -m edge_tools.undeclared_imports
# Not a worker for each core of a big machine: what is tested starts processes and threads of its own.
"$venv/bin/python" -m pytest -n auto --maxprocesses 4
