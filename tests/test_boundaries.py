"""Dependencies point one way, and the device path stays light: tools, export -> runtime -> devices."""

import json
import os
import pkgutil
import subprocess
import sys

import pytest
from places import ROOT

import edge_devices
import edge_export
import edge_runtime
import edge_tools

NEVER_ON_A_DEVICE = {"onnx", "torch", "optimum", "transformers", "onnxslim", "rich", "edge_export", "edge_tools"}
# What is below this trains with torch; `edge_export.qat` itself loads it with the first name that is asked for.
TRAINS = "edge_export.qat."
# One fresh interpreter imports the modules in turn and tells what each of them brought in.
_IMPORT_EACH = """
import importlib, json, sys
brought, before = {}, set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
    brought[name] = sorted({module.split(".")[0] for module in set(sys.modules) - before})
    before = set(sys.modules)
print(json.dumps(brought))
"""


def brought_by(package):
    names = [package.__name__]
    names += [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    names = [name for name in names if not name.startswith(TRAINS)]
    paths = [str(ROOT / folder) for folder in ("devices", "runtime", "export", "tools")]
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_EACH, *sorted(names)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    return {name: set(modules) for name, modules in json.loads(done.stdout).items()}


def test_no_runtime_module_imports_anything_of_the_workstation():
    heavy = {name: modules & NEVER_ON_A_DEVICE for name, modules in brought_by(edge_runtime).items()}
    assert {name: modules for name, modules in heavy.items() if modules} == {}


def test_devices_imports_the_standard_library_only():
    allowed = set(sys.stdlib_module_names) | {"edge_devices", "tomli"}  # Python 3.10 has no tomllib
    strange = {name: modules - allowed for name, modules in brought_by(edge_devices).items()}
    assert {name: modules for name, modules in strange.items() if modules} == {}


def test_export_loads_torch_and_optimum_only_when_a_source_needs_them():
    heavy = {name: modules & {"torch", "optimum", "transformers"} for name, modules in brought_by(edge_export).items()}
    assert {name: modules for name, modules in heavy.items() if modules} == {}


@pytest.mark.parametrize("package", [edge_devices, edge_runtime, edge_export, edge_tools])
def test_a_package_lists_its_public_names(package):
    names = getattr(package, "__all__", [])
    assert sorted(names) == list(names)
    assert all(hasattr(package, name) for name in names)


def test_the_top_level_of_the_repository_is_fixed():
    allowed = {"pyproject.toml", "export", "runtime", "devices", "tests", "samples", "tools"}
    allowed |= {"README.md", "LICENSE", "CHANGELOG.md"}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= allowed
