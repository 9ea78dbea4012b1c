"""A model that no device would run is refused at the start of an export, not at its end."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper
from tiny_models import convnet, save

from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime.bundle.operators import ALLOW_OPERATORS
from edge_runtime.errors import ModelError


def exported(source, target):
    flags = FactFlags(task="raw")
    return export_bundle(ExportOptions(str(source), target, flags, quantize="fp32"))


def scanned():
    """y = x, row by row."""
    row = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in ("row", "same")]
    body = helper.make_graph([helper.make_node("Identity", ["row"], ["same"])], "body", row[:1], row[1:])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 3]) for name in ("x", "y")]
    node = helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)
    graph = helper.make_graph([node], "scanned", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_an_operator_that_no_bundle_has_is_refused_by_its_name_and_what_to_do(tmp_path):
    (tmp_path / "loop.onnx").write_bytes(scanned().SerializeToString())
    with pytest.raises(ModelError, match=rf"look at operators.*'Scan'.*set {ALLOW_OPERATORS}, here and there"):
        exported(tmp_path / "loop.onnx", tmp_path / "loop.edge")
    assert not (tmp_path / "loop.edge").exists()


def test_what_networks_compute_with_passes(tmp_path):
    exported(save(convnet(), tmp_path / "net.onnx"), tmp_path / "net.edge")
    assert (tmp_path / "net.edge" / "manifest.json").is_file()
