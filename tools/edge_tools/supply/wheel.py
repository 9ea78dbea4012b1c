"""Is Edgeline's wheel reproducible? Built twice, in two folders at two times, it is the same to the last byte."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.errors import DependencyError, VerificationError
from edge_runtime.files.atomic import sha256_file

__all__ = ["build_wheel", "reproduced"]

_LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "*.pyc", ".*_cache")
EPOCH = 1_700_000_000  # any time does, of 1980 or later

Build = Callable[[Path, Path, int], Path]


def build_wheel(checkout: Path, folder: Path, epoch: int) -> Path:
    """Build a checkout's wheel into a folder, by pip. Raises DependencyError with what pip says."""
    words = ("wheel", "--quiet", "--no-deps", "--no-cache-dir", "--wheel-dir", str(folder), str(checkout))
    environment = {**python_environment(), "SOURCE_DATE_EPOCH": str(epoch)}
    done = subprocess.run(python_module("pip", *words), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DependencyError(f"pip cannot build the wheel: {' '.join(done.stderr.split())[-500:]}")
    return next(folder.glob("*.whl"))


def reproduced(checkout: Path, target: Path | None = None, epoch: int = EPOCH, build: Build = build_wheel) -> str:
    """Build the wheel twice; returns its SHA-256, and leaves it in the folder `target`.

    Raises VerificationError with the first file that differs.
    """
    with tempfile.TemporaryDirectory(prefix="edgeline-wheel-") as scratch:
        made = []
        for name in ("a", "another/folder"):  # other paths, other times of files, another order in the folders
            place = Path(scratch) / name
            shutil.copytree(checkout, place / "edgeline", ignore=_LEFT_OUT, copy_function=shutil.copyfile)
            (place / "wheels").mkdir()
            made.append(build(place / "edgeline", place / "wheels", epoch))
        first, second = made
        if first.name != second.name or first.read_bytes() != second.read_bytes():
            raise VerificationError(f"two builds of one checkout differ: {_difference(first, second)}")
        digest = sha256_file(first)
        if target is not None:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(first, target / first.name)
            os.chmod(target / first.name, 0o644)  # noqa: PTH101  # as umask may be anything
        return digest


def _difference(first: Path, second: Path) -> str:
    if first.name != second.name:
        return f"{first.name}, {second.name}"
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as other:
        if one.namelist() != other.namelist():
            return "the files in them, or their order"
        for name in one.namelist():
            if one.read(name) != other.read(name):
                return name
    return "times or modes of files"
