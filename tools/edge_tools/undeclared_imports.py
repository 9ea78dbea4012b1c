"""Does every part import only what its own extras install? deptry, once for each part of the checkout.

    python -m edge_tools.undeclared_imports          from the repository root; deptry comes with the extra `dev`

deptry by itself asks whether some extra of the project names a package. A user has one extra, not all of them: so each
part is held against the base dependencies and the extras that whoever runs it was told to install.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import click

from edge_devices.interpreter import python_module

__all__ = ["PARTS", "Part", "main", "requirements", "undeclared"]

_OURS = ("edge_devices", "edge_runtime", "edge_export", "edge_tools", "parts", "pcb")
_FOLDERS = (
    "devices/edge_devices",
    "runtime/edge_runtime",
    "export/edge_export",
    "tools/edge_tools",
    "samples",
    "tests",
)
# Run by other Pythons: those of other exporters' environments, the system's with GStreamer.
_ELSEWHERE = (
    "tools/edge_tools/export_bench/workers/",
    "tools/edge_tools/families/makers/",
    "tools/edge_tools/damage/rtsp_camera.py",
)


@dataclass(frozen=True)
class Part:
    """Paths (a folder ends in "/") and the extras that are installed where they run. The longest path that fits a file
    tells which part it belongs to.
    """

    paths: tuple[str, ...]
    extras: tuple[str, ...]


PARTS = (
    Part(("devices/edge_devices/", "runtime/edge_runtime/"), ("cpu",)),
    Part(
        ("runtime/edge_runtime/bundle/keys.py", "runtime/edge_runtime/bundle/signing.py"),
        ("cpu", "sign"),
    ),
    Part(("runtime/edge_runtime/bundle/openssf.py",), ("cpu", "openssf")),
    Part(("runtime/edge_runtime/blocks/storage.py",), ("cpu", "zstd")),
    Part(
        tuple(
            f"runtime/edge_runtime/inspect/reader/{name}.py"
            for name in ("container", "deinterlacer", "pyav", "renewal")
        ),
        ("cpu", "video"),
    ),
    Part(("runtime/edge_runtime/inspect/reader/genicam.py",), ("cpu", "genicam")),
    Part(("runtime/edge_runtime/inspect/sources/stills/extra.py",), ("cpu", "images")),
    Part(("runtime/edge_runtime/station/", "runtime/edge_runtime/outputs/"), ("cpu", "station")),
    Part(("runtime/edge_runtime/outputs/opcua.py",), ("cpu", "station", "opcua")),
    Part(
        ("runtime/edge_runtime/outputs/gpio.py", "runtime/edge_runtime/station/triggers/gpio.py"),
        ("cpu", "station", "gpio"),
    ),
    Part(("runtime/edge_runtime/station/parts/code.py",), ("cpu", "station", "codes")),
    Part(("export/edge_export/", "tools/edge_tools/"), ("cpu", "export")),
    Part(
        ("export/edge_export/qat/", "export/edge_export/model/sources/torch_module.py", "samples/"),
        ("cpu", "torch"),
    ),
    Part(("export/edge_export/model/sources/hugging_face.py",), ("optimum",)),
    Part(("tools/edge_tools/results_plots.py",), ("plots",)),
    Part(("tools/edge_tools/supply/",), ("cpu", "supply")),
    Part(("tools/edge_tools/damage/",), ("cpu", "images")),
    Part(("tools/edge_tools/station/mosquitto.py", "tools/edge_tools/station/outages.py"), ("cpu", "station")),
    Part(("tools/edge_tools/undeclared_imports.py", "tools/edge_tools/arm/emulated.py", "tests/"), ("dev",)),
)


def requirements(project: Mapping[str, Any], extras: Sequence[str]) -> list[str]:
    """The base dependencies and those of `extras`, with the extras that these name; `project` as in pyproject.toml.

    Raises KeyError for an extra that there is not.
    """
    found = list(project["dependencies"])
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            own = re.fullmatch(rf"{re.escape(project['name'])}\[(.+)\]", requirement)
            found += requirements(project, own[1].split(",")) if own else [requirement]
    return list(dict.fromkeys(found))


def undeclared(root: Path, parts: Sequence[Part] = PARTS) -> list[str]:
    """One line for each import in the checkout at `root` that its part's extras do not install, in order.

    Raises RuntimeError where deptry cannot be run.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = []
    for part in parts:
        folders = [folder for folder in _FOLDERS if any(path.startswith(folder) for path in part.paths)]
        for finding in _deptry(root, folders, requirements(project, part.extras)):
            place = finding["location"]
            if _part_of(place["file"], parts) is part:
                told = f"{place['file']}:{place['line']}: {finding['module']} is not declared by edgeline"
                lines.append(f"{told}[{','.join(part.extras)}]")
    return sorted(lines)


def _part_of(file: str, parts: Sequence[Part]) -> Part | None:
    if file.startswith(_ELSEWHERE):
        return None
    fitting = [(len(path), part) for part in parts for path in part.paths if file == path or file.startswith(path)]
    return max(fitting, key=lambda found: found[0])[1] if fitting else None


def _deptry(root: Path, folders: Sequence[str], dependencies: Sequence[str]) -> list[dict[str, Any]]:
    """What deptry says of `folders` if `dependencies` were all that the project has."""
    with tempfile.TemporaryDirectory(prefix="edgeline-deptry-") as folder:
        config, found = Path(folder) / "pyproject.toml", Path(folder) / "found.json"
        config.write_text(
            f'[project]\nname = "edgeline"\nversion = "0"\ndependencies = {json.dumps(dependencies)}\n'
            # DEP001 is not installed, DEP003 is there by chance: something else brings it.
            f'[tool.deptry]\nignore = ["DEP002", "DEP004", "DEP005"]\nknown_first_party = {json.dumps(_OURS)}\n'
            'exclude = ["[.]venv"]\n',
            encoding="utf-8",
        )
        command = python_module("deptry", *folders, "--config", str(config), "--json-output", str(found))
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if not found.is_file():
            raise RuntimeError(f"deptry failed: {ran.stderr.strip() or ran.stdout.strip()}")
        return list(json.loads(found.read_text(encoding="utf-8")))


@click.command()
def main() -> None:
    """Fail with a line for each import that nothing declares."""
    if importlib.util.find_spec("deptry") is None:
        raise click.ClickException("deptry is missing: pip install 'edgeline[dev]'")
    lines = undeclared(Path.cwd())
    for line in lines:
        click.echo(line)
    if lines:
        raise click.ClickException(f"{len(lines)} imports that nothing declares: name them in pyproject.toml")
    click.echo("Every import is declared.")


if __name__ == "__main__":
    main()
