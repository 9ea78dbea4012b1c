"""A model in segments: the same answer however it is cut, from several threads, and where values stay."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from provider_fakes import install
from runner_cases import plain, two_inputs
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_devices.profile import ProviderChoice
from edge_runtime.bundle.boundaries import crossings
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import EngineError, ModelError
from edge_runtime.ort.providers import segments
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.providers.segments import Segment, SegmentRunner, segments_of
from edge_runtime.ort.session import SessionOptions, SessionRunner

OPTIONS = SessionOptions("cpu", 1)
XNNPACK, CUDA, OPENVINO = (f"{name}ExecutionProvider" for name in ("Xnnpack", "CUDA", "OpenVINO"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return read_bundle(make_bundle(tmp_path_factory.mktemp("segments")))


def cut(bundle, *cuts):
    return segments_of(bundle.manifest, [(ProviderChoice(name), first, stop) for name, first, stop in cuts])


def whole(bundle, feeds):
    return SessionRunner(bundle.file("model.onnx"), OPTIONS, provider=ProviderChoice(CPU)).run(feeds)


def test_every_cut_gives_the_whole_models_answer(bundle, monkeypatch):
    fake = install(monkeypatch, Xnnpack="works")
    feeds = {"images": samples(3)}
    expected = whole(bundle, feeds)
    count = len(bundle.manifest.blocks)
    for stop in range(1, count):
        runner = SegmentRunner(bundle, cut(bundle, (CPU, 0, stop), (XNNPACK, stop, count)), OPTIONS)
        assert runner.providers == (CPU, XNNPACK)
        for _ in range(2):
            found = runner.run(feeds)
            assert list(found) == list(expected)
            assert all(np.array_equal(expected[name], found[name]) for name in expected)
        runner.close()
    assert {name for _, name, _ in fake.opened} == {XNNPACK}


def test_all_blocks_in_one_segment_are_the_models_own_file(bundle, monkeypatch):
    fake = install(monkeypatch, Xnnpack="works")
    SegmentRunner(bundle, cut(bundle, (XNNPACK, 0, len(bundle.manifest.blocks))), OPTIONS)
    assert [name for name, _, _ in fake.opened] == [str(bundle.file("model.onnx"))]


def test_several_threads_run_at_a_time(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="works")
    count = len(bundle.manifest.blocks)
    runner = SegmentRunner(bundle, cut(bundle, (CPU, 0, 1), (XNNPACK, 1, count)), OPTIONS)
    inputs = [{"images": samples(1, seed=seed)} for seed in range(16)]
    expected = [whole(bundle, feeds) for feeds in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(runner.run, inputs))
    for one, other in zip(expected, found, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_model_of_two_inputs_runs_in_segments(tmp_path):
    made = two_inputs(tmp_path)
    count = len(made.manifest.blocks)
    assert count > 1
    rng = np.random.default_rng(0)
    feeds = {
        spec.name: rng.standard_normal([dim if isinstance(dim, int) else 2 for dim in spec.shape]).astype(spec.dtype)
        for spec in made.manifest.inputs
    }
    runner = SegmentRunner(made, cut(made, (CPU, 0, 1), (CPU, 1, count)), OPTIONS)
    expected, found = plain(made, feeds), runner.run(feeds)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_a_value_that_several_segments_read_crosses_each_of_them(bundle):
    blocks = bundle.manifest.blocks
    for stop in range(1, len(blocks)):
        _, left = crossings(bundle.manifest, 0, stop)
        needed, _ = crossings(bundle.manifest, stop, len(blocks))
        assert set(needed) <= {*left, *(spec.name for spec in bundle.manifest.inputs)}


def test_a_closed_runner_says_so(bundle):
    runner = SegmentRunner(bundle, cut(bundle, (CPU, 0, 1), (CPU, 1, len(bundle.manifest.blocks))), OPTIONS)
    runner.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        runner.run({"images": samples(1)})


def test_an_input_of_a_wrong_shape_is_an_engine_error(bundle):
    runner = SegmentRunner(bundle, cut(bundle, (CPU, 0, 1), (CPU, 1, len(bundle.manifest.blocks))), OPTIONS)
    with pytest.raises(EngineError, match="onnxruntime failed while running"):
        runner.run({"images": np.zeros((1, 3, 5, 5), np.float32)})


def test_a_segment_that_its_provider_does_not_take_is_a_model_error(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="fails")
    with pytest.raises(ModelError, match="cannot do this at all"):
        SegmentRunner(bundle, cut(bundle, (XNNPACK, 0, 1)), OPTIONS)


def test_a_provider_that_onnxruntime_goes_on_without_is_a_model_error(bundle, monkeypatch, capfd):
    install(monkeypatch, Xnnpack="silent")
    with pytest.raises(ModelError, match="went on without Xnnpack"):
        SegmentRunner(bundle, cut(bundle, (XNNPACK, 0, 1)), OPTIONS)
    capfd.readouterr()


def test_values_stay_on_the_gpu_where_they_are_read_there():
    def segment(provider, inputs, outputs):
        return Segment(ProviderChoice(provider), 0, 1, inputs, outputs)

    places = segments._places(
        (
            segment(CUDA, ("x",), ("a", "b", "y")),
            segment(CPU, ("a",), ("c",)),
            segment(CUDA, ("b", "c", "y"), ("z",)),
        ),
        ("y", "z"),
    )
    assert places == {"a": ("cpu", 0), "b": ("cuda", 0), "y": ("cpu", 0), "c": ("cpu", 0), "z": ("cpu", 0)}


def test_openvino_reads_the_cpus_values_where_they_are(bundle):
    if OPENVINO not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no OpenVINO (pip install onnxruntime-openvino)")
    count = len(bundle.manifest.blocks)
    feeds = {"images": samples(2)}
    expected = whole(bundle, feeds)
    openvino = ProviderChoice(OPENVINO, {"device_type": "CPU", "num_of_threads": "1", "num_streams": "2"})
    parts = [(ProviderChoice(CPU), 0, 1), (openvino, 1, 2), (ProviderChoice(CPU), 2, count)]
    runner = SegmentRunner(bundle, segments_of(bundle.manifest, parts), OPTIONS)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(runner.run, [feeds] * 4):
            for name in expected:
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
