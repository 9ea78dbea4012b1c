import gc
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from patience import PATIENCE
from runner_cases import lowered
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_runtime import Engine, open_bundle
from edge_runtime.blocks import runner as runner_module
from edge_runtime.blocks.storage import FileStorage
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import BundleError, DataError, EngineError, UsageError
from edge_runtime.opening.choice import OpenedBundle
from edge_runtime.ort.session import SessionOptions, find_providers
from edge_runtime.vision.settings import Settings


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


STEPS_BACK = SessionOptions("cpu", 2, steps_back=True)


def test_only_a_number_of_threads_that_was_given_is_kept_beside_other_work(bundle):
    with open_bundle(bundle, session=STEPS_BACK) as engine:
        engine.run([IMAGE])
        assert engine.stepped.threads == 2
        assert engine.stepped.line() == ""
    with open_bundle(bundle, device="cpu", threads=2) as engine:
        assert engine.stepped is None


@pytest.mark.parametrize("end", ["", "engine.close()", "del engine; gc.collect()"])
def test_a_program_ends_while_a_thread_is_at_rest(bundle, end):
    program = f"""
import gc
import numpy as np
from edge_runtime import open_bundle
from edge_runtime.ort.session import SessionOptions
engine = open_bundle({str(bundle)!r}, session=SessionOptions("cpu", 2, steps_back=True))
image = np.zeros((20, 30, 3), np.uint8)
engine.run([image])
runner = engine._stepping
feeds = {{spec.name: np.zeros(spec.least_shape, spec.dtype) for spec in engine.manifest.inputs}}
assert runner._parking.rest_one(feeds) is not None
assert runner._parking.resting == 1
del runner
{end}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


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


@pytest.fixture(scope="module")
def case(bundle, tmp_path_factory):
    return lowered(read_bundle(bundle), tmp_path_factory.mktemp("prepared"))


class Gate:
    """Holds whoever calls it until it is opened, and tells when somebody came."""

    def __init__(self):
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self):
        self.reached.set()
        self.open.wait(PATIENCE)


class GatedStorage(FileStorage):
    """The folder's files; the load of the last block waits at a gate."""

    def __init__(self, folder, gate):
        super().__init__(folder)
        self._gate = gate

    def read(self, weights, into):
        if weights.file == "block-02.bin":
            self._gate()
        super().read(weights, into)


@pytest.fixture
def blocks(case):
    """Make engines that run block by block."""
    made = []

    def make(batch=2, forms=("streamed", "reloaded", "streamed"), storage=None, limit=None):
        plan = case.plan(forms, batch, limit_bytes=limit)
        runner = case.runner(plan, storage=storage)
        closed = []
        opened = OpenedBundle(case.bundle, runner, plan, SimpleNamespace(close=lambda: closed.append(1)))
        made.append(Engine(opened, Settings.of(case.bundle.manifest, None, None, None, None)))
        made[-1].let_go = closed
        made[-1].runner = runner
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def test_block_by_block_gives_the_results_of_the_whole_graph(engine, blocks):
    images = [np.roll(IMAGE, i * 7, axis=1) for i in range(5)]
    for count in (1, 2, 5):
        for one, other in zip(blocks().run(images[:count]), engine.run(images[:count]), strict=True):
            assert one.verdict == other.verdict
            assert [p.name for p in one.predictions] == [p.name for p in other.predictions]
            found, expected = ([p.confidence for p in result.predictions] for result in (one, other))
            assert np.allclose(found, expected, atol=1e-4)


def test_images_are_written_into_the_arena_and_not_copied_there(blocks, monkeypatch):
    engine = blocks()
    expected = engine.run([IMAGE, IMAGE])
    monkeypatch.setattr(runner_module.np, "copyto", None)
    found = engine.run([IMAGE, IMAGE])
    monkeypatch.undo()
    assert [result.predictions for result in found] == [result.predictions for result in expected]


