"""Bundles that were damaged on the way, and bundles made to do harm: each is refused with one true sentence."""

import hashlib
import json
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import make_bundle

from edge_runtime import open_bundle
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.seal import UNSEALED, seal
from edge_runtime.errors import BundleError


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def bundle(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "b.edge")


def edit(bundle, change):
    path = bundle / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    if isinstance(data, dict):
        data["digest"] = UNSEALED
    path.write_bytes(seal(json.dumps(data).encode()))


def test_a_good_bundle_is_read_and_its_blocks_have_the_bytes_of_the_table(pristine):
    bundle = read_bundle(pristine)
    assert len(bundle.manifest.blocks) >= 3
    weights = (pristine / "weights.bin").read_bytes()
    parts = [(block, weights[block.offset : block.offset + block.size]) for block in bundle.manifest.blocks]
    assert all(hashlib.sha256(part).hexdigest() == block.sha256 for block, part in parts)
    assert sum(len(part) for _, part in parts) > 100_000


@pytest.mark.parametrize("name", ["weights.bin", "model.onnx", "block-01.onnx", "golden.npz", "manifest.json"])
def test_a_truncated_file_is_refused_by_name(bundle, name):
    path = bundle / name
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)


@settings(max_examples=40)
@given(st.sampled_from(["weights.bin", "model.onnx", "block-00.onnx", "golden.npz"]), st.data())
def test_any_flipped_bit_is_found(pristine, name, data):
    path = pristine / name
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) * 8 - 1))
    damaged = bytearray(original)
    damaged[position // 8] ^= 1 << (position % 8)
    path.write_bytes(damaged)
    try:
        with pytest.raises(BundleError, match="damaged"):
            read_bundle(pristine)
    finally:
        path.write_bytes(original)


@settings(max_examples=150)
@given(st.data())
def test_any_flipped_bit_of_the_manifest_is_found(pristine, data):
    path = pristine / "manifest.json"
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) * 8 - 1))
    damaged = bytearray(original)
    damaged[position // 8] ^= 1 << (position % 8)
    path.write_bytes(damaged)
    try:
        with pytest.raises(BundleError):
            read_bundle(pristine)
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b.onnx", "..", ".hidden", "block .onnx", ""])
def test_a_path_that_leaves_the_folder_is_refused(bundle, name):
    edit(bundle, lambda data: data["files"].update({name: {"size": 1, "sha256": "0" * 64}}))
    with pytest.raises(BundleError, match="only plain names"):
        read_bundle(bundle)


def test_a_block_file_outside_the_folder_is_refused(bundle):
    edit(bundle, lambda data: data["blocks"][0].update(file="../evil.onnx"))
    with pytest.raises(BundleError, match="only plain names"):
        read_bundle(bundle)


def test_a_link_is_refused_even_when_it_leads_to_the_same_bytes(bundle, tmp_path):
    shutil.move(bundle / "weights.bin", tmp_path / "elsewhere.bin")
    (bundle / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(BundleError, match="no links"):
        read_bundle(bundle)


def test_a_hard_link_is_taken_unless_another_user_may_write_the_file(bundle, tmp_path):
    (tmp_path / "other").hardlink_to(bundle / "weights.bin")
    read_bundle(bundle)
    (bundle / "weights.bin").chmod(0o666)
    with pytest.raises(BundleError, match=r"weights\.bin has another name elsewhere"):
        read_bundle(bundle)


def test_weights_in_the_report_which_no_hash_covers_are_refused(bundle):
    (bundle / "report.html").write_bytes(bytes(1 << 16))
    path = bundle / "block-01.onnx"
    data = path.read_bytes().replace(b"weights.bin", b"report.html")
    path.write_bytes(data)
    entry = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit(bundle, lambda manifest: manifest["files"].update({path.name: entry}))
    with pytest.raises(BundleError, match=r"lies in 'report\.html', expected 'weights\.bin'"):
        read_bundle(bundle)


def test_a_block_that_is_called_after_another_format_is_refused(bundle):
    (bundle / "block-01.onnx").rename(bundle / "block-01.ort")

    def renamed(manifest):
        manifest["blocks"][1]["file"] = "block-01.ort"
        manifest["files"]["block-01.ort"] = manifest["files"].pop("block-01.onnx")

    edit(bundle, renamed)
    with pytest.raises(BundleError, match=r"names the block 'block-01\.ort', expected block-00\.onnx"):
        read_bundle(bundle)


def test_a_graph_that_is_of_another_format_as_well_is_refused(bundle):
    path = bundle / "block-01.onnx"
    data = b"\xfa\x7f\x80\x01ORTM" + bytes(124) + path.read_bytes()  # a field that protobuf does not know, and skips
    path.write_bytes(data)
    entry = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit(bundle, lambda manifest: manifest["files"].update({path.name: entry}))
    with pytest.raises(BundleError, match="of onnxruntime's own format, or can be read as that"):
        read_bundle(bundle)


def test_a_file_that_the_manifest_does_not_list_is_refused(bundle):
    (bundle / "extra.so").write_bytes(b"\x7fELF")
    with pytest.raises(BundleError, match=r"extra\.so"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema=99), "schema 99"),
        (lambda d: d.pop("inputs"), "missing key 'inputs'"),
        (lambda d: d["blocks"][-1].update(offset=d["blocks"][-1]["offset"] + 64, size=0), "multiple of 4096"),
        (lambda d: d["blocks"][1].update(offset=d["blocks"][0]["offset"]), "claims bytes"),
        (lambda d: d["blocks"][-1].update(size=1 << 40), "claims bytes"),
        (lambda d: d["blocks"][0].update(size=-1), "claims bytes"),
        (lambda d: d["blocks"][1].update(inputs=["nobody makes this"]), "before any block makes it"),
        (lambda d: d["blocks"][-1].update(outputs=[]), "no block makes the output"),
        (lambda d: d.update(blocks=[]), "lists no blocks"),
        (lambda d: d["files"].pop("weights.bin"), "does not list weights.bin"),
        (lambda d: d["preprocess"].update(std=[0.0, 1.0, 1.0]), "must not be zero"),
        (lambda d: d["preprocess"].update(width=10**9), "1..16384"),
        (lambda d: d["thresholds"].update(confidence=7.0), "0..1"),
        (lambda d: d["postprocess"].update(task="paint"), "expected one of"),
        (lambda d: d["model"].update(name=5), "expected str"),
        (lambda d: d["inputs"][0].update(shape=[1.5]), "expected"),
        (lambda d: d["inputs"][0].update(shape=[0, 3, 16, 16]), "allowed are sizes"),
        (lambda d: d["inputs"][0].update(shape=[-1, 3, 16, 16]), "allowed are sizes"),
        (lambda d: d["inputs"][0].update(shape=[10**9, 3, 16, 16]), "allowed are sizes"),
        (lambda d: d["inputs"][0].update(shape=[1 << 24, 3, 16, 16]), "elements"),
        (lambda d: d["inputs"][0].update(dtype="object"), "type 'object'"),
        (lambda d: d["outputs"][0].update(dtype="str"), "type 'str'"),
        (lambda d: d["inputs"][0].update(shape=["batch", 3, 32, 16]), "the pre-processing makes"),
        (lambda d: d["inputs"][0].update(shape=["batch", 3]), "the pre-processing makes"),
        (lambda d: d["preprocess"].update(scale=10**400), "finite"),
        (lambda d: d["preprocess"].update(scale=1e308), "float32 cannot hold"),
        (lambda d: d["preprocess"].update(std=[1e-300, 1.0, 1.0]), "float32 cannot hold"),
        (lambda d: d["preprocess"].update(fit="crop", resize_short=10**9), "resize_short"),
        (lambda d: d.update(postprocess={"task": "detect", "max_det": -5}), "max_det must be"),
        (lambda d: d.update(postprocess={"task": "detect", "format": "grid", "strides": [0]}), "strides must be"),
        (lambda d: d.update(postprocess={"task": "detect", "format": "grid", "strides": [-8]}), "strides must be"),
        (lambda d: d["postprocess"].update(top_k=0), "top_k"),
        (lambda d: d["postprocess"].update(first_class=-1), "first_class"),
        (lambda d: d.update(postprocess={"task": "segment", "background": 300}), "background must be"),
        (lambda d: d.update(postprocess={"task": "anomaly", "min_area": -0.1}), "min_area"),
        (lambda d: d.update(postprocess={"task": "anomaly", "normalize": True, "maximum": 0.0}), "above minimum"),
        (lambda d: d["labels"].append("a\ud800"), "U\\+D800"),
        (lambda d: d["model"].update(name="\ud800"), "U\\+D800"),
        (lambda d: d["files"].update({"block\x00.onnx": {"size": 1, "sha256": ""}}), "U\\+0000"),
        (lambda d: d["files"].update({"Weights.bin": d["files"]["weights.bin"]}), "only by case"),
        (lambda d: d["files"].update({"MANIFEST.json": d["files"]["weights.bin"]}), "only by case"),
    ],
)
def test_a_manifest_that_lies_is_refused_with_the_reason(bundle, change, words):
    edit(bundle, change)
    with pytest.raises(BundleError, match=words):
        read_bundle(bundle)


