"""The whole prepared graph within a limit: batches cut as planned, and a clear end."""

import dataclasses

import numpy as np
import pytest
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_runtime.blocks.sums import note_graph
from edge_runtime.blocks.whole import WholeRunner
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import EngineError, ModelError
from edge_runtime.plan.plan import unlimited_plan
from edge_runtime.prepare.lower import lower


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    bundle = read_bundle(make_bundle(folder))
    lower(bundle.file("model.onnx"), folder / "whole.onnx", 1)
    return bundle, folder / "whole.onnx"


def runner(graph, batch=4, **changes):
    bundle, path = graph
    figures = {"work_bytes": 1 << 20, "work_chunk_bytes": 1 << 20, "work_cap_bytes": 64 << 20, **changes}
    return WholeRunner(dataclasses.replace(unlimited_plan(batch, 0), **figures), bundle.manifest, path, 1)


def plain(graph, images):
    import onnxruntime

    path = str(graph[0].file("model.onnx"))
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": images})[0]


@pytest.mark.parametrize(("micro", "count"), [(1, 1), (2, 4), (3, 4), (4, 4), (2, 9), (4, 3)])
def test_a_batch_goes_through_in_parts_and_comes_out_whole(graph, micro, count):
    whole = runner(graph, micro_batch=micro)
    images = samples(count, seed=count)
    found, expected = whole.run({"images": images})["logits"], plain(graph, images)
    assert found.shape == expected.shape
    difference = float(np.abs(found - expected).max())
    assert difference < 1e-4, f"the largest difference is {difference}"


def test_a_closed_runner_says_so_and_closes_again(graph):
    whole = runner(graph)
    whole.close()
    whole.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        whole.run({"images": samples(1)})


def test_work_beyond_the_cap_is_one_line_and_smaller_work_goes_on(graph):
    whole = runner(graph, micro_batch=64, work_chunk_bytes=1 << 17, work_cap_bytes=3 << 17)
    with pytest.raises(EngineError, match="onnxruntime failed while running") as raised:
        whole.run({"images": samples(64)})
    assert "\n" not in str(raised.value)
    assert whole.run({"images": samples(1)})["logits"].shape == (1, 5)


def test_a_graph_that_does_not_load_is_a_model_error(graph, tmp_path):
    (tmp_path / "whole.onnx").write_bytes(b"garbage")
    with pytest.raises(EngineError, match=r"whole\.onnx is damaged"):
        runner((graph[0], tmp_path / "whole.onnx"))
    note_graph(tmp_path / "whole.onnx")
    with pytest.raises(ModelError, match=r"cannot load .*whole\.onnx"):
        runner((graph[0], tmp_path / "whole.onnx"))
