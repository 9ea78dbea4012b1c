"""`python -m edge_tools.supply`: lock what devices run, check it, and make what goes with a release.

check             asks no network but for what builds the wheel: are the locks those of pyproject.toml, is the wheel
                  the same twice, has the table of licences every package?
lock              both locks anew, by uv
licences          the table anew, by pip-licenses, of the lock installed in an environment of its own
release DIR       the wheel, a bill of materials of each lock (CycloneDX), its licences, and what pip-audit knows
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

import click
from packaging.utils import canonicalize_name

from edge_runtime.cli.console import run_command
from edge_runtime.errors import DependencyError, VerificationError
from edge_runtime.files.atomic import write_text
from edge_tools.supply.pins import LOCKS, faults, project_of, read_lock
from edge_tools.supply.release import audited, bill_of_materials, licences, lock
from edge_tools.supply.wheel import reproduced

__all__ = ["LICENCES", "main", "missing_licences"]

_ROOT = Path(__file__).resolve().parents[3]
LICENCES = "runtime/LICENCES.md"
_HEAD = """\
# Licences of what a device runs

Of every package of [requirements-device.txt](requirements-device.txt), as pip-licenses reads them:
`python -m edge_tools.supply licences`. Edgeline itself is under the Apache License 2.0. That is each package's own
licence: wheels may hold libraries under others, as OpenCV's FFmpeg under the LGPL 2.1; theirs lie in the wheels.
"""


@click.group()
def supply() -> None:
    """Lock what devices run, check it, and make what goes with a release."""


@supply.command()
@click.option("--without-wheel", is_flag=True, help="Do not build the wheel twice.")
def check(without_wheel: bool) -> None:
    """Check locks, licences and whether the wheel is reproducible."""
    project = project_of(_ROOT)
    for one in LOCKS:
        text = (_ROOT / one.file).read_text(encoding="utf-8")
        if found := list(faults(text, one, project)):
            raise VerificationError(f"{found[0]} (and {len(found) - 1} more)" if found[1:] else found[0])
        click.echo(f"{one.file}: {len(read_lock(text))} packages with hashes, as pyproject.toml wants them")
    if missing := missing_licences():
        raise VerificationError(f"{LICENCES} lacks {', '.join(missing)}: python -m edge_tools.supply licences")
    click.echo(f"{LICENCES}: every package")
    if not without_wheel:
        click.echo(f"the wheel is the same twice: sha256 {reproduced(_ROOT)}")


def missing_licences() -> list[str]:
    """The packages of the lock that the table of licences does not have."""
    table = re.findall(r"(?m)^\| *([A-Za-z0-9._-]+) *\|", (_ROOT / LICENCES).read_text(encoding="utf-8"))
    pins = read_lock((_ROOT / LOCKS[0].file).read_text(encoding="utf-8"))
    return sorted({pin.name for pin in pins} - set(map(canonicalize_name, table)))


@supply.command("lock")
def lock_all() -> None:
    """Make the locks anew, of what there is today."""
    for one in LOCKS:
        click.echo(f"{one.file}: {len(read_lock(lock(_ROOT, one)))} packages")


@supply.command("licences")
@click.option("--python", "pythons", multiple=True, default=("python3",), help="The oldest and the newest.")
def licences_anew(pythons: tuple[str, ...]) -> None:
    """Install the lock into environments of its own, and write the table of its licences."""
    text = _HEAD
    for python in pythons:
        with tempfile.TemporaryDirectory(prefix="edgeline-licences-") as folder:
            made = f"{folder}/bin/python"
            _run(python, "-m", "venv", folder)
            _run(made, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(_ROOT / LOCKS[0].file))
            version = _run(made, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
            text += f"\n## On Python {version}\n\n{licences(made)}"
    write_text(_ROOT / LICENCES, text)
    click.echo(f"{LICENCES} is written")


def _run(*command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DependencyError(f"{' '.join(command[:4])} failed: {' '.join(done.stderr.split())[-500:]}")
    return done.stdout


@supply.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def release(folder: Path) -> None:
    """Write into FOLDER what goes with a release."""
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(f"wheel: sha256 {reproduced(_ROOT, folder)}")
    for one in LOCKS:
        name = Path(one.file).stem
        write_text(folder / Path(one.file).name, (_ROOT / one.file).read_text(encoding="utf-8"))
        bill_of_materials(_ROOT, one, folder / f"{name}.cdx.json")
        click.echo(f"{name}.cdx.json: CycloneDX")
        why, holes = audited((_ROOT / one.file).read_text(encoding="utf-8"))
        if holes:
            raise VerificationError(f"{name} has known holes: {'; '.join(holes)}")
        told = f"NOT AUDITED, the database of known holes cannot be had here: {why}" if why else "no known holes"
        click.echo(f"{name}: {told}")
    write_text(folder / "LICENCES.md", (_ROOT / LICENCES).read_text(encoding="utf-8"))


def main() -> None:
    """Run the command."""
    run_command(supply, "supply")


if __name__ == "__main__":
    main()
