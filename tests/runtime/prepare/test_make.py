"""The waiting side of preparing: what is looked for, when a child is started, and how its end is told."""

import json
import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from patience import PATIENCE
from plan_cases import SPEEDS, make_chain
from tiny_bundle import make_bundle

from edge_devices.process_memory import memory, most_beside
from edge_runtime.blocks.measured import Measured
from edge_runtime.blocks.prepared import (
    PREPARED,
    WHOLE,
    Prepared,
    PreparedWhole,
    measurements_name,
    read_json,
    write_json,
)
from edge_runtime.blocks.sums import SUMS, Sums
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import BundleError, EngineError, MemoryLimitError, ModelError, OutputError, UsageError
from edge_runtime.prepare import make, request
from edge_runtime.prepare.cache import PreparedCache
from edge_runtime.prepare.make import find_measured, forget_measured, prepare, prepare_in
from edge_runtime.prepare.request import ChildDiedError, Request, call


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = PreparedCache(tmp_path / "cache" / "edgeline" / "prepared")
    yield cache
    cache.close()


class Child:
    """Stands in for the preparing process: writes what it would write, keeps what it was asked for."""

    def __init__(self, overhead=1234):
        self.requests: list[Request] = []
        self.overhead = overhead

    def __call__(self, _module, wanted, tell, *_allowed):
        self.requests.append(wanted)
        if wanted.rehearse:
            return self.overhead
        tell("block 1 of 1", 0, 1)
        folder = Path(wanted.folder)
        write_json(Sums(1, {}), folder / SUMS)
        measurements = make_chain(0, 2, wanted.batches, whole=wanted.whole)[1]
        if wanted.whole:
            write_json(PreparedWhole(1, "whole.onnx"), folder / WHOLE)
        if wanted.blocks:
            write_json(Prepared(1, ()), folder / PREPARED)
            name = measurements_name(wanted.threads, wanted.batches[-1])
            write_json(Measured(1, measurements, SPEEDS), folder / name)
        return 0

    @property
    def made(self):
        return [wanted for wanted in self.requests if not wanted.rehearse]


@pytest.fixture
def child(monkeypatch):
    child = Child()
    monkeypatch.setattr(make, "call", child)
    return child


def test_a_bundle_is_prepared_once(cache, bundle, child):
    steps = []
    folder = prepare_in(cache, bundle, 4, 2, None, lambda *step: steps.append(step))
    assert [wanted.rehearse for wanted in child.requests] == [False, True]
    assert child.made[0].batches == (1, 2, 4)
    assert child.made[0].threads == 2
    assert steps == [("block 1 of 1", 0, 1), ("rehearsing", 1, 1)]
    assert prepare_in(cache, bundle, 4, 2, None, None) == folder
    assert prepare(bundle.path, 3, 2) == folder
    assert len(child.requests) == 2


def test_what_the_rehearsal_took_more_is_kept_with_the_measurements(cache, bundle, child):
    folder = prepare_in(cache, bundle, 1, 1, None, None)
    assert find_measured(folder, 1, 1).content.measurements.overhead_bytes == 1234


def test_a_rehearsal_that_took_less_than_planned_promises_nothing(cache, bundle, child):
    child.overhead = -5000
    folder = prepare_in(cache, bundle, 1, 1, None, None)
    assert find_measured(folder, 1, 1).content.measurements.overhead_bytes == 0


@pytest.mark.parametrize(
    ("batch", "batches"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (9, (1, 2, 4, 8, 9))]
)
def test_powers_of_two_are_measured_up_to_the_batch(cache, bundle, child, batch, batches):
    prepare_in(cache, bundle, batch, 1, None, None)
    assert child.made[0].batches == batches


def test_a_larger_batch_or_other_threads_are_measured_into_the_same_folder(cache, bundle, child):
    folders = {prepare_in(cache, bundle, batch, threads, None, None) for batch, threads in ((2, 1), (4, 1), (2, 2))}
    assert len(folders) == 1
    assert [(wanted.batches[-1], wanted.threads) for wanted in child.made] == [(2, 1), (4, 1), (2, 2)]
    (folder,) = folders
    assert find_measured(folder, 1, 3).path.name == "measured-t1-b4.json"
    assert find_measured(folder, 1, 1).path.name == "measured-t1-b2.json"
    assert find_measured(folder, 1, 5) is None
    assert find_measured(folder, 3, 1) is None


def test_a_limit_leaves_the_whole_graph_out_and_it_is_made_when_there_is_room(cache, bundle, child, monkeypatch):
    monkeypatch.setattr(make, "_WHOLE_FACTOR", 1e9)
    folder = prepare_in(cache, bundle, 1, 1, 2_000_000_000, None)
    assert not child.made[0].whole
    assert child.made[0].limit_bytes < 2_000_000_000
    monkeypatch.undo()
    monkeypatch.setattr(make, "call", child)
    assert prepare_in(cache, bundle, 1, 1, None, None) == folder
    assert child.made[1].whole
    assert find_measured(folder, 1, 1).content.measurements.whole is not None


