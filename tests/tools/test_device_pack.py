"""The archive for a device: what is in it, and what its script refuses. tools/arm/test.sh installs one for real."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from edge_runtime.errors import BundleError, DependencyError, UsageError
from edge_tools.device_pack import pack as packing
from edge_tools.device_pack.pack import Target, pack

SAMPLE = Path(__file__).parents[2] / "samples" / "pcb" / "pcb.edge"
OURS = Target(platform.machine(), f"3.{sys.version_info.minor}")
# Debian 12's Python 3.11.2 knows no filter, and newer ones ask for one.
SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What pip is asked for; it gives an empty wheel for each thing."""
    calls: list[tuple[str, ...]] = []

    def pip(*arguments: str) -> None:
        calls.append(arguments)
        folder = Path(arguments[arguments.index("--dest" if arguments[0] == "download" else "--wheel-dir") + 1])
        for name in ("edgeline",) if arguments[0] == "wheel" else ("pip", "onnxruntime"):
            (folder / f"{name}-1-py3-none-any.whl").touch()

    monkeypatch.setattr(packing, "_pip", pip)
    return calls


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, **SAFELY)
    return folder / "edgeline-device"


def install(folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "PYTHON": sys.executable}
    command = ["sh", str(folder / "install.sh")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_an_archive_holds_the_bundles_the_wheels_and_the_script_and_nothing_else(
    asked: list[tuple[str, ...]], tmp_path: Path
) -> None:
    found = pack([SAMPLE], tmp_path / "d.tar.gz", Target())
    folder = unpacked(found.path, tmp_path)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    bundle = {f"bundles/pcb.edge/{path.name}" for path in SAMPLE.iterdir() if path.name != "report.html"}
    wheels = {f"wheels/{name}-1-py3-none-any.whl" for name in ("edgeline", "pip", "onnxruntime")}
    assert names == bundle | wheels | {"install.sh", "SHA256SUMS"}
    assert found.wheels == tuple(sorted(Path(wheel).name for wheel in wheels))
    assert found.bytes == found.path.stat().st_size
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert "@" not in (folder / "install.sh").read_text().replace("$@", "")


def test_pip_is_asked_for_wheels_of_the_device_and_not_of_this_machine(
    asked: list[tuple[str, ...]], tmp_path: Path
) -> None:
    pack([SAMPLE], tmp_path / "d.tar.gz", Target("aarch64", "3.13", "1.30.0"))
    download = asked[-1]
    assert "manylinux_2_28_aarch64" in download
    assert download[download.index("--python-version") + 1] == "3.13"
    assert download[-1] == "onnxruntime==1.30.0"


def test_a_device_with_an_onnxruntime_of_its_own_gets_none(asked: list[tuple[str, ...]], tmp_path: Path) -> None:
    folder = unpacked(pack([SAMPLE], tmp_path / "d.tar.gz", Target(onnxruntime="")).path, tmp_path)
    assert not any(word.startswith("onnxruntime") for word in asked[-1])
    assert "onnxruntime==" not in (folder / "install.sh").read_text()


def test_the_script_refuses_another_machine_in_one_line(asked: list[tuple[str, ...]], tmp_path: Path) -> None:
    folder = unpacked(pack([SAMPLE], tmp_path / "d.tar.gz", Target("aarch64", "3.99")).path, tmp_path)
    done = install(folder, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: this archive is for Python 3.99 on aarch64, found ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "edgeline").exists()


def test_the_script_refuses_an_archive_that_was_damaged(asked: list[tuple[str, ...]], tmp_path: Path) -> None:
    folder = unpacked(pack([SAMPLE], tmp_path / "d.tar.gz", OURS).path, tmp_path)
    with (folder / "bundles/pcb.edge/weights.bin").open("r+b") as file:
        file.write(b"?")
    done = install(folder, tmp_path)
    assert done.returncode == 1
    assert "error: the archive was damaged on its way: copy it again" in done.stderr
    assert not (tmp_path / "edgeline").exists()


@pytest.mark.parametrize("bundles", [[], [SAMPLE, SAMPLE], [SAMPLE.parent]])
def test_bundles_need_names_of_their_own(bundles: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected bundles of distinct names"):
        pack(bundles, tmp_path / "d.tar.gz", Target())


def test_a_folder_that_is_no_bundle_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "x.edge").mkdir()
    with pytest.raises(BundleError):
        pack([tmp_path / "x.edge"], tmp_path / "d.tar.gz", Target())


@pytest.mark.parametrize("python", ["3", "2.7", "3.x", "python3.11"])
def test_a_python_that_is_none_is_refused(python: str) -> None:
    with pytest.raises(UsageError, match=r"expected the device's Python as 3\.11"):
        Target(python=python)


def test_what_pip_cannot_find_is_told_in_one_line(tmp_path: Path) -> None:
    wheel = tmp_path / "edgeline-1-py3-none-any.whl"
    wheel.touch()
    (tmp_path / "nowhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
        with pytest.raises(DependencyError, match="pip download failed: ERROR") as refused:
            pack([SAMPLE], tmp_path / "d.tar.gz", Target(), wheel)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "d.tar.gz").exists()
