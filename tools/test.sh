#!/bin/sh
# Sets up an environment of its own beside the checkout and runs every check: ruff, mypy, pytest.
# EDGELINE_TEST_EXTRAS=optimum adds the tests that need PyTorch and transformers (several hundred MB).
set -eu
cd "$(dirname "$0")/.."
venv=.venv-test
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade pip
extras=dev
if [ -n "${EDGELINE_TEST_EXTRAS:-}" ]; then
    # Named first and exactly: an open range would take a build with several gigabytes of CUDA.
    case "$EDGELINE_TEST_EXTRAS" in *torch*|*optimum*) "$venv/bin/python" -m pip install --quiet torch==2.13.0 ;; esac
    extras="dev,$EDGELINE_TEST_EXTRAS"
fi
"$venv/bin/python" -m pip install --quiet --editable ".[$extras]"
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/python" -m pytest