def test_without_blocks_only_the_whole_graph_is_made(cache, bundle, child):
    folder = prepare_in(cache, bundle, 1, 1, None, None, blocks=False)
    assert (child.made[0].blocks, child.made[0].whole, len(child.requests)) == (False, True, 1)
    prepare_in(cache, bundle, 1, 1, None, None, blocks=False)
    assert len(child.requests) == 1
    assert prepare_in(cache, bundle, 1, 1, None, None) == folder
    assert child.made[1].blocks


@pytest.mark.parametrize("name", [PREPARED, WHOLE, "measured-t1-b1.json"])
@pytest.mark.parametrize("damage", ["", "{}", "[1,", None])
def test_a_damaged_or_missing_file_is_made_again_in_place(cache, bundle, child, name, damage):
    folder = prepare_in(cache, bundle, 1, 1, None, None)
    if damage is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(damage)
    assert prepare_in(cache, bundle, 1, 1, None, None) == folder
    assert len(child.made) == 2
    assert prepare_in(cache, bundle, 1, 1, None, None) == folder
    assert len(child.made) == 2


def test_nothing_is_made_of_a_bundle_that_is_damaged(cache, bundle, child, tmp_path):
    damaged = Path(shutil.copytree(bundle.path, tmp_path / "damaged.edge"))
    weights = bytearray((damaged / "weights.bin").read_bytes())
    weights[100] ^= 4
    (damaged / "weights.bin").write_bytes(weights)
    with pytest.raises(BundleError, match=r"weights\.bin is damaged"):
        prepare_in(cache, read_bundle(damaged, check_hashes=False), 1, 1, None, None)
    assert child.requests == []


def test_a_disk_without_room_for_weights_that_grow_is_an_output_error(cache, bundle, monkeypatch):
    def fail(*_args):
        raise ModelError("onnxruntime cannot optimize model.onnx")

    monkeypatch.setattr(make, "call", fail)
    free = 2 * bundle.manifest.model.weight_bytes
    for left, kind in ((free - 1, OutputError), (free, ModelError)):
        monkeypatch.setattr(make.shutil, "disk_usage", lambda _folder, left=left: SimpleNamespace(free=left))
        with pytest.raises(kind):
            prepare_in(cache, bundle, 1, 1, 1 << 40, None)


def test_preparing_that_fails_leaves_nothing_in_the_cache(cache, bundle, monkeypatch):
    def fail(*_args):
        raise MemoryLimitError("the kernel killed it")

    monkeypatch.setattr(make, "call", fail)
    with pytest.raises(MemoryLimitError):
        prepare_in(cache, bundle, 1, 1, None, None)
    assert [path for path in cache.root.iterdir() if path.is_dir()] == []


def test_a_child_that_writes_no_measurements_is_an_error_of_one_line(cache, bundle, monkeypatch):
    monkeypatch.setattr(make, "call", lambda *_args: 0)
    with pytest.raises(EngineError, match=r"measured-t1-b1\.json was not written"):
        prepare_in(cache, bundle, 1, 1, None, None)


def test_who_waits_for_another_process_is_told(cache, bundle, child):
    key = make.prepared_key(bundle.sha256, make.import_onnxruntime())
    told, steps = threading.Event(), []

    def tell(*step):
        steps.append(step[0])
        told.set()

    other = PreparedCache(cache.root)
    with cache.making(key, lambda: None):
        thread = threading.Thread(target=prepare_in, args=(other, bundle, 1, 1, None, tell), daemon=True)
        thread.start()
        assert told.wait(PATIENCE)
    thread.join(PATIENCE)
    other.close()
    assert steps[0] == "another process prepares this bundle"
    assert len(child.made) == 1


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_of_nothing_is_refused(bundle, batch):
    with pytest.raises(UsageError, match="batch must be at least 1"):
        prepare(bundle.path, batch)


def test_no_bundle_is_a_bundle_error(cache, tmp_path):
    with pytest.raises(BundleError):
        prepare(tmp_path / "none")


def test_a_limit_too_small_for_preparing_is_a_memory_limit_error_of_the_real_child(cache, bundle):
    with pytest.raises(MemoryLimitError, match=r"preparing this bundle takes .* edge-bench --prepare") as raised:
        prepare(bundle.path, 1, 1, memory_limit=memory().own + (1 << 20))
    assert "\n" not in str(raised.value)
    assert [path for path in cache.root.iterdir() if path.is_dir()] == []


def test_a_limit_below_what_the_process_takes_already_is_refused_without_a_child(cache, bundle, child):
    with pytest.raises(MemoryLimitError, match=r"a limit of 1\.0 MB cannot be met: this process takes"):
        prepare(bundle.path, 1, 1, memory_limit=1_000_000)
    assert child.requests == []


