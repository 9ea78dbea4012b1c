"""An .onnx file as a source: what is read, and what is refused with which words."""

from __future__ import annotations

import hashlib
import zipfile

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_export.model.sources import LoadOptions, load_source
from edge_export.model.sources import onnx_file as onnx_file_module
from edge_export.model.sources.onnx_file import read_onnx
from edge_runtime.errors import DataError, EdgelineError, ModelError, UsageError

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)
STORED = WEIGHT.tobytes()


def linear():
    """y = x @ w, w external-izable."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def save(model, path):
    path.write_bytes(model.SerializeToString())
    return path


def external(path, location="w.bin", data=STORED, **entries):
    """Write the model with its weight in another file."""
    model = linear()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in {"location": location, **entries}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, text
    if data is not None:
        (path.parent / "w.bin").write_bytes(data)
    return save(model, path)


def load(path):
    return load_source(str(path), LoadOptions())


def test_a_file_is_loaded_with_its_hash_and_size(tmp_path):
    path = save(linear(), tmp_path / "small net.onnx")
    source = load(path)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert source.fp32_bytes == path.stat().st_size
    assert source.origin == str(path)
    assert source.facts.name == "small net"
    assert source.facts.origin["name"] == "file name"


def test_external_data_is_pulled_inside_and_counted(tmp_path):
    path = external(tmp_path / "m.onnx", offset="0", length="48")
    source = load(path)
    (tensor,) = source.proto.graph.initializer
    assert np.array_equal(numpy_helper.to_array(tensor), WEIGHT)
    assert source.fp32_bytes == path.stat().st_size + 48
    assert source.sha256 != hashlib.sha256(path.read_bytes()).hexdigest()
    onnx.checker.check_model(source.proto)


def test_the_hash_changes_when_the_external_data_changes(tmp_path):
    path = external(tmp_path / "m.onnx")
    before = load(path).sha256
    (tmp_path / "w.bin").write_bytes(bytes(48))
    assert load(path).sha256 != before


@pytest.mark.parametrize(
    ("location", "data", "entries", "words"),
    [
        ("../w.bin", None, {}, "outside the model's folder"),
        ("/etc/passwd", None, {}, "outside the model's folder"),
        ("a/../../w.bin", None, {}, "outside the model's folder"),
        ("w.bin", None, {}, "is not there"),
        (".", None, {}, "is not there"),
        ("", None, {}, "names no file"),
        ("w.bin", b"short", {"length": "48"}, "needs bytes 0 to 48 of 'w.bin', which has 5"),
        ("w.bin", bytes(48), {"offset": "64"}, "needs bytes"),
        ("w.bin", bytes(48), {"offset": "-8", "length": "8"}, "needs bytes"),
        ("w.bin", bytes(48), {"length": "many"}, "is no number"),
        ("w.bin", bytes(48), {"length": str(1 << 40)}, "needs bytes"),
    ],
)
def test_external_data_that_cannot_be_trusted_is_refused(tmp_path, location, data, entries, words):
    (tmp_path / "inner").mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(48))
    with pytest.raises(ModelError, match=words):
        load(external(tmp_path / "inner" / "m.onnx", location, data, **entries))


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_bytes(bytes(48))
    (tmp_path / "inner" / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="outside the model's folder"):
        load(external(tmp_path / "inner" / "m.onnx", data=None))


def test_a_model_over_two_gigabytes_is_refused_before_its_data_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file_module, "PROTO_LIMIT", 200)
    with pytest.raises(ModelError, match="at most 2 GB"):
        load(external(tmp_path / "m.onnx", data=bytes(500)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty one"),
        (b"\x00" * 64, "truncated, damaged or of another format"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x18\x00\x00\x00TFL3" + bytes(40), "a TensorFlow Lite model"),
        (b"\x80\x02}q\x00.", "a Python pickle"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"<?xml version='1.0'?>", "XML"),
        (b'\x10\x00\x00\x00\x00\x00\x00\x00{"w":{}}', "a safetensors file"),
        (b"hello, I am a text file", "truncated, damaged or of another format"),
        (b"\x08\x08", "without an ONNX graph"),
    ],
)
def test_a_file_that_is_no_onnx_model_is_named_for_what_it_is(tmp_path, data, words):
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=words):
        load(path)


def test_a_pytorch_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        archive.writestr("data.pkl", b"x")
    with pytest.raises(ModelError, match=r"a zip archive, as PyTorch .*package.module:factory"):
        load(tmp_path / "best.pt")


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.99])
def test_a_truncated_model_is_refused(tmp_path, keep):
    data = linear().SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ModelError):
        load(path)


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_garbage_never_gives_a_traceback(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "garbage.onnx"
    path.write_bytes(data)
    with pytest.raises(EdgelineError):
        load(path)


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load(tmp_path / "nothing.onnx")


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json, found none"):
        load(tmp_path)


def test_our_own_metadata_is_refused_when_it_is_damaged(tmp_path):
    model = linear()
    helper.set_model_props(model, {"edgeline": "{broken"})
    with pytest.raises(DataError, match="expected JSON"):
        load(save(model, tmp_path / "m.onnx"))


def test_the_files_read_are_listed_model_first(tmp_path):
    path = external(tmp_path / "m.onnx")
    _, files = read_onnx(path)
    assert [file.name for file in files] == ["m.onnx", "w.bin"]
