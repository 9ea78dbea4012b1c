"""The `edge-sign` command, and what others say of what it signed."""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import pytest
from signing_cases import copied, key_pair, signed, trust_key

from edge_runtime.bundle import trusted
from edge_runtime.bundle.signature import SIGNATURE
from edge_runtime.bundle.trusted import user_store
from edge_runtime.cli.console import run_command
from edge_runtime.cli.run import edge_run
from edge_runtime.cli.sign import edge_sign

pytest.importorskip("cryptography")


@pytest.fixture(autouse=True)
def device(tmp_path, monkeypatch):
    monkeypatch.setattr(trusted, "SYSTEM_STORE", tmp_path / "etc" / "trusted.d")
    for name in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))


@pytest.fixture
def picture(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((16, 16, 3), np.uint8))
    return tmp_path / "a.png"


def called(command, *words):
    with pytest.raises(SystemExit) as ended:
        run_command(command, "edge", [str(word) for word in words])
    return ended.value.code


def test_a_key_signs_a_bundle_that_a_device_then_confirms(tmp_path, capsys):
    bundle, key = copied(tmp_path), tmp_path / "line3"
    assert called(edge_sign, "keygen", key) == 0
    assert called(edge_sign, "sign", bundle, "--key", key, "--version", "5", "--signer", "Ada") == 0
    assert "version 5, key" in capsys.readouterr().out
    assert called(edge_sign, "verify", bundle) == 16
    assert "not trusted here" in capsys.readouterr().err
    assert called(edge_run, bundle, "--verify") == 0
    assert capsys.readouterr().out.startswith("intact: b.edge on ")
    trust_key(key, user_store())
    assert called(edge_sign, "verify", bundle) == 0
    assert "signed by Ada, key" in capsys.readouterr().out
    assert called(edge_run, bundle, "--verify", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verification"], found["trust"], len(found["key"])) == ("confirmed", "signed", 64)


def test_a_public_key_can_be_named_instead_of_the_devices(tmp_path, capsys):
    key = key_pair(tmp_path)
    bundle = signed(copied(tmp_path), key)
    assert called(edge_sign, "verify", bundle, "--key", f"{key}.pub.pem", "--json") == 0
    assert json.loads(capsys.readouterr().out)["trust"] == "signed"
    assert called(edge_sign, "verify", bundle, "--key", key) == 2
    assert "is no public key" in capsys.readouterr().err


def test_an_unsigned_bundle_is_intact_and_not_verified(tmp_path, capsys):
    assert called(edge_sign, "verify", copied(tmp_path)) == 16
    assert "is unsigned; its files are intact, and nobody trusted vouches for them" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--verify", "--explain", "--source"])
def test_edge_run_refuses_what_is_not_signed_once_a_key_is_trusted(tmp_path, capsys, flag, picture):
    bundle = copied(tmp_path)
    trust_key(key_pair(tmp_path), user_store())
    flags = (flag, picture) if flag == "--source" else (flag,)
    assert called(edge_run, bundle, *flags) == 16
    assert "unsigned, and a key is trusted on this device" in capsys.readouterr().err
    assert called(edge_run, bundle, "--allow-unsigned", *flags) == 0


def test_records_name_the_bundles_hash_and_who_vouches_for_it(tmp_path, capsys, picture):
    bundle, key = copied(tmp_path), key_pair(tmp_path)
    for word in ("unsigned", "unknown", "signed"):
        if word == "unknown":
            signed(bundle, key)
        elif word == "signed":
            trust_key(key, user_store())
        assert called(edge_run, bundle, "--source", picture, "--json") == 0
        model = json.loads(capsys.readouterr().out.splitlines()[0])["model"]
        assert model["trust"] == word
        assert len(model["sha256"]) == 64
        assert ("key" in model) is (word == "signed")


def test_without_cryptography_the_line_to_install_it_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert called(edge_sign, "keygen", tmp_path / "k") == 8
    assert "pip install 'edgeline[sign]'" in capsys.readouterr().err


def test_signing_again_replaces_the_signature_as_a_whole(tmp_path):
    bundle, key = copied(tmp_path), key_pair(tmp_path)
    for version in (1, 2):
        signed(bundle, key, version)
        assert json.loads((bundle / SIGNATURE).read_text())["statement"]["version"] == version
    assert [path.name for path in bundle.iterdir() if "signature" in path.name] == [SIGNATURE]


def test_a_version_is_the_time_where_none_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    bundle, key = copied(tmp_path), key_pair(tmp_path)
    assert called(edge_sign, "sign", bundle, "--key", key) == 0
    found = json.loads((bundle / SIGNATURE).read_text())["statement"]
    assert (found["version"], found["time_utc"]) == (20260921141320, "2026-09-21T14:13:20Z")
