import threading

import numpy as np
import pytest
from tiny_bundle import make_bundle

from edge_runtime import open_bundle
from edge_runtime.errors import BundleError, DataError, EngineError, UsageError


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
