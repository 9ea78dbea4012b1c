"""Runs that do not come to an end are ended; all others never notice."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading

import numpy as np
import onnxruntime
import pytest
from hostile_bundles import endless_model
from patience import PATIENCE

from edge_devices.interpreter import python_code, python_environment
from edge_runtime.errors import EngineError
from edge_runtime.ort.process import run_named
from edge_runtime.ort.watchdog import Watchdog, end_runs


class Options:
    terminate = False


class Session:
    """Something to be run."""


@pytest.fixture
def time():
    return [100.0]


@pytest.fixture
def dog(time):
    return Watchdog(Options, first=50.0, least=10.0, clock=lambda: time[0])


def endless():
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(endless_model(), options, providers=["CPUExecutionProvider"])


def test_a_run_in_time_is_left_alone_and_remembered(dog, time):
    session = Session()
    with dog.watching(session) as options:
        time[0] += 49
        assert dog.look() == 1.0
        assert not options.terminate
    with dog.watching(session) as options:  # a hundred times as long as the longest before
        time[0] += 4899
        assert dog.look() == 1.0
        assert not options.terminate
    assert dog.look() == float("inf")


def test_a_run_that_takes_too_long_is_ended_with_what_it_may_take(dog, time):
    session = Session()
    with dog.watching(session):
        time[0] += 0.01

    def late():
        with dog.watching(session) as options:
            time[0] += 11
            dog.look()
            assert options.terminate
            raise RuntimeError("Exiting due to terminate flag being set to true.")

    with pytest.raises(EngineError, match=r"ended after 11 s \(it may take 10 s, the longest before took 0\.01 s\)"):
        late()


def test_an_error_of_the_run_itself_stays_what_it_is(dog):
    with pytest.raises(RuntimeError, match="another"), dog.watching(Session()):
        raise RuntimeError("another")
    assert dog.look() == float("inf")


def test_one_session_s_time_is_not_another_s(dog, time):
    slow, new = Session(), Session()
    with dog.watching(slow):
        time[0] += 5
    with dog.watching(new), dog.watching(slow):
        assert dog.look() == 50.0


def test_onnxruntime_ends_a_loop_without_end(monkeypatch):
    session = endless()
    dog = Watchdog(onnxruntime.RunOptions, first=0.3)
    with pytest.raises(EngineError, match="a loop that depends on them"), dog.watching(session) as options:
        session.run(None, {"x": np.zeros(1, np.int64)}, options)


def test_whoever_has_to_end_ends_what_runs():
    session, errors = endless(), []

    def run():
        try:
            run_named(session, ["y"], {"x": np.zeros(1, np.int64)})
        except EngineError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():  # the run begins at some time
        end_runs()
        thread.join(0.05)
    assert "was ended after" in errors[0]


_HELD = """
import sys
import numpy as np
from edge_runtime.inspect import last_resort
from edge_runtime.inspect.stop import Stop, stop_on_signals
from hostile_bundles import endless_model
import onnxruntime
last_resort.last_resort.__wrapped__.__defaults__ = (last_resort.Patience({patience}),)
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(endless_model(), options, providers=["CPUExecutionProvider"])
stop = Stop()
with stop_on_signals(stop):
    print("ready", flush=True)
    {run}
sys.exit(stop.exit_code)
"""
_PLAIN = "session.run(None, {'x': np.zeros(1, np.int64)})"
_WATCHED = """
    from edge_runtime.ort.process import run_named
    try:
        run_named(session, ["y"], {'x': np.zeros(1, np.int64)})
    except Exception as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("run", "again", "patience", "said"),
    [
        (_WATCHED, False, "0.2, 60.0, 0.1", "a run of the model was ended"),
        (_PLAIN, False, "0.2, 0.2, 0.1", "told to end (SIGTERM) and did not: it is given up"),
        (_PLAIN, True, "60.0, 60.0, 0.1", "given up"),
    ],
    ids=["a run that can be ended", "one that cannot", "a second signal"],
)
def test_sigterm_ends_a_process_that_native_code_holds(tmp_path, run, again, patience, said):
    program = _HELD.replace("{patience}", patience).replace("{run}", run)
    with subprocess.Popen(
        python_code(program),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=python_environment(),
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        while again and process.poll() is None:  # two at once are one
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert said in output
