"""edge-export --sign: the bundle is signed as it is written."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from signing_cases import key_pair
from tiny_models import convnet, save

from edge_export.cli.command import edge_export_command
from edge_runtime.bundle.bundle import bundle_sha256
from edge_runtime.bundle.keys import public_of, read_private
from edge_runtime.bundle.signature import read_signature
from edge_runtime.bundle.trust import judge
from edge_runtime.errors import UsageError

pytest.importorskip("cryptography")


def exported(tmp_path, *more):
    source, target = save(convnet((3, 4, 4)), tmp_path / "tiny.onnx"), tmp_path / "tiny.edge"
    words = [str(source), "-o", str(target), "--quantize", "fp32", "--size", "16x16", "--json", *more]
    return target, CliRunner().invoke(edge_export_command, words, catch_exceptions=False)


def test_an_export_signs_what_it_wrote(tmp_path):
    key = key_pair(tmp_path)
    target, done = exported(tmp_path, "--sign", str(key), "--sign-version", "12")
    assert done.exit_code == 0, done.output
    json.loads(done.stdout)
    public = public_of(read_private(key), "")
    trust = judge(read_signature(target), bundle_sha256(target), {public.id: public}, target)
    assert (trust.word, trust.version) == ("signed", 12)


def test_a_key_that_is_none_is_said_before_anything_is_exported(tmp_path):
    (tmp_path / "k").write_text("")
    with pytest.raises(UsageError, match="is no private key"):
        exported(tmp_path, "--sign", str(tmp_path / "k"))
    assert not (tmp_path / "tiny.edge").exists()