PRELUDE = "import json, os, signal, sys\nwanted = json.loads(sys.argv[1])\n"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Run a child whose program a test writes."""
    monkeypatch.syspath_prepend(str(tmp_path))
    # What a preparing process imports is nothing that these tests look at.
    wanted = Request("bundle", "folder", True, True, 1, (1,), None)

    def ask(program, tell=lambda *_step: None, **allowed):
        (tmp_path / "edgeline_child.py").write_text(PRELUDE + program)
        return call("edgeline_child", wanted, tell, **allowed)

    return ask


def test_a_child_answers_with_steps_and_a_result(asked):
    steps = []
    program = """
print("what a library prints")
print('"text"')
print('{"step": "block 1", "done": 0, "total": 2}', flush=True)
print(json.dumps({"result": wanted["threads"]}))
"""
    assert asked(program, lambda *step: steps.append(step)) == 1
    assert steps == [("block 1", 0, 2)]


def test_a_child_that_the_kernel_kills_is_a_memory_limit_error(asked):
    with pytest.raises(MemoryLimitError, match="the kernel killed the preparing process"):
        asked("os.kill(os.getpid(), signal.SIGKILL)")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise RuntimeError('a bug')", "ended with code 1: RuntimeError: a bug"),
        ("os.abort()", "ended with code -6"),
        ("pass", "ended with code 0"),
        ("sys.stderr.write('x' * 5000); sys.exit(3)", "ended with code 3: xxx"),
        ("sys.stderr.buffer.write(b'\\xff\\xfe'); sys.exit(3)", "ended with code 3"),
    ],
)
def test_a_child_that_crashes_is_an_engine_error_with_its_last_line(asked, program, words):
    with pytest.raises(EngineError, match=words) as raised:
        asked(program)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_child_that_takes_more_than_it_may_is_killed_with_what_it_took(asked):
    before = most_beside()
    with pytest.raises(MemoryLimitError, match=r"takes more than \d+\.\d MB in a process of its own, 30.0 MB are left"):
        asked("taken = bytearray(200_000_000)\nsignal.pause()", most_bytes=30_000_000)
    assert sum(most_beside()) > max(sum(before), 30_000_000)


def test_a_child_that_says_nothing_any_more_is_killed(asked):
    with pytest.raises(ChildDiedError, match="says nothing any more"):
        asked("signal.pause()", quiet_seconds=0.2)


def test_what_a_system_cannot_confine_is_said_once(asked, caplog, monkeypatch):
    program = """print('{"missing": ["no network (seccomp)"]}', flush=True)\nprint('{"result": 0}')"""
    monkeypatch.setattr(request, "_SAID", set())
    for _ in range(2):
        asked(program)
    assert len(caplog.records) == 1
    assert "cannot give the bundle's first run: no network (seccomp)" in caplog.text


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("ModelError", ModelError), ("PlanError", EngineError), ("Path", EngineError)],
)
def test_an_error_of_the_child_is_raised_as_its_class(asked, kind, expected):
    with pytest.raises(expected, match="it is so"):
        asked(f"print(json.dumps({{'error': 'it is so', 'kind': '{kind}', 'smallest': None}}))")


def test_the_smallest_limit_is_handed_on(asked):
    with pytest.raises(MemoryLimitError) as raised:
        asked("print(json.dumps({'error': 'small', 'kind': 'MemoryLimitError', 'smallest': 77}))")
    assert raised.value.smallest_bytes == 77


def test_an_interrupted_wait_leaves_no_child_behind(asked):
    pids = []

    def interrupt(pid, *_rest):
        pids.append(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked("print(json.dumps({'step': os.getpid(), 'done': 0, 'total': 1}), flush=True); signal.pause()", interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_what_a_process_says_is_one_line_each(capsys):
    request.say(step="block\n1", done=0, total=1)
    request.say_error(MemoryLimitError("small", 5))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"step": "block\n1", "done": 0, "total": 1},
        {"error": "small", "kind": "MemoryLimitError", "smallest": 5},
    ]


def test_the_files_of_a_prepared_folder_read_back_as_written(cache, bundle, child):
    folder = prepare_in(cache, bundle, 1, 1, None, None)
    assert read_json(Prepared, folder / PREPARED) == Prepared(1, ())


def test_what_was_measured_is_forgotten_and_what_was_lowered_stays(bundle, cache, monkeypatch):
    child = Child()
    monkeypatch.setattr(make, "call", child)
    folder = prepare_in(cache, bundle, 1, 2, None, None)
    before = {path.name for path in folder.iterdir()}
    forget_measured(bundle.path)
    assert before - {path.name for path in folder.iterdir()} == {measurements_name(2, 1)}
    asked = len(child.requests)
    prepare_in(cache, bundle, 1, 2, None, None)
    assert len(child.requests) == 2 * asked
    assert (folder / measurements_name(2, 1)).exists()


def test_a_bundle_that_was_not_prepared_has_nothing_to_forget(bundle, cache):
    forget_measured(bundle.path)
    assert not list(cache.root.glob("[!.]*"))
