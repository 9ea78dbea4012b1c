"""The runner of plans: right answers in every form, clear failures, and an end that nothing holds up."""

import dataclasses
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from runner_cases import counting, graph_model, hand_made, lowered, plain, two_inputs
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_runtime.blocks import runner as runner_module
from edge_runtime.blocks.arena import Arena
from edge_runtime.blocks.storage import FileStorage
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import EngineError, ModelError

FORMS = ("resident", "streamed", "reloaded")
MIXED = ("streamed", "reloaded", "streamed")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    bundle = read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))
    return lowered(bundle, tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return lowered(two_inputs(tmp_path_factory.mktemp("bundle")), tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    return lowered(counting(tmp_path_factory.mktemp("bundle")), tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def run_on():
    """Make runners that are closed when the test ends, however it ends."""
    made = []

    def make(case, plan, **options):
        made.append(case.runner(plan, **options))
        return made[-1]

    yield make
    for runner in made:
        runner.close()
        runner._loader._thread.ident and runner._loader._thread.join(PATIENCE)


def whole_model(case, feeds):
    """What plain onnxruntime gives for model.onnx."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(case.bundle.file("model.onnx")), providers=["CPUExecutionProvider"])
    names = [spec.name for spec in case.bundle.manifest.outputs]
    return dict(zip(names, session.run(names, feeds), strict=True))


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        difference = float(np.abs(found[name] - array).max(initial=0.0))
        assert difference < 1e-4, f"the largest difference of {name!r} is {difference}"


@pytest.mark.parametrize(
    "forms",
    [
        *((form,) * 3 for form in FORMS),
        MIXED,
        ("reloaded", "streamed", "resident"),
        ("resident", "streamed", "streamed"),
    ],
    ids="-".join,
)
def test_every_form_gives_the_answer_of_plain_onnxruntime_run_after_run(network, run_on, forms):
    runner = run_on(network, network.plan(forms, batch=2))
    for seed in range(3):
        feeds = {"images": samples(2, seed=seed)}
        assert_same(runner.run(feeds), whole_model(network, feeds))


@settings(max_examples=15)
@given(
    st.tuples(*[st.sampled_from(FORMS)] * 3),
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(st.integers(1, 9), max_size=3),
)
def test_any_forms_batch_micro_batch_and_number_of_images_give_the_same(network, forms, batch, micro, counts):
    runner = network.runner(network.plan(forms, batch, min(micro, batch)))
    try:
        for count in [batch, *counts]:
            feeds = {"images": samples(count, seed=count)}
            assert_same(runner.run(feeds), whole_model(network, feeds))
    finally:
        runner.close()


def test_an_input_written_where_the_runner_says_is_not_copied(network, run_on, monkeypatch):
    runner = run_on(network, network.plan(MIXED, batch=4))
    for count in (4, 3):
        images = samples(count, seed=count)
        place = runner.room("images", images.shape, images.dtype)
        place[...] = images
        monkeypatch.setattr(runner_module.np, "copyto", None)
        found = runner.run({"images": place})
        monkeypatch.undo()
        assert place.ctypes.data == runner._view("images", count).ctypes.data
        assert_same(found, whole_model(network, {"images": images}))


def test_an_input_that_only_begins_where_the_arena_s_place_does_is_copied(network, run_on):
    runner = run_on(network, network.plan(MIXED))
    images = samples(1)
    place = runner.room("images", images.shape, images.dtype)
    place[...] = images
    turned = place.transpose(0, 1, 3, 2)
    expected = whole_model(network, {"images": turned.copy()})
    assert_same(runner.run({"images": turned}), expected)


@pytest.mark.parametrize("shape", [(5, 3, 16, 16), (2, 3, 16, 17), (3, 16, 16)])
def test_what_does_not_fit_the_arena_gets_room_of_its_own(network, run_on, shape):
    runner = run_on(network, network.plan(MIXED, batch=4))
    room = runner.room("images", shape, np.dtype(np.float32))
    assert room.shape == shape
    assert room.base is None
    assert runner.room("images", (4, 3, 16, 16), np.dtype(np.float64)).base is None


def test_outputs_are_views_that_hold_until_the_next_run(network, run_on):
    runner = run_on(network, network.plan(MIXED))
    first = runner.run({"images": samples(1, seed=1)})["logits"]
    runner.room("images", (1, 3, 16, 16), np.dtype(np.float32))[...] = 0  # as the next run's caller does
    assert_same({"logits": first}, whole_model(network, {"images": samples(1, seed=1)}))
    kept = first.copy()
    again = runner.run({"images": samples(1, seed=2)})["logits"]
    assert again.ctypes.data == first.ctypes.data
    assert not np.array_equal(first, kept)


def test_outputs_of_more_images_than_planned_are_arrays_of_their_own(network, run_on):
    runner = run_on(network, network.plan(MIXED, batch=2))
    images = samples(5)
    found = runner.run({"images": images})["logits"]
    kept = found.copy()
    runner.run({"images": samples(2, seed=9)})
    np.testing.assert_array_equal(found, kept)
    assert_same({"logits": found}, whole_model(network, {"images": images}))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("batch", "micro", "count"), [(1, 1, 1), (3, 2, 3), (3, 3, 7), (4, 2, 3)])
def test_several_inputs_and_a_value_that_two_blocks_read(pair, run_on, form, batch, micro, count):
    rng = np.random.default_rng(count)
    feeds = {name: rng.standard_normal((count, size)).astype(np.float32) for name, size in (("a", 48), ("b", 64))}
    runner = run_on(pair, pair.plan((form, form), batch, micro))
    assert_same(runner.run(feeds), plain(pair.bundle, feeds))


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ((2, 48), (1, 64), "one number of images, 1 or more, in all inputs, found 1, 2"),
        ((0, 48), (0, 64), "found 0"),
        ((2, 47), (2, 64), r"input 'a' has the shape \[2, 47\]"),
        ((2, 48, 1), (2, 64), r"input 'a' has the shape"),
        ((), (2, 64), r"input 'a' has the shape \[\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_in_one_line_and_the_runner_goes_on(pair, run_on, a, b, words):
    runner = run_on(pair, pair.plan(("streamed", "reloaded"), 2))
    with pytest.raises(EngineError, match=words) as raised:
        runner.run({"a": np.zeros(a, np.float32), "b": np.zeros(b, np.float32)})
    assert "\n" not in str(raised.value)
    good = {"a": np.ones((2, 48), np.float32), "b": np.ones((2, 64), np.float32)}
    assert_same(runner.run(good), plain(pair.bundle, good))


def test_another_type_is_refused(pair, run_on):
    runner = run_on(pair, pair.plan(("streamed", "reloaded")))
    with pytest.raises(EngineError, match="input 'b' is float64, the model takes float32"):
        runner.run({"a": np.zeros((1, 48), np.float32), "b": np.zeros((1, 64))})


def test_values_whose_size_depends_on_the_data_cross_blocks(counted, run_on):
    planned = {value.name: value.planned for value in counted.measurements.values}
    assert planned == {"x": True, "h": True, "where": False, "some": False}
    runner = run_on(counted, counted.plan(("streamed", "reloaded", "resident"), batch=2))
    for seed, count in ((0, 2), (1, 1), (2, 2)):
        feeds = {"x": np.random.default_rng(seed).standard_normal((count, 32)).astype(np.float32)}
        assert_same(runner.run(feeds), plain(counted.bundle, feeds))
    nothing = {"x": np.zeros((1, 32), np.float32)}
    assert runner.run(nothing)["some"].shape == (0,)


def test_outputs_that_depend_on_the_data_are_not_put_together_wrongly(counted, run_on):
    runner = run_on(counted, counted.plan(("streamed", "reloaded", "resident"), batch=1))
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 32)).astype(np.float32)}
    with pytest.raises(EngineError, match=r"'some' cannot be put together from calls of 1"):
        runner.run(feeds)
    one = {"x": feeds["x"][:1]}
    assert_same(runner.run(one), plain(counted.bundle, one))


def test_a_plan_for_single_images_joins_along_the_axis_that_the_bundle_names(tmp_path, run_on):
    bundle = read_bundle(make_bundle(tmp_path))
    (tmp_path / "prepared").mkdir()
    case = lowered(bundle, tmp_path / "prepared", batches=False)
    assert {value.name: value.axis for value in case.measurements.values}["logits"] == -1
    feeds = {"images": samples(3)}
    assert_same(run_on(case, case.plan(MIXED)).run(feeds), whole_model(case, feeds))


def test_an_output_that_is_the_same_for_any_image_is_given_once(tmp_path, run_on):
    from onnx import TensorProto, helper

    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((32, 32)).astype(np.float32), "c": np.arange(3, dtype=np.float32)}
    model = graph_model(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Identity", ["c"], ["anchors"])],
        weights,
        {"x": (TensorProto.FLOAT, ["n", 32])},
        {"y": (TensorProto.FLOAT, ["n", 32]), "anchors": (TensorProto.FLOAT, [3])},
    )
    outputs = [("y", "float32", ("n", 32)), ("anchors", "float32", (3,))]
    sample = {"x": np.ones((1, 32), np.float32)}
    bundle = hand_made(tmp_path, [model], [("x", "float32", ("n", 32))], outputs, sample)
    (tmp_path / "prepared").mkdir()
    case = lowered(bundle, tmp_path / "prepared")
    feeds = {"x": rng.standard_normal((5, 32)).astype(np.float32)}
    assert_same(run_on(case, case.plan(("streamed",), 2)).run(feeds), plain(bundle, feeds))


def test_a_model_of_a_fixed_batch_takes_that_batch_alone(tmp_path, run_on):
    bundle = counting(tmp_path, batch=3)
    (tmp_path / "prepared").mkdir()
    case = lowered(bundle, tmp_path / "prepared")
    assert {value.name: value.planned for value in case.measurements.values}["where"] is False
    runner = run_on(case, case.plan(("streamed", "streamed", "resident")))
    feeds = {"x": np.random.default_rng(5).standard_normal((3, 32)).astype(np.float32)}
    assert_same(runner.run(feeds), plain(bundle, feeds))
    for count in (0, 1, 6):
        with pytest.raises(EngineError, match="input 'x' has the shape"):
            runner.run({"x": np.zeros((count, 32), np.float32)})


class Card:
    """Storage that does what a test says at a given read (counted from 0); what is good comes from the folder."""

    def __init__(self, folder, at=None, act=lambda weights, into: None):
        self._good, self._at, self._act = FileStorage(folder), at, act
        self.reads = 0

    def read(self, weights, into):
        number, self.reads = self.reads, self.reads + 1
        if number == self._at:
            self._act(weights, into)
        self._good.read(weights, into)

    unpack = read

    def check(self, weights):
        self._good.check(weights)


def broken(weights, into):
    raise EngineError(f"cannot read {weights.file}: Input/output error")


def bewildered(weights, into):
    raise RuntimeError("a bug\nin two lines")


@pytest.mark.parametrize(
    ("act", "words"), [(broken, "Input/output error"), (bewildered, "RuntimeError: a bug in two lines")]
)
@pytest.mark.parametrize("at", range(6))
def test_a_read_that_fails_is_one_error_and_the_next_run_is_right(network, run_on, act, words, at):
    card = Card(network.folder, at, act)
    runner = run_on(network, network.plan(("streamed",) * 3), storage=card)
    feeds = {"images": samples(1)}
    failures = []
    for _ in range(5):
        try:
            assert_same(runner.run(feeds), whole_model(network, feeds))
        except EngineError as error:
            failures.append(str(error))
    assert len(failures) == 1
    assert words in failures[0]
    runner.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        runner.run(feeds)


def test_a_failure_surfaces_at_the_block_whose_load_it_is(network, run_on, monkeypatch):
    computed = []
    real = runner_module.run_bound
    monkeypatch.setattr(runner_module, "run_bound", lambda *args: (computed.append(1), real(*args)))
    runner = run_on(network, network.plan(("streamed",) * 3), storage=Card(network.folder, 1, broken))
    with pytest.raises(EngineError, match=r"block-01\.bin"):
        runner.run({"images": samples(1)})
    assert len(computed) <= 1


@pytest.fixture
def copied(network, tmp_path):
    """The network with a prepared folder of its own, to be damaged."""
    for path in network.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return dataclasses.replace(network, folder=tmp_path)


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("form", FORMS)
def test_a_flipped_byte_is_found_before_its_block_is_first_used_in_any_form(copied, run_on, form):
    damage(copied.folder / "block-01.bin")
    with pytest.raises(EngineError, match=r"block-01\.bin is damaged \(CRC-32\)") as raised:
        run_on(copied, copied.plan((form,) * 3)).run({"images": samples(1)})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_cut_off_or_gone_is_an_error_that_names_it(copied, run_on, form):
    path = copied.folder / "block-02.bin"
    path.write_bytes(path.read_bytes()[:-7000])
    with pytest.raises(EngineError, match=r"block-02\.bin"):
        run_on(copied, copied.plan((form,) * 3)).run({"images": samples(1)})
    path.unlink()
    with pytest.raises((EngineError, ModelError), match=r"block-02\.bin"):
        run_on(copied, copied.plan((form,) * 3)).run({"images": samples(1)})


def test_a_file_that_is_mended_is_used_again(copied, run_on):
    path = copied.folder / "block-01.bin"
    good = path.read_bytes()
    damage(path)
    runner = run_on(copied, copied.plan(("streamed", "reloaded", "streamed")))
    feeds = {"images": samples(1)}
    with pytest.raises(EngineError):
        runner.run(feeds)
    path.write_bytes(good)
    assert_same(runner.run(feeds), whole_model(copied, feeds))


def test_work_that_does_not_fit_the_arena_is_an_error_after_which_everything_goes_on(network, run_on):
    tight = network.plan(MIXED, batch=4, work_chunk_bytes=1 << 16, work_cap_bytes=100_000)
    runner = run_on(network, tight)
    for _ in range(2):
        with pytest.raises(EngineError, match="onnxruntime failed while running"):
            runner.run({"images": samples(4)})
    runner.close()
    assert not runner._loader._thread.is_alive()


class Gate:
    """Holds a load until it is opened, and tells when it was reached."""

    def __init__(self):
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, *_args):
        self.reached.set()
        self.open.wait(PATIENCE)


def in_thread(call):
    """Start a call in a thread; its result, or the error it raised, comes into the list."""
    found = []

    def catch():
        try:
            found.append(call())
        except EngineError as error:
            found.append(error)

    thread = threading.Thread(target=catch, daemon=True)
    thread.start()
    return thread, found


def test_stopping_while_a_load_hangs_ends_the_run_at_once(network, run_on):
    gate = Gate()
    runner = run_on(network, network.plan(("streamed",) * 3), storage=Card(network.folder, 1, gate))
    runner._loader._stop_seconds = 0.0
    thread, found = in_thread(lambda: runner.run({"images": samples(1)}))
    assert gate.reached.wait(PATIENCE)
    runner.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert "closed while it ran" in str(found[0])
    runner.close()
    runner.close()
    gate.open.set()


def test_stopping_while_a_block_computes_ends_the_run_at_the_next_block(network, run_on, monkeypatch):
    gate, computed = Gate(), []
    real = runner_module.run_bound

    def slow(*args):
        computed.append(1)
        gate()
        real(*args)

    monkeypatch.setattr(runner_module, "run_bound", slow)
    runner = run_on(network, network.plan(("resident",) * 3))
    thread, found = in_thread(lambda: runner.run({"images": samples(1)}))
    assert gate.reached.wait(PATIENCE)
    runner.stop()
    gate.open.set()
    thread.join(PATIENCE)
    assert "closed while it ran" in str(found[0])
    assert len(computed) == 1


def test_the_arena_is_locked_when_that_is_asked_for(network, run_on, monkeypatch):
    monkeypatch.setattr(Arena, "lock", lambda arena: locked.append(arena.size))
    locked = []
    plan = network.plan(MIXED)
    feeds = {"images": samples(1)}
    assert_same(run_on(network, plan, lock_memory=True).run(feeds), whole_model(network, feeds))
    assert locked == [plan.arena_bytes]
    run_on(network, plan)
    assert len(locked) == 1
