"""Settings as they really run: sessions and threads of onnxruntime."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import make_bundle

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import DataError, EngineError, MemoryLimitError, ModelError
from edge_runtime.tune import rig as rig_module
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.contest import PLAIN
from edge_runtime.tune.reading import largest_file, read_while
from edge_runtime.tune.rig import OrtRig
from edge_runtime.tune.subject import make_subject

CPU = "CPUExecutionProvider"
CORE = min(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture
def rig(bundle):
    found = OrtRig(make_subject(bundle, None), lambda: False)
    yield found
    found.close()


def test_the_default_is_what_onnxruntime_itself_does(rig):
    assert rig.default.lanes == rig.default.batch == 1
    assert rig.default.spinning == (rig.default.threads > 1)
    assert rig.default.provider == CPU


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_turn_is_at_least_one_batch_of_every_lane(rig, threads, lanes, batch):
    turn = rig(Choice(threads, lanes, batch, False, ()), 0.0)
    assert len(turn.ms) == lanes
    assert turn.images_per_s > 0


def test_plain_onnxruntime_has_turns_too(rig):
    assert len(rig(PLAIN, 0.0).ms) == 1


def test_lanes_of_one_thread_share_a_session_others_have_their_own(rig):
    rig(Choice(1, 3, 1, False, ()), 0.0)
    assert len(rig._sessions) == 1
    rig(Choice(2, 2, 1, False, ()), 0.0)
    assert len(rig._sessions) == 3
    rig.keep([Choice(1, 1, 1, False, ())])
    assert len(rig._sessions) == 1


def test_a_session_s_threads_stay_where_its_maker_stays(rig):
    """What affinity rests on: on Linux a thread inherits it from the one that starts it."""
    tasks, allowed = Path("/proc/self/task"), os.sched_getaffinity(0)
    before = set(tasks.iterdir())
    choice = Choice(2, 1, 1, False, (CORE,))
    rig._session(rig._key(choice, 0), choice, 0)
    started = set(tasks.iterdir()) - before
    assert started
    assert all(os.sched_getaffinity(int(task.name)) == {CORE} for task in started)
    assert os.sched_getaffinity(0) == allowed


def test_a_stop_ends_a_turn_after_its_batch(bundle):
    rig = OrtRig(make_subject(bundle, None), lambda: True)
    assert len(rig(Choice(1, 2, 1, False, ()), 60.0).ms) == 2
    rig.close()


def test_a_lane_that_fails_ends_the_others(rig, monkeypatch):
    rig(Choice(1, 2, 1, False, ()), 0.0)
    (session,) = rig._sessions.values()
    calls = []

    def run(feeds):
        calls.append(threading.get_ident())
        if len(calls) == 3:
            raise EngineError("no more")
        return {}

    monkeypatch.setattr(session, "run", run)
    with pytest.raises(EngineError, match="no more"):
        rig(Choice(1, 2, 1, False, ()), 60.0)


def test_sessions_that_would_not_fit_are_not_opened(rig, monkeypatch):
    monkeypatch.setattr(rig_module, "available_memory", lambda: 1 << 20)
    with pytest.raises(MemoryLimitError, match="another session may take"):
        rig(Choice(1, 1, 1, False, ()), 0.0)


def test_idle_sessions_make_room_for_the_next(rig, monkeypatch):
    rig(Choice(1, 1, 1, False, ()), 0.0)
    rig(Choice(2, 1, 1, False, ()), 0.0)
    # As on a board that has room for one of them.
    monkeypatch.setattr(rig_module, "available_memory", lambda: (1 << 40) >> (30 * bool(rig._sessions)))
    rig(Choice(2, 1, 1, True, ()), 0.0)
    assert [key[2] for key in rig._sessions] == [True]
    rig(Choice(1, 1, 1, False, ()), 0.0)
    assert list(rig._sessions) == [(1, CPU)]


def test_a_prepared_graph_that_is_damaged_gives_way_to_the_bundle_s_own(bundle, tmp_path):
    damaged = tmp_path / "whole.onnx"
    damaged.write_bytes(b"no graph")
    rig = OrtRig(make_subject(bundle, damaged), lambda: False)
    assert rig(Choice(1, 1, 1, False, ()), 0.0).ms
    rig.close()


def test_a_model_that_cannot_be_loaded_is_an_error(bundle, tmp_path):
    subject = make_subject(bundle, None)
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot load"):
        OrtRig(type(subject)(broken, None, (), None, subject.samples, 1, True, 1), lambda: False)


def test_a_batch_is_made_of_the_golden_samples_in_turn(rig, bundle):
    subject = make_subject(bundle, None)
    name = bundle.manifest.inputs[0].name
    feeds = rig._inputs(4)[name]
    assert feeds.shape[0] == 4
    count = len(subject.samples)
    assert all(np.array_equal(feeds[k], subject.samples[k % count][name][0]) for k in range(4))


def test_a_fixed_batch_stays_as_it_is(bundle):
    subject = make_subject(bundle, None)
    fixed = type(subject)(subject.model, None, (), None, subject.samples, 1, False, 1)
    rig = OrtRig(fixed, lambda: False)
    with pytest.raises(DataError, match="fixed at 1"):
        rig(Choice(1, 1, 2, False, ()), 0.0)
    rig.close()


def test_storage_is_read_while_something_computes(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(8 << 20))
    ran = []

    def compute(done):
        ran.append(1)
        while not done():
            pass

    assert read_while(path, compute) > 0
    assert ran


def test_an_error_while_computing_ends_the_reading(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(8 << 20))

    def compute(done):
        raise EngineError("no more")

    with pytest.raises(EngineError, match="no more"):
        read_while(path, compute)


def test_small_files_say_nothing_of_the_storage(bundle):
    assert largest_file(bundle) is None
