"""What goes with a release, each by its own tool: a bill of materials, a table of licences, what is known of holes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.errors import DependencyError
from edge_runtime.files.atomic import write_text
from edge_tools.supply.pins import Lock, inputs_of, project_of

__all__ = ["audited", "bill_of_materials", "licences", "lock", "read_audit"]

_LINUX = "sys_platform == 'linux' and platform_python_implementation == 'CPython'"
# Of 2020: arbitrary code (CVE-2020-14343).
_CANARY = f"pyyaml==5.3 --hash=sha256:{64 * '0'}"


def lock(root: Path, one: Lock) -> str:
    """Make a lock by uv, of what there is today, and write it. Raises DependencyError."""
    project = project_of(root)
    extras = [word for extra in one.extras for word in ("--extra", extra)]
    with tempfile.TemporaryDirectory(prefix="edgeline-lock-") as folder:
        # An extra that brings edgeline itself along would be looked for; only the lists are locked.
        lists = {name: lines for name, lines in project["optional-dependencies"].items() if name in one.extras}
        text = "[project]\nname = 'edgeline'\nversion = '0'\n"
        text += f"requires-python = {json.dumps(project['requires-python'])}\n"
        text += f"dependencies = {json.dumps(project['dependencies'])}\n[project.optional-dependencies]\n"
        text += "".join(f"{name} = {json.dumps(lines)}\n" for name, lines in lists.items())
        text += f"[tool.uv]\nenvironments = [{json.dumps(_LINUX)}]\n"
        (Path(folder) / "pyproject.toml").write_text(text, encoding="utf-8")
        words = ("pip", "compile", "pyproject.toml", *extras, "--universal", "--generate-hashes", "--no-header")
        made = _run(["uv", *words, "--no-annotate", "--quiet", "--python-version", "3.10"], Path(folder))
    head = (
        f"# What a device runs (extras {', '.join(one.extras)}): x86-64 and aarch64 Linux, CPython 3.10 to 3.13.\n"
        "#   pip install --require-hashes -r THIS && pip install --no-deps edgeline-*.whl\n"
        f"# Made by uv: python -m edge_tools.supply lock. Of {inputs_of(project, one.extras)}\n"
    )
    write_text(root / one.file, head + made)
    return head + made


def bill_of_materials(root: Path, one: Lock, target: Path) -> None:
    """Write a lock's bill of materials, CycloneDX as JSON, by cyclonedx-py. Raises DependencyError."""
    words = ("requirements", str(root / one.file), "--pyproject", str(root / "pyproject.toml"), "--of", "JSON")
    _run(python_module("cyclonedx_py", *words, "--output-reproducible", "--validate", "-o", str(target)), root)


def licences(python: str) -> str:
    """The licences of all that an environment has but its installers, as a table by pip-licenses."""
    words = ("--python", python, "--format", "markdown", "--from", "mixed")
    ignored = ("--ignore-packages", "pip", "setuptools", "wheel")
    return _run(python_module("piplicenses", *words, *ignored), Path.cwd())


def audited(requirements: str) -> tuple[str, list[str]]:
    """Hold a lock's text against the database of known holes, by pip-audit.

    Returns why that cannot be done here, "" where it can, and what was found. A database that does not know of the
    holes of a release that is full of them is none. Raises DependencyError without pip-audit.
    """
    why, canary = _audit(_CANARY)
    if why or not canary:
        return why or f"it knows of no hole in {_CANARY.split()[0]}, which has some", []
    return _audit(requirements)


def _audit(requirements: str) -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory(prefix="edgeline-audit-") as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirements, encoding="utf-8")
        words = ("--requirement", str(file), "--require-hashes", "--disable-pip", "--progress-spinner", "off")
        command = python_module("pip_audit", *words, "--format", "json")
        done = subprocess.run(command, env=python_environment(), capture_output=True, text=True, check=False)
    if "No module named" in done.stderr:
        raise DependencyError("pip-audit is not installed here: pip install 'edgeline[supply]'")
    return read_audit(done.stdout, done.stderr)


def read_audit(answer: str, said: str) -> tuple[str, list[str]]:
    """Return why pip-audit's answer is none ("": it is one), and each hole that it tells."""
    try:
        packages = json.loads(answer)["dependencies"]
        skipped = [package["skip_reason"] for package in packages if "skip_reason" in package]
        holes = [
            f"{package['name']} {package['version']}: {hole['id']}"
            for package in packages
            for hole in package.get("vulns", [])
        ]
    except (ValueError, KeyError, TypeError):
        return " ".join(said.split())[-300:] or "pip-audit gave no answer", []
    return (f"{len(skipped)} of {len(packages)} packages: {skipped[0]}" if skipped else ""), holes


def _run(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, env=python_environment(), capture_output=True, text=True, check=False
        )
    except OSError as error:
        why = f"{command[0]} cannot be run ({error.strerror})"
        raise DependencyError(f"{why}: pip install 'edgeline[supply]'") from error
    if done.returncode:
        raise DependencyError(
            f"{' '.join(command[:4])} failed: {' '.join(done.stderr.split())[-500:]}; pip install 'edgeline[supply]' "
            "brings it"
        )
    return done.stdout
