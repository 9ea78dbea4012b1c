"""What the report says of precision: every figure in it was measured."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import helper
from tiny_models import convnet, make, samples, save

from edge_export.cli.command import edge_export_command
from edge_export.pipeline import export_bundle
from edge_export.quant import halves
from edge_export.state import ExportOptions
from edge_runtime.errors import ModelError

WIDE = (3, 16, 32, 32)


@pytest.fixture
def data(tmp_path):
    np.savez(tmp_path / "data.npz", images=samples(4))
    return tmp_path / "data.npz"


def ruined():
    """A network that int8 cannot carry: one channel is a thousand times the others, and is taken out again."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((8, 3, 1, 1)).astype(np.float32)
    first[0] *= 3000
    last = rng.standard_normal((4, 8, 1, 1)).astype(np.float32)
    last[:, 0] = 0
    nodes = [
        helper.make_node("Conv", ["images", "w0"], ["a"], name="layers[1]/conv", kernel_shape=[1, 1]),
        helper.make_node("Conv", ["a", "w1"], ["out"], name="head,conv", kernel_shape=[1, 1]),
    ]
    return make(nodes, {"w0": first, "w1": last}, {"images": [1, 3, 16, 16]}, {"out": [1, 4, 16, 16]})


def test_a_ruined_model_is_warned_of_and_never_said_to_need_nothing(tmp_path, data):
    arguments = [str(save(ruined(), tmp_path / "m.onnx")), "-o", str(tmp_path / "m.edge"), "--calibrate", str(data)]
    arguments += ["--keep-fp16", "none"]
    text = CliRunner().invoke(edge_export_command, arguments, catch_exceptions=False).stdout
    assert "none needs more" not in text
    assert "as asked for" in text
    assert "warning: outputs far from FP32: 'out' at" in text
    report = json.loads(CliRunner().invoke(edge_export_command, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert "--keep-fp16 auto" in report["warnings"][0]


def test_a_model_that_meets_the_target_has_no_warning(tmp_path, data):
    source = save(convnet(WIDE), tmp_path / "m.onnx")
    # Layers that are too small to gain from integers would stay float on a machine that was measured.
    arguments = [str(source), "-o", str(tmp_path / "m.edge"), "--calibrate", str(data), "--target", "none"]
    result = CliRunner().invoke(edge_export_command, arguments, catch_exceptions=False)
    assert "none needs more" in result.stdout
    assert "warning" not in result.stdout


@pytest.mark.parametrize("pattern", ["layers[1]/conv", "layers[[]1]/conv", "head,conv", "layers[1]/conv,head*"])
def test_nodes_are_kept_by_whole_names_patterns_and_lists(tmp_path, data, pattern):
    source = save(ruined(), tmp_path / "m.onnx")
    manifest, _ = export_bundle(ExportOptions(str(source), tmp_path / "m.edge", calibrate=data, keep_fp16=(pattern,)))
    kept = {node.node for node in manifest.precision if "asked for by --keep-fp16" in node.reason}
    names = {"layers[1]/conv", "head,conv"}
    assert kept == (names if pattern.endswith("*") else {name for name in names if name[:4] == pattern[:4]})


def test_nodes_between_int8_nodes_carry_the_figure_of_the_whole_mix(tmp_path, data):
    source = save(convnet(WIDE), tmp_path / "m.onnx")
    manifest, draft = export_bundle(ExportOptions(str(source), tmp_path / "m.edge", calibrate=data, target="none"))
    cheap = [node for node in manifest.precision if "lies between" in node.reason]
    assert cheap
    assert {node.sqnr_db for node in cheap} == {round(draft.mix_db, 2)}
    assert all(f"{draft.mix_db:.1f} dB" in node.reason for node in cheap)


def lookup():
    """A table that is no convolution, and one layer that is quantized."""
    rng = np.random.default_rng(0)
    weights = {
        "table": rng.standard_normal((64, 64)).astype(np.float32),
        "w": rng.standard_normal((64, 32)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["rows"], ["indices"], name="cast", to=7),
        helper.make_node("Gather", ["table", "indices"], ["looked"], name="lookup"),
        helper.make_node("Add", ["x", "looked"], ["sum"], name="add"),
        helper.make_node("MatMul", ["sum", "w"], ["y"], name="matmul"),
    ]
    return make(nodes, weights, {"x": [16, 64], "rows": [16]}, {"y": [16, 32]})


def test_weights_of_other_nodes_that_become_fp16_are_listed(tmp_path):
    x = np.random.default_rng(1).standard_normal((3, 16, 64)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, rows=np.tile(np.arange(16, dtype=np.float32), (3, 1)))
    source = save(lookup(), tmp_path / "m.onnx")
    arguments = [str(source), "-o", str(tmp_path / "m.edge"), "--calibrate", str(tmp_path / "data.npz"), "--json"]
    result = CliRunner().invoke(edge_export_command, [*arguments, "--keep-fp16", "none"], catch_exceptions=False)
    report = json.loads(result.stdout)
    assert [(node["op"], node["reason"]) for node in report["kept_fp16"]] == [
        ("Gather", "stored as FP16: no int8 form")
    ]


def test_nodes_stored_as_fp32_are_not_reported_as_fp16(tmp_path):
    source = save(convnet(), tmp_path / "m.onnx")
    arguments = [str(source), "-o", str(tmp_path / "m.edge"), "--quantize", "fp32", "--json"]
    result = CliRunner().invoke(edge_export_command, arguments, catch_exceptions=False)
    assert json.loads(result.stdout)["kept_fp16"] == []


def test_nan_in_a_weight_is_blamed_on_the_weight(tmp_path, data):
    model = convnet()
    weight = next(weight for weight in model.graph.initializer if weight.name == "w1")
    values = np.frombuffer(weight.raw_data, np.float32).copy()
    values[5] = np.nan
    weight.raw_data = values.tobytes()
    with pytest.raises(ModelError, match=r"conv1.*weights .*hold NaN"):
        export_bundle(ExportOptions(str(save(model, tmp_path / "m.onnx")), tmp_path / "m.edge", calibrate=data))


def test_limits_of_storage_are_told_apart():
    assert halves.TINY_BYTES < halves.SMALL_BYTES
