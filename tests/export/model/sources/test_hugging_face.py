"""A Hugging Face folder as a source. What needs optimum itself is skipped where it is not installed."""

from __future__ import annotations

import importlib
import json

import pytest
from onnx import TensorProto, helper

from edge_export.model.sources import LoadOptions, load_source
from edge_export.passes.clean import clean_graph
from edge_runtime.bundle.postprocess_spec import Classify
from edge_runtime.errors import DependencyError, ModelError, UsageError

CONFIG = {"architectures": ["ViTForImageClassification"], "model_type": "vit", "id2label": {"0": "ok", "1": "bad"}}


def folder_with(path, config=None, weights=True):
    (path / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    if weights:
        (path / "model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    return path


def test_without_optimum_the_install_line_is_given(tmp_path, monkeypatch):
    real = importlib.import_module

    def without_optimum(name, package=None):
        if name.split(".")[0] in ("torch", "transformers", "optimum"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without_optimum)
    with pytest.raises(DependencyError, match=r"pip install 'edgeline\[optimum\]'"):
        load_source(str(folder_with(tmp_path)), LoadOptions({"pixel_values": (1, 3, 32, 32)}))


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ModelError, match="expected weights"):
        load_source(str(folder_with(tmp_path, weights=False)), LoadOptions())


def test_an_architecture_that_is_no_image_task_asks_for_the_task(tmp_path):
    config = {"architectures": ["BertForQuestionAnswering"], "model_type": "bert"}
    with pytest.raises(UsageError, match="an architecture of none of them"):
        load_source(str(folder_with(tmp_path, config)), LoadOptions())


def test_a_folder_that_already_holds_onnx_is_read_as_it_is(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["pixel_values"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["b", 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder_with(tmp_path, weights=False) / "model.onnx").write_bytes(model.SerializeToString())
    source = load_source(str(tmp_path), LoadOptions())
    assert source.facts.labels == ("ok", "bad")
    assert source.facts.postprocess == Classify(output="logits")
    assert source.facts.origin["labels"] == "Hugging Face config"


@pytest.mark.filterwarnings("ignore")
def test_a_small_classifier_is_exported_by_optimum(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("optimum.exporters.onnx", reason="optimum-onnx is not installed")
    config = transformers.ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=16,
        patch_size=8,
        id2label={0: "ok", 1: "scratch", 2: "dent"},
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    source = load_source(str(tmp_path), LoadOptions())
    assert source.facts.labels == ("ok", "scratch", "dent")
    assert source.facts.preprocess is not None
    assert (source.facts.preprocess.width, source.facts.preprocess.interpolation) == (16, "pil-bilinear")
    shape = [
        d.dim_param or d.dim_value
        for d in clean_graph(source.proto, {}).model.graph.input[0].type.tensor_type.shape.dim
    ]
    assert shape == ["batch", 3, 16, 16]
