"""What the sessions of a process share; onnxruntime takes the size of its pool once, so some tests have a process."""

import os
import subprocess
import sys

import numpy as np
import pytest
from tiny_models import convnet, samples, save

from edge_runtime.errors import DependencyError
from edge_runtime.ort import process as ort_process
from edge_runtime.ort.block_session import packed_session
from edge_runtime.ort.process import block_options, drop_arena, import_onnxruntime, set_threads, share_arena


@pytest.fixture
def graph(tmp_path):
    return save(convnet(), tmp_path / "graph.onnx")


def in_process(program, *args):
    """Run a program in a process of its own and return the lines it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout.split()


COUNT = """
import os, sys
import numpy as np
from edge_runtime.ort.block_session import packed_session
from edge_runtime.ort.process import own_process
from edge_runtime.ort.session import SessionRunner, SessionOptions
if sys.argv[2] == "own":
    own_process()
sessions = [packed_session(sys.argv[1], 3)]
before = len(os.listdir("/proc/self/task"))
sessions += [packed_session(sys.argv[1], 3) for _ in range(2)]
between = len(os.listdir("/proc/self/task"))
sessions.append(SessionRunner(sys.argv[1], SessionOptions("cpu", 3)))
print(between - before, len(os.listdir("/proc/self/task")) - between)
feeds = {"images": np.zeros((1, 3, 16, 16), np.float32)}
print(sessions[0].run(None, feeds)[0].shape == sessions[-1].run(feeds)["logits"].shape)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")  # noqa: PTH112
@pytest.mark.parametrize(("whose", "threads"), [("own", (0, 0)), ("theirs", (4, 2))])
def test_a_program_of_ours_has_one_pool_and_another_s_has_one_for_each_session(graph, whose, threads):
    assert in_process(COUNT, graph, whose) == [*map(str, threads), "True"]


def test_sessions_of_somebody_else_s_process_have_threads_of_their_own(monkeypatch):
    monkeypatch.setattr(ort_process, "_SHARED", ort_process._Shared())
    options = import_onnxruntime().SessionOptions()
    set_threads(options, 3)
    assert (options.use_per_session_threads, options.intra_op_num_threads) == (True, 3)


def test_a_machine_without_onnxruntime_is_told_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DependencyError, match=r"pip install 'edgeline\[cpu\]'"):
        import_onnxruntime()


@pytest.mark.parametrize(("packed", "entry"), [(True, ""), (False, "1")])
def test_blocks_share_the_arena_do_not_spin_and_pack_only_where_they_may(packed, entry):
    runtime = import_onnxruntime()
    options = block_options(runtime, 1, packed)
    assert options.get_session_config_entry("session.use_env_allocators") == "1"
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.enable_mem_pattern is False
    assert options.graph_optimization_level == runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if entry:
        assert options.get_session_config_entry("session.disable_prepacking") == entry


def test_an_arena_has_a_cap_and_the_next_one_has_its_own(graph):
    feeds = {"images": samples(6)}
    share_arena(1 << 16, 1 << 16)
    small = packed_session(graph, 1)
    share_arena(1 << 20, 64 << 20)
    large = packed_session(graph, 1)
    with pytest.raises(Exception, match="Available memory"):
        small.run(None, feeds)
    expected = large.run(None, feeds)[0]
    drop_arena()
    np.testing.assert_array_equal(packed_session(graph, 1).run(None, feeds)[0], expected)
    np.testing.assert_array_equal(large.run(None, feeds)[0], expected)
