"""Names in a graph that are no text."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from edge_devices.profile import ProviderChoice
from edge_runtime.errors import ModelError
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.session import SessionOptions, SessionRunner


@pytest.mark.parametrize("name", [b"batch", b"given"])
def test_a_name_that_is_no_text_is_one_line(tmp_path, name):
    ends = [helper.make_tensor_value_info(one, TensorProto.FLOAT, ["batch", 3]) for one in ("given", "made")]
    graph = helper.make_graph([helper.make_node("Relu", ["given"], ["made"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString().replace(name, b"\x8b" * 5))
    with pytest.raises(ModelError):
        SessionRunner(tmp_path / "m.onnx", SessionOptions("cpu", 1), provider=ProviderChoice(CPU))
