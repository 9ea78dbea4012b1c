"""OpenSSF's model signing, and its own tool on what we signed."""

from __future__ import annotations

import importlib.util
import subprocess

import pytest
from commands import run_script
from signing_cases import copied

from edge_devices.interpreter import python_code, python_environment
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.openssf import key_beside, make_key, sign_openssf
from edge_runtime.errors import DependencyError, OutputError

pytest.importorskip("cryptography")
INSTALLED = importlib.util.find_spec("model_signing") is not None and importlib.util.find_spec("OpenSSL") is not None
with_it = pytest.mark.skipif(not INSTALLED, reason="model-signing comes with the extra openssf")
# Its command, `model_signing`, with whatever warnings its own packages have.
TOOL = "import sys; from model_signing._cli import main; sys.exit(main())"


@pytest.fixture
def signed(tmp_path):
    """A bundle with both signatures, as the command writes them."""
    for words in (("keygen", "line3", "--openssf"), ("sign", str(copied(tmp_path)), "--key", "line3")):
        done = run_script("edge-sign", *words, cwd=tmp_path, bin_folder=tmp_path)
        assert done.returncode == 0, done.stderr
    return tmp_path / "b.edge"


def verified(bundle):
    words = ("verify", "key", str(bundle), "--signature", f"{bundle}.sig", "--public_key")
    return subprocess.run(
        python_code(TOOL, *words, str(bundle.parent / "line3.openssf.pub")),
        env=python_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


@with_it
def test_its_own_tool_verifies_what_we_signed(signed):
    done = verified(signed)
    assert done.returncode == 0, done.stderr
    read_bundle(signed)


@with_it
@pytest.mark.parametrize("name", ["weights.bin", "manifest.json", "signature.json", "stranger"])
def test_its_own_tool_finds_what_was_changed(signed, name):
    assert verified(signed).returncode == 0
    with (signed / name).open("ab") as stream:
        stream.write(b"x")
    assert verified(signed).returncode != 0


@pytest.mark.skipif(INSTALLED, reason="model-signing is installed")
def test_without_the_package_it_is_said_what_to_install(tmp_path):
    with pytest.raises(DependencyError, match=r"pip install 'edgeline\[openssf\]'"):
        sign_openssf(copied(tmp_path), make_key(tmp_path / "line3"))


def test_a_key_is_for_its_owner_alone_and_never_overwritten(tmp_path):
    key = make_key(tmp_path / "line3")
    assert key == key_beside(tmp_path / "line3")
    assert key.stat().st_mode & 0o777 == 0o600
    assert "BEGIN PUBLIC KEY" in (tmp_path / "line3.openssf.pub").read_text()
    with pytest.raises(OutputError, match="never overwritten"):
        make_key(tmp_path / "line3")
