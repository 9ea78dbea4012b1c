"""The archive for a device: what is in it, and what its script refuses. tools/arm/test.sh installs one for real."""

from __future__ import annotations

import ensurepip
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from signing_cases import key_pair, trust_key

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
    assert names == bundle | wheels | {"install.sh", "requirements.txt", "SHA256SUMS"}
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
    assert "edgeline==1" in (folder / "requirements.txt").read_text()


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


@pytest.mark.parametrize("extra", ["wheels/evil-1-py3-none-any.whl", "sitecustomize.py", "wheels/.hidden"])
def test_the_script_refuses_files_that_the_list_does_not_name(
    asked: list[tuple[str, ...]], tmp_path: Path, extra: str
) -> None:
    folder = unpacked(pack([SAMPLE], tmp_path / "d.tar.gz", OURS).path, tmp_path)
    (folder / extra).write_text("")
    done = install(folder, tmp_path)
    assert done.returncode == 1
    assert "error: the archive holds files that its list does not name" in done.stderr
    assert not (tmp_path / "edgeline").exists()


def test_the_script_refuses_links(asked: list[tuple[str, ...]], tmp_path: Path) -> None:
    folder = unpacked(pack([SAMPLE], tmp_path / "d.tar.gz", OURS).path, tmp_path)
    (folder / "wheels" / "x.whl").symlink_to("/etc/passwd")
    assert "holds links or devices" in install(folder, tmp_path).stderr


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's own wheel, as Python brings it, and an Edgeline whose edge-run ends as EDGE_RUN_ENDS says."""

    def pip(*arguments: str) -> None:
        folder = Path(arguments[arguments.index("--dest" if arguments[0] == "download" else "--wheel-dir") + 1])
        if arguments[0] == "download":
            found = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"), None)
            if found is None:
                pytest.skip("this Python brings no wheel of pip")
            shutil.copy(found, folder)
            return
        files = {
            "edgeline_fake.py": "import os, sys\ndef run():\n    sys.exit(int(os.environ.get('EDGE_RUN_ENDS', 0)))\n",
            "edgeline-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: edgeline\nVersion: 1\n",
            "edgeline-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "edgeline-1.dist-info/entry_points.txt": "[console_scripts]\nedge-run = edgeline_fake:run\n",
        }
        with zipfile.ZipFile(folder / "edgeline-1-py3-none-any.whl", "w") as wheel:
            for name, text in files.items():
                wheel.writestr(name, text)
            wheel.writestr("edgeline-1.dist-info/RECORD", "".join(f"{name},,\n" for name in files))

    monkeypatch.setattr(packing, "_pip", pip)


@pytest.mark.usefixtures("real")
def test_what_is_installed_stays_until_the_next_is_whole_and_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpacked(pack([SAMPLE], tmp_path / "d.tar.gz", replace(OURS, onnxruntime="")).path, tmp_path)
    target = tmp_path / "edgeline"
    done = install(folder, tmp_path)
    assert done.returncode == 0, done.stderr
    first = (target / "current").resolve()
    assert subprocess.run([str(target / "venv/bin/edge-run")], check=False).returncode == 0
    assert (target / "bundles/pcb.edge/manifest.json").is_file()
    monkeypatch.setenv("EDGE_RUN_ENDS", "13")
    done = install(folder, tmp_path)
    assert done.returncode == 1
    assert "what was installed before is as it was" in done.stderr
    assert (target / "current").resolve() == first
    assert list((target / "versions").iterdir()) == [first]
    monkeypatch.delenv("EDGE_RUN_ENDS")
    assert install(folder, tmp_path).returncode == 0
    assert (target / "current").resolve() != first
    assert first.is_dir()


@pytest.mark.usefixtures("real")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl checks the signature")
def test_where_a_key_is_trusted_only_what_it_signed_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    key = key_pair(tmp_path)
    target = replace(OURS, onnxruntime="")
    plain = unpacked(pack([SAMPLE], tmp_path / "p.tar.gz", target).path, tmp_path / "plain")
    folder = unpacked(pack([SAMPLE], tmp_path / "s.tar.gz", target, sign=key).path, tmp_path / "signed")
    trust_key(key, tmp_path / "config" / "edgeline" / "trusted.d")
    assert "no key that is trusted here signed this archive" in install(plain, tmp_path).stderr
    shutil.copy(folder / "SHA256SUMS.sig", plain)
    with (plain / "requirements.txt").open("a") as file:
        file.write("# another archive\n")
    sums = (
        (plain / "SHA256SUMS")
        .read_text()
        .replace(
            next(line for line in (plain / "SHA256SUMS").read_text().splitlines() if line.endswith("requirements.txt")),
            f"{hashlib.sha256((plain / 'requirements.txt').read_bytes()).hexdigest()}  requirements.txt",
        )
    )
    (plain / "SHA256SUMS").write_text(sums)
    assert "no key that is trusted here signed this archive" in install(plain, tmp_path).stderr
    assert not (tmp_path / "edgeline").exists()
    done = install(folder, tmp_path)
    assert done.returncode == 0, done.stderr


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