@pytest.mark.parametrize("digits", [20, 4299, 4301])
def test_an_integer_of_any_length_is_refused_in_one_line(bundle, digits):
    path = bundle / "manifest.json"
    data = json.loads(path.read_text())
    data["blocks"][1]["offset"] = data["blocks"][1]["size"] = "HERE"
    data["digest"] = UNSEALED
    path.write_bytes(seal(json.dumps(data).replace('"HERE"', "9" * digits).encode()))
    with pytest.raises(BundleError, match=r"expected an integer of at most 63 bits|Exceeds the limit"):
        read_bundle(bundle)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"schema": NaN}', "[" * 100_000, '{"schema": 1}'])
def test_a_manifest_that_is_no_manifest_is_refused(bundle, text):
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError):
        read_bundle(bundle)


def test_a_manifest_of_gigabytes_is_not_read(bundle):
    os.truncate(bundle / "manifest.json", 3 << 30)  # sparse: takes no space
    with pytest.raises(BundleError, match="at most"):
        read_bundle(bundle)


@pytest.mark.parametrize("make", ["nothing", "file", "empty folder"])
def test_a_path_that_is_no_bundle_says_what_was_expected(tmp_path, make):
    path = tmp_path / "thing"
    if make == "file":
        path.write_text("x")
    elif make == "empty folder":
        path.mkdir()
    with pytest.raises(BundleError, match="bundle"):
        open_bundle(path)


