"""Which operators a bundle may have."""

from __future__ import annotations

import onnx
import pytest
from hostile_bundles import hurting
from onnx import helper
from places import SAMPLE
from tiny_bundle import make_bundle

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.calls import MOST_FUNCTIONS, check_calls
from edge_runtime.bundle.operators import ALLOW_OPERATORS, check_operators
from edge_runtime.errors import BundleError

# Of standard ONNX, what no bundle may have: whatever is new in onnx is put into one list or the other.
LEFT_OUT = {
    *("Loop", "Scan", "SequenceMap"),
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    *("ImageDecoder", "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.mark.parametrize("name", sorted({s.name for s in onnx.defs.get_all_schemas() if s.domain == ""}))
def test_all_of_standard_onnx_is_allowed_or_left_out(name):
    if name in LEFT_OUT:
        with pytest.raises(ValueError, match=f"'{name}'"):
            check_operators([(b"", name.encode())])
    else:
        check_operators([(b"", name.encode())])


def test_what_onnxruntimes_optimizer_writes_of_a_bundle_is_allowed(bundle, tmp_path):
    import onnxruntime

    for model in (bundle / "model.onnx", SAMPLE / "model.onnx"):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "whole.onnx")
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        check_operators(check_calls((tmp_path / "whole.onnx").read_bytes()))


@pytest.mark.parametrize(
    ("domain", "name"), [(b"", b"Loop"), (b"own", b"Relu"), (b"com.microsoft", b"Loop"), (b"", b"\xff\x1b[2J")]
)
def test_what_nobody_lists_is_refused_and_can_be_allowed_by_name(domain, name, monkeypatch):
    with pytest.raises(ValueError, match="operators that no bundle may have") as raised:
        check_operators([(b"", b"Relu"), (domain, name)])
    assert "\x1b" not in str(raised.value)
    shown = name.decode("utf-8", "backslashreplace")
    check_operators([(domain, name)], f"Scan, {shown}")
    monkeypatch.setenv(ALLOW_OPERATORS, f"Scan,{domain.decode() + '::' * bool(domain)}{shown}")
    check_operators([(domain, name)])


def test_a_bundle_with_a_loop_is_refused_until_it_is_allowed(bundle, tmp_path, monkeypatch):
    changed = hurting(bundle, tmp_path / "changed.edge", "looped")
    with pytest.raises(BundleError, match=r"model\.onnx: it has operators .*'Loop'.*--allow-operators"):
        read_bundle(changed)
    monkeypatch.setenv(ALLOW_OPERATORS, "Loop")
    read_bundle(changed)


def test_a_function_of_the_graphs_own_is_what_is_in_it():
    called = helper.make_node("mine", ["x"], ["y"], domain="own")
    graph = helper.make_graph([called], "g", [], [])
    for inner, allowed in (("Relu", True), ("Loop", False)):
        body = helper.make_function(
            "own", "mine", ["x"], ["y"], [helper.make_node(inner, ["x"], ["y"])], [helper.make_opsetid("", 17)]
        )
        found = check_calls(helper.make_model(graph, functions=[body]).SerializeToString())
        assert found == {(b"", inner.encode())}
        if not allowed:
            with pytest.raises(ValueError, match="Loop"):
                check_operators(found)


def test_more_functions_than_any_exporter_writes_are_refused():
    functions = [onnx.FunctionProto(name=f"f{n}", domain="own") for n in range(MOST_FUNCTIONS + 1)]
    model = onnx.ModelProto(graph=onnx.GraphProto(), functions=functions)
    with pytest.raises(ValueError, match="more than 4096 functions"):
        check_calls(model.SerializeToString())


def test_graphs_nested_deeper_than_any_network_s_are_refused():
    graph = onnx.GraphProto(node=[onnx.NodeProto(op_type="Relu")])
    for _ in range(30):
        graph = onnx.GraphProto(node=[onnx.NodeProto(op_type="If", attribute=[helper.make_attribute("a", graph)])])
    with pytest.raises(ValueError, match="nested deeper than 24"):
        check_calls(onnx.ModelProto(graph=graph).SerializeToString())
