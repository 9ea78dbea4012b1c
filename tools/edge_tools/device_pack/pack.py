"""Collect a device's archive: the bundles, the wheels that run them, and a script that installs them offline.

    edgeline-device/install.sh, SHA256SUMS, requirements.txt, wheels/*.whl, bundles/NAME.edge/

SHA256SUMS names every other file, and SHA256SUMS.sig is its Ed25519 signature, where it is signed: 64 bytes, as openssl
checks them. requirements.txt names every wheel by version and hash, so that pip installs these and no others.

The wheels are Edgeline's own, built from this checkout (or named), what it depends on, onnxruntime, and pip, which
installs the others: a Debian Python brings none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_devices.interpreter import python_module
from edge_runtime.bundle.bundle import MANIFEST, read_bundle
from edge_runtime.bundle.keys import read_private
from edge_runtime.bundle.signature import SIGNATURE
from edge_runtime.errors import DependencyError, UsageError
from edge_runtime.files.atomic import sha256_file, writing

__all__ = ["CHECKOUT", "ONNXRUNTIME", "PLATFORMS", "Packed", "Target", "pack"]

CHECKOUT = Path(__file__).resolve().parents[3]
# What tools/arm tests. 1.24.1 to 1.26.0 leak on ARM.
ONNXRUNTIME = "1.31.1"
_FOLDER = "edgeline-device"
# glibc's versions of the wheels that a device of the last years takes, newest first.
_TAGS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
PLATFORMS = ("aarch64", "x86_64")


@dataclass(frozen=True)
class Target:
    """The device: `platform` is one of PLATFORMS, `python` its Python, as "3.11".

    `onnxruntime` is the version to bring; "" for a device that has one already, as a Jetson's.
    """

    platform: str = "aarch64"
    python: str = "3.11"
    onnxruntime: str = ONNXRUNTIME

    def __post_init__(self) -> None:
        major, _, minor = self.python.partition(".")
        if major != "3" or not minor.isdigit():
            raise UsageError(f"expected the device's Python as 3.11, found {self.python}; ask it: python3 --version")

    def requirements(self) -> list[str]:
        """What pip installs on the device."""
        return ["edgeline", *([f"onnxruntime=={self.onnxruntime}"] if self.onnxruntime else [])]

    def pip_options(self) -> list[str]:
        """What tells pip to look for this device's wheels rather than this machine's."""
        platforms = [option for tag in _TAGS for option in ("--platform", f"{tag}_{self.platform}")]
        return [*platforms, "--python-version", self.python, "--implementation", "cp", "--only-binary", ":all:"]


@dataclass(frozen=True)
class Packed:
    """An archive that was written: its path, its size in bytes, the wheels in it."""

    path: Path
    bytes: int
    wheels: tuple[str, ...]


def pack(
    bundles: Sequence[Path], output: Path, target: Target, wheel: Path | None = None, sign: Path | None = None
) -> Packed:
    """Write the archive `output` (.tar.gz) for a device; `wheel` is Edgeline's, built from this checkout if None.

    `sign` is a private key (edge-sign keygen) to sign it with.

    Raises BundleError for a damaged bundle, UsageError for two of one name or a key that is none, DependencyError where
    pip finds no wheel or cannot be run, OutputError where the archive cannot be written.
    """
    names = [bundle.resolve().name for bundle in bundles]
    if not names or len(set(names)) < len(names) or not all(name.endswith(".edge") for name in names):
        raise UsageError(f"expected bundles of distinct names that end in .edge, found {', '.join(names) or 'none'}")
    key = None if sign is None else read_private(sign)
    read = [read_bundle(bundle) for bundle in bundles]
    with tempfile.TemporaryDirectory(prefix="edgeline-pack-") as scratch:
        folder = Path(scratch) / _FOLDER
        wheels = folder / "wheels"
        wheels.mkdir(parents=True)
        for bundle, name in zip(read, names, strict=True):
            (folder / "bundles" / name).mkdir(parents=True)
            signature = (SIGNATURE,) if bundle.file(SIGNATURE).exists() else ()
            for file in (MANIFEST, *signature, *bundle.manifest.files):
                shutil.copyfile(bundle.file(file), folder / "bundles" / name / file)
        own = _own_wheel(wheel, wheels)
        _pip("download", "--dest", str(wheels), *target.pip_options(), str(own), "pip", *target.requirements()[1:])
        script = (Path(__file__).parent / "install.sh").read_text(encoding="utf-8")
        for word, value in (("@PLATFORM@", target.platform), ("@PYTHON@", target.python)):
            script = script.replace(word, value)
        (folder / "install.sh").write_text(script, encoding="utf-8")
        (folder / "install.sh").chmod(0o755)
        _write_requirements(folder)
        _write_sums(folder)
        if key is not None:
            (folder / "SHA256SUMS.sig").write_bytes(key.sign((folder / "SHA256SUMS").read_bytes()))
        with writing(output):
            _write_archive(folder, output)
        return Packed(output, output.stat().st_size, tuple(sorted(path.name for path in wheels.iterdir())))


def _own_wheel(wheel: Path | None, wheels: Path) -> Path:
    if wheel is not None:
        if not wheel.is_file():
            raise UsageError(f"there is no wheel at {wheel}; build it: pip wheel --no-deps .")
        return Path(shutil.copy(wheel, wheels))
    if not (CHECKOUT / "pyproject.toml").is_file():
        raise UsageError("this Edgeline was installed from a wheel; name that wheel: --wheel edgeline-....whl")
    _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(CHECKOUT))
    return next(wheels.glob("edgeline-*.whl"))


def _pip(*arguments: str) -> None:
    command = python_module("pip", "--quiet", "--disable-pip-version-check", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise DependencyError(
            f"pip {arguments[0]} failed: {' '.join(lines[-1:])[:300] or done.returncode}; is the network there, and is "
            "there a wheel for this Python and platform (another --python or --onnxruntime)?"
        )


def _write_requirements(folder: Path) -> None:
    """Every wheel but pip's, which installs them; the file's name has its distribution's name and version (PEP 427)."""
    lines = []
    for wheel in sorted((folder / "wheels").iterdir()):
        name, version = wheel.name.split("-")[:2]
        if name != "pip":
            lines.append(f"{name}=={version} --hash=sha256:{sha256_file(wheel)}\n")
    (folder / "requirements.txt").write_text("".join(lines), encoding="utf-8")


def _write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{sha256_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def _write_archive(folder: Path, output: Path) -> None:
    """Beside its place first, then under its name. Wheels are compressed already, weights hardly shrink."""
    temporary = output.with_name(f".{output.name}.{os.urandom(4).hex()}.tmp")
    try:
        with tarfile.open(temporary, "w:gz", compresslevel=1) as archive:
            archive.add(folder, arcname=_FOLDER, filter=_nobodys)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Files that belong to whoever unpacks them."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