@pytest.mark.parametrize(("limit", "expected"), [(None, [5]), (1 << 30, [2, 2, 1])])
def test_within_a_limit_no_more_images_are_prepared_at_once_than_were_planned(blocks, monkeypatch, limit, expected):
    engine, sizes = blocks(limit=limit), []
    real = engine.runner.run
    monkeypatch.setattr(engine.runner, "run", lambda feeds: (sizes.append(len(feeds["images"])), real(feeds))[1])
    assert len(engine.run([IMAGE] * 5)) == 5
    assert engine.run([]) == []
    assert sizes == expected


def test_tensors_that_were_given_out_do_not_change_with_the_next_run(blocks):
    engine = blocks()
    first = engine.infer({"images": samples(2, seed=1)})["logits"]
    kept = first.copy()
    engine.infer({"images": samples(2, seed=2)})
    np.testing.assert_array_equal(first, kept)


def test_several_threads_get_their_own_answers_block_by_block(blocks):
    engine = blocks()
    feeds = [samples(1 + seed % 3, seed=seed) for seed in range(8)]
    expected = [engine.infer({"images": images})["logits"] for images in feeds]
    found = {}

    def ask(number):
        for _ in range(5):
            found[number] = engine.infer({"images": feeds[number]})["logits"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for number in range(8):
        np.testing.assert_array_equal(found[number], expected[number])


def ask_in_thread(engine):
    """Run in another thread; what came of it is in the list when the thread ends."""
    found = []

    def ask():
        try:
            found.append(engine.infer({"images": samples(1)}))
        except EngineError as error:
            found.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread, found


def test_closing_in_the_middle_of_a_run_ends_it_with_an_error(case, blocks):
    gate = Gate()
    engine = blocks(storage=GatedStorage(case.folder, gate))
    engine.runner._loader._stop_seconds = 0.0
    thread, found = ask_in_thread(engine)
    assert gate.reached.wait(PATIENCE)
    engine.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert isinstance(found[0], EngineError)
    assert "closed" in str(found[0])
    engine.close()
    assert engine.let_go == [1]
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.infer({"images": samples(1)})
    gate.open.set()


def test_closing_from_several_threads_while_others_run_is_one_closing(case, blocks):
    gate = Gate()
    engine = blocks(storage=GatedStorage(case.folder, gate))
    engine.runner._loader._stop_seconds = 0.0
    running = [ask_in_thread(engine) for _ in range(4)]
    assert gate.reached.wait(PATIENCE)
    closing = [threading.Thread(target=engine.close, daemon=True) for _ in range(3)]
    for thread in closing:
        thread.start()
    for thread in [*closing, *(thread for thread, _ in running)]:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    gate.open.set()
    assert all("closed" in str(found[0]) for _, found in running)
    assert engine.let_go == [1]


def test_an_engine_that_nobody_holds_any_more_is_closed(case, blocks):
    plan = case.plan(("streamed",) * 3)
    runner = case.runner(plan)
    closed = threading.Event()
    opened = OpenedBundle(case.bundle, runner, plan, SimpleNamespace(close=closed.set))
    engine = Engine(opened, Settings.of(case.bundle.manifest, None, None, None, None))
    engine.infer({"images": samples(1)})
    del engine
    gc.collect()
    assert closed.is_set()
    assert not runner._loader._thread.is_alive()


def test_a_program_that_ends_without_closing_ends(case, tmp_path):
    program = """
import sys
from pathlib import Path
from edge_runtime import open_bundle
from runner_cases import lowered
from types import SimpleNamespace
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime import Engine
from edge_runtime.opening.choice import OpenedBundle
from edge_runtime.vision.settings import Settings
from tiny_models import samples
case = lowered(read_bundle(sys.argv[1]), Path(sys.argv[2]))
plan = case.plan(("streamed", "reloaded", "streamed"))
runner = case.runner(plan)
opened = OpenedBundle(case.bundle, runner, plan, SimpleNamespace(close=lambda: print("let go")))
engine = Engine(opened, Settings.of(case.bundle.manifest, None, None, None, None))
print(engine.infer({"images": samples(1)})["logits"].shape)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(case.bundle.path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=PATIENCE)
    assert done.stdout.splitlines() == ["(1, 5)", "let go"]
    assert done.stderr == ""
