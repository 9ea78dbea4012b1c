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


def onnx_in(folder, *shape, name="model.onnx"):
    """A graph that is never run, which takes pixel_values of this shape."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["pixel_values"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(model.SerializeToString())


def test_a_folder_that_already_holds_onnx_is_read_as_it_is(tmp_path):
    onnx_in(folder_with(tmp_path, weights=False), "b", 2)
    source = load_source(str(tmp_path), LoadOptions())
    assert source.facts.labels == ("ok", "bad")
    assert source.facts.postprocess == Classify(output="logits")
    assert source.facts.origin["labels"] == "Hugging Face config"
    assert not any("was taken as it is" in one for one in source.facts.notes)


@pytest.mark.parametrize("name", ["model.onnx", "onnx/model.onnx"])
def test_onnx_beside_weights_is_taken_without_torch_and_said_to_be(tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib, "import_module", lambda *names: pytest.fail("nothing is exported"))
    processor = {"do_resize": True, "size": {"height": 48, "width": 64}, "do_rescale": True, "rescale_factor": 1 / 255}
    onnx_in(folder_with(tmp_path), "b", 3, "h", "w", name=name)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    source = load_source(str(tmp_path), LoadOptions(size=(32, 32)))
    assert source.facts.labels == ("ok", "bad")
    assert (source.facts.preprocess.width, source.facts.preprocess.height) == (64, 48)
    assert any("model.onnx was taken as it is, not model.safetensors beside it" in one for one in source.facts.notes)


@pytest.mark.parametrize("asked", [LoadOptions(size=(32, 16)), LoadOptions({"pixel_values": (1, 3, 16, 32)})])
def test_weights_are_exported_where_onnx_beside_them_takes_another_size_than_is_asked_for(tmp_path, monkeypatch, asked):
    def missing(name, package=None):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    onnx_in(folder_with(tmp_path), "b", 3, 16, 16)
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(DependencyError, match="a Hugging Face folder needs torch"):
        load_source(str(tmp_path), asked)
    onnx_in(tmp_path, "b", 3, 16, 32)
    load_source(str(tmp_path), asked)


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