@pytest.mark.parametrize("labels", [[""] * 70_000, ["x" * 2000]])
def test_labels_by_the_million_are_refused(bundle, labels):
    edit(bundle, lambda manifest: manifest.update(labels=labels))
    with pytest.raises(BundleError, match="labels of up to"):
        read_bundle(bundle)


def test_a_key_that_occurs_twice_is_refused(bundle):
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace("{", '{"schema": 1,', 1))
    with pytest.raises(BundleError, match="'schema' occurs twice"):
        read_bundle(bundle)


def test_a_path_that_is_too_long_is_a_bundle_error():
    with pytest.raises(BundleError, match="no bundle at"):
        read_bundle("x" * 5000)
    with pytest.raises(BundleError, match="no bundle at"):
        read_bundle("x\0y")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["outputs"][0].update(dtype="float64"), "model.onnx has float32"),
        (lambda d: d["outputs"][0].update(shape=["batch", 7]), "model.onnx has float32"),
        (lambda d: d["outputs"][0].update(shape=[5]), "model.onnx has float32"),
        (lambda d: d["inputs"][0].update(dtype="uint8"), "model.onnx has float32"),
        (lambda d: d["inputs"].append({**d["inputs"][0], "name": "more"}), "declares the inputs images, more"),
        (lambda d: d["outputs"][0].update(name="r0"), "declares the outputs r0"),
    ],
)
def test_inputs_and_outputs_that_are_not_the_graphs_are_refused(bundle, change, words):
    def with_every_value(data):
        change(data)
        data["blocks"][-1]["outputs"] += [spec["name"] for spec in data["outputs"]]

    edit(bundle, with_every_value)
    with pytest.raises(BundleError, match=words):
        open_bundle(bundle, device="cpu", threads=1)


def test_a_graph_that_is_exchanged_after_it_was_checked_is_not_opened(bundle):
    opened = read_bundle(bundle)
    assert opened.graph("model.onnx") == (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes((bundle / "block-00.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"model\.onnx is damaged"):
        opened.graph("model.onnx")
    (bundle / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"cannot read .*model\.onnx"):
        opened.graph("model.onnx")
