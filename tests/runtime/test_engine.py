import threading
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_bundle import make_bundle

from edge_runtime import open_bundle
from edge_runtime.errors import BundleError, DataError, EngineError, UsageError
from edge_runtime.session import find_providers


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def engine(bundle):
    with open_bundle(bundle, device="cpu", threads=1) as engine:
        yield engine


IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_three_lines_give_a_verdict(bundle):
    with open_bundle(bundle) as engine:
        result = engine.run([IMAGE])[0]
    assert result.verdict in ("OK", "NG", "NO_READ")
    assert set(result.timing_ms) == {"preprocess", "inference", "postprocess"}


def test_no_images_give_no_results(engine):
    assert engine.run([]) == []


def test_the_answer_does_not_depend_on_the_other_images_of_the_batch(engine):
    images = [np.roll(IMAGE, i * 7, axis=1) for i in range(5)]
    alone = [engine.run([image])[0] for image in images]
    together = engine.run(images)
    for one, other in zip(alone, together, strict=True):
        assert [p.name for p in one.predictions] == [p.name for p in other.predictions]
        assert np.allclose(
            [p.confidence for p in one.predictions], [p.confidence for p in other.predictions], atol=1e-5
        )


def test_several_threads_may_use_one_engine(engine):
    expected = engine.run([IMAGE])[0].predictions
    found = []
    threads = [threading.Thread(target=lambda: found.append(engine.run([IMAGE])[0].predictions)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


def test_a_closed_engine_says_so_and_closes_again(engine):
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run([IMAGE])


@pytest.mark.parametrize(
    "bad", [IMAGE.astype(np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 3, 3), np.uint8)]
)
def test_something_that_is_no_image_is_refused(engine, bad):
    with pytest.raises(DataError, match="expected a uint8 image"):
        engine.run([bad])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "abacus"}, "not known"),
        ({"device": "cuda"}, "CUDAExecutionProvider"),
        ({"threads": 0}, "--threads"),
        ({"confidence": 2.0}, "--conf"),
        ({"classes": ["unicorn"]}, "unicorn"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(bundle, options, words):
    with pytest.raises(UsageError, match=words):
        open_bundle(bundle, **options)


def test_tensors_of_the_wrong_shape_or_name_are_refused(engine):
    with pytest.raises(DataError, match="missing"):
        engine.infer({"pictures": np.zeros((1, 3, 16, 16), np.float32)})
    with pytest.raises(DataError, match="expected float32"):
        engine.infer({"images": np.zeros((1, 3, 16, 17), np.float32)})


def test_a_folder_that_is_no_bundle_is_a_bundle_error(tmp_path):
    with pytest.raises(BundleError):
        open_bundle(tmp_path)


@pytest.mark.parametrize("images", [IMAGE, IMAGE[:, :, 0], "photo.png", b"photo", 3, iter([IMAGE]), None])
def test_what_is_no_list_of_images_is_refused_with_the_right_call(engine, images):
    with pytest.raises(DataError, match=r"engine\.run\(\[image\]\)"):
        engine.run(images)


def test_one_array_may_hold_a_batch(engine):
    assert len(engine.run(np.stack([IMAGE, IMAGE, IMAGE]))) == 3
    assert len(engine.run((IMAGE, IMAGE))) == 2


@pytest.mark.parametrize("tensors", [{"images": [1, 2]}, {"images": 3.0}, [IMAGE], IMAGE])
def test_tensors_that_are_no_arrays_by_name_are_refused(engine, tensors):
    with pytest.raises(DataError, match="expected"):
        engine.infer(tensors)


@pytest.mark.parametrize("device", ["CPU", " cpu "])
def test_the_case_of_a_device_does_not_matter(bundle, device):
    with open_bundle(bundle, device=device) as engine:
        assert engine.providers == ("CPUExecutionProvider",)


def test_a_gpu_may_be_named_as_detectors_name_it():
    runtime = SimpleNamespace(get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    cpu = "CPUExecutionProvider"
    assert find_providers(runtime, "0") == [("CUDAExecutionProvider", {"device_id": "0"}), cpu]
    assert find_providers(runtime, "CUDA:2") == [("CUDAExecutionProvider", {"device_id": "2"}), cpu]
    assert find_providers(runtime, "cuda") == ["CUDAExecutionProvider", cpu]
    for unknown in ("cuda:", "cuda:x", "-1", "cpu:0"):
        with pytest.raises(UsageError, match="cuda:1"):
            find_providers(runtime, unknown)


def test_a_gpu_that_is_not_there_is_named(bundle):
    with pytest.raises(UsageError, match="--device 0 needs CUDAExecutionProvider"):
        open_bundle(bundle, device="0")
