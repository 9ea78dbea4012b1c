"""Which models are measured, and what their precision is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from bench_fakes import fake_bundle
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.errors import ModelError, UsageError
from edge_tools.bench.precision import bundle_precision, onnx_precision
from edge_tools.bench.request import check_output, models_of


def written(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], op: str = "Identity") -> Path:
    inputs = ["x", "s"] if op == "DequantizeLinear" else ["x"]
    given = [numpy_helper.from_array(values, "w"), numpy_helper.from_array(np.float32(1), "s")]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node(op, inputs, ["y"])], "g", [value], [value], given)
    onnx.save(helper.make_model(graph), path)
    return path


def test_precision_is_what_most_weights_are_or_int8_where_integers_are_computed(tmp_path: Path) -> None:
    half, single = np.zeros(9, np.float16), np.zeros(9, np.float32)
    assert onnx_precision(written(tmp_path / "a.onnx", half)) == "fp16"
    assert onnx_precision(written(tmp_path / "b.onnx", single)) == "fp32"
    assert onnx_precision(written(tmp_path / "c.onnx", single, "DequantizeLinear")) == "int8"


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(ModelError, match="expected an ONNX model"):
        onnx_precision(tmp_path / "a.onnx")


def test_a_bundle_of_several_precisions_is_a_mix(tmp_path: Path) -> None:
    model = fake_bundle(tmp_path).manifest.model
    assert bundle_precision(replace(model, precision="int8 33, fp16 1")) == "int8 mix"
    assert bundle_precision(replace(model, precision="fp32")) == "fp32"
    assert bundle_precision(replace(model, precision="")) == ""


def test_bundles_and_models_of_several_precisions_are_rows_of_one_table(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path)
    other = written(tmp_path / "fp32.onnx", np.zeros(3, np.float32))
    against = ("onnxruntime", str(other), "onnxruntime")
    cases = models_of(tmp_path / "a.edge", bundle, [tmp_path / "b.edge"], against, lambda _path: bundle)
    assert [(case.engine, case.name) for case in cases] == [
        *(("edgeline", "a.edge"), ("edgeline", "b.edge"), ("onnxruntime", "model.onnx"), ("onnxruntime", "fp32.onnx")),
    ]
    assert cases[3].precision == "fp32"
    assert str(cases[0]) == "edgeline a.edge, no limit, batch 1"


def test_a_bundle_that_takes_other_inputs_is_refused(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path)
    spec = replace(bundle.manifest.inputs[0], name="other")
    strange = replace(bundle, manifest=replace(bundle.manifest, inputs=(spec,)))
    with pytest.raises(UsageError, match=r"takes other inputs than a\.edge"):
        models_of(tmp_path / "a.edge", bundle, [tmp_path / "b.edge"], (), lambda _path: strange)
    with pytest.raises(UsageError, match="that is the bundle itself"):
        models_of(tmp_path / "a.edge", bundle, [tmp_path / "c/../a.edge"], (), lambda _path: strange)


def test_a_report_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    check_output(tmp_path / "a.html", "--report")
    for path, words in ((tmp_path, "that is a folder"), (tmp_path / "absent/a.html", "there is no folder")):
        with pytest.raises(UsageError, match=words):
            check_output(path, "--report")
