"""The loader thread: order, first steps, failures, runs that are given up, and its end."""

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE

from edge_runtime.blocks.loader import Load, Loader
from edge_runtime.errors import EngineError

LOADER = "edgeline-loader"


class Watched(threading.Condition):
    """A condition that tells which thread waits for it."""

    seen: dict[str, threading.Event]

    def wait(self, timeout=None):
        self.seen.setdefault(threading.current_thread().name, threading.Event()).set()
        return super().wait(timeout)


@pytest.fixture
def start():
    """Make loaders that never outlive the test, whatever goes wrong in it."""
    loaders, gates = [], []

    def make(loads, steps=10, stop_seconds=PATIENCE, gate=None):
        watched = Watched()
        watched.seen = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading.Thread, "start", lambda thread: None)
            loader = Loader(loads, steps, stop_seconds)
        loader._changed = watched
        loaders.append(loader)
        gates.extend([gate] if gate else [])
        loader._thread.start()
        # A bug that would make the test wait for ever ends it with an error instead.
        alarm = threading.Timer(PATIENCE, loader.close)
        alarm.daemon = True
        alarm.start()
        loader.alarm = alarm
        return loader

    yield make
    for gate in gates:
        gate.set()
    for loader in loaders:
        loader.alarm.cancel()
        loader.close()
        loader._thread.join(PATIENCE)
        assert not loader._thread.is_alive()


def waits(loader, name=LOADER):
    """Wait until a thread waits inside the loader's condition."""
    assert loader._changed.seen.setdefault(name, threading.Event()).wait(PATIENCE)


def in_thread(name, action):
    """Start `action` in a thread; the list has its result or its error when the thread has ended."""
    result = []

    def work():
        try:
            result.append(action())
        except EngineError as error:
            result.append(error)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread, result


class Hung:
    """A load that hangs until its gate opens."""

    def __init__(self):
        self.begun, self.gate, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self):
        self.calls += 1
        self.begun.set()
        self.gate.wait(PATIENCE)
        self.ended.set()


def noting(log, *names):
    return [Load(name, 0, lambda name=name: log.append(name)) for name in names]


def test_loads_are_done_in_order_run_after_run(start):
    log = []
    loader = start(noting(log, 0, 2, 3))
    for _ in range(3):
        for block in (0, 2, 3):
            loader.wait_for(block)
        loader.next_run()
    for block in (0, 2, 3):
        loader.wait_for(block)
    assert log == [0, 2, 3] * 4


def test_what_is_loaded_already_is_not_loaded_again(start):
    log = []
    loader = start(noting(log, 0, 1))
    for _ in range(3):
        loader.wait_for(1)
        loader.wait_for(0)
    assert log == [0, 1]


def test_no_load_begins_before_its_step(start):
    log = []
    loader = start([Load(0, 0, lambda: log.append(0)), Load(1, 2, lambda: log.append(1))])
    loader.wait_for(0)
    waits(loader)
    loader._changed.seen[LOADER].clear()
    loader.reach(1)
    waits(loader)  # it looked, and waits again
    assert log == [0]
    loader.reach(2)
    loader.wait_for(1)
    assert log == [0, 1]


def test_the_next_run_s_loads_begin_when_it_begins(start):
    second = threading.Event()
    log = []

    def make():
        log.append(len(log))
        if len(log) == 2:
            second.set()

    loader = start([Load(0, 0, make)])
    loader.wait_for(0)
    loader.reach(9)
    assert log == [0]
    loader.next_run()
    assert second.wait(PATIENCE)


def test_a_failure_is_raised_to_the_waiter_and_the_next_run_loads_again(start):
    log = []

    def make():
        log.append("try")
        if len(log) == 1:
            raise EngineError("the card is gone")

    loader = start([Load(0, 0, make), Load(1, 0, lambda: log.append("second"))])
    for _ in range(2):
        with pytest.raises(EngineError, match=r"^the card is gone$"):
            loader.wait_for(0)
    with pytest.raises(EngineError, match="the card is gone"):
        loader.wait_for(1)
    assert log == ["try"]
    loader.next_run()
    loader.wait_for(1)
    assert log == ["try", "try", "second"]


def test_what_was_loaded_before_the_failure_can_still_be_used(start):
    def fail():
        raise EngineError("broken")

    loader = start([Load(0, 0, lambda: None), Load(1, 0, fail)])
    with pytest.raises(EngineError, match="broken"):
        loader.wait_for(1)
    loader.wait_for(0)


@pytest.mark.parametrize("error", [ZeroDivisionError("division"), MemoryError("full"), OSError(5, "I/O error")])
def test_any_other_exception_is_an_engine_error_and_leaves_the_thread_alive(start, error):
    failing = [error]

    def make():
        if failing:
            raise failing.pop()

    loader = start([Load(4, 0, make)])
    with pytest.raises(EngineError, match=f"loading block 4 failed: {type(error).__name__}") as raised:
        loader.wait_for(4)
    assert "\n" not in str(raised.value)
    loader.next_run()
    loader.wait_for(4)


def test_a_failure_that_nobody_waited_for_is_forgotten_with_its_run(start):
    failing = [EngineError("broken")]

    def make():
        if failing:
            raise failing.pop()

    loader = start([Load(0, 0, make)])
    waits(loader)  # it failed, and waits for the run to be given up
    loader.next_run()
    loader.wait_for(0)


def test_giving_a_run_up_waits_for_the_load_under_way_and_leaves_out_the_others(start):
    log = []
    slow = Hung()

    def first():
        slow()
        log.append("slow")

    loader = start([Load(0, 0, first), Load(1, 0, lambda: log.append("later"))], gate=slow.gate)
    assert slow.begun.wait(PATIENCE)

    def give_up():
        loader.next_run()
        log.append("given up")

    thread, _ = in_thread("runner", give_up)
    waits(loader, "runner")
    assert log == []
    slow.gate.set()
    thread.join(PATIENCE)
    loader.wait_for(1)
    assert log.index("slow") < log.index("given up")
    assert [name for name in log if name != "given up"] == ["slow", "slow", "later"]


def test_closing_while_a_runner_waits_is_an_engine_error(start):
    slow = Hung()
    loader = start([Load(0, 0, slow)], stop_seconds=0.0, gate=slow.gate)
    thread, result = in_thread("runner", lambda: loader.wait_for(0))
    waits(loader, "runner")
    loader.close()
    thread.join(PATIENCE)
    assert [str(error) for error in result] == ["the engine was closed while it ran"]
    assert not slow.ended.is_set()


def test_closing_while_a_run_is_given_up_lets_it_go(start):
    slow = Hung()
    loader = start([Load(0, 0, slow)], stop_seconds=0.0, gate=slow.gate)
    assert slow.begun.wait(PATIENCE)
    thread, result = in_thread("runner", loader.next_run)
    waits(loader, "runner")
    loader.close()
    thread.join(PATIENCE)
    assert result == [None]


def test_closing_does_not_wait_for_ever_for_a_load_that_hangs(start):
    slow = Hung()
    loader = start([Load(0, 0, slow), Load(1, 0, lambda: None)], stop_seconds=0.0, gate=slow.gate)
    assert slow.begun.wait(PATIENCE)
    loader.close()
    assert not slow.ended.is_set()
    loader.close()


def test_closing_waits_for_a_load_that_ends(start):
    slow = Hung()
    loader = start([Load(0, 0, slow)])
    assert slow.begun.wait(PATIENCE)
    slow.gate.set()
    loader.close()
    assert slow.ended.is_set()
    assert not loader._thread.is_alive()


def test_nothing_is_loaded_after_closing(start):
    log = []
    loader = start([Load(0, 1, lambda: log.append(0))])
    loader.close()
    loader.reach(5)
    loader.next_run()
    loader.reach(5)
    with pytest.raises(EngineError, match="closed while it ran"):
        loader.wait_for(0)
    assert log == []


def test_without_loads_there_is_no_thread_and_nothing_to_wait_for():
    loader = Loader([], 3)
    for step in range(3):
        loader.reach(step)
    loader.next_run()
    loader.close()
    assert not loader._thread.is_alive()


def test_the_thread_does_not_keep_a_program_from_ending():
    assert Loader([], 3)._thread.daemon


class Model:
    """What loads may do, checked from inside them."""

    def __init__(self, firsts, steps):
        self.loads = [Load(block, first, lambda i=i: self.load(i)) for i, (block, first) in enumerate(firsts)]
        self.steps = steps
        self.announced = 0
        self.failing = set()
        self.log, self.broken = [], []
        self.busy = False

    def load(self, index):
        if self.busy:
            self.broken.append(f"load {index} began beside another one")
        self.busy = True
        # The runner announces before it reaches a step, and a new run after it began: never too late.
        if self.announced < self.loads[index].first:
            self.broken.append(f"load {index} began at step {self.announced}")
        self.log.append(index)
        failing = index in self.failing
        self.busy = False
        if failing:
            raise EngineError(f"load {index} is broken")


@st.composite
def histories(draw):
    """A plan (each load's first step is at most its block's own) and runs: where they stop, and what fails in them."""
    blocks = draw(st.integers(1, 6))
    loaded = sorted(draw(st.sets(st.integers(0, blocks - 1), min_size=1)))
    firsts = [(block, draw(st.integers(0, block + 1))) for block in loaded]
    run = st.tuples(st.integers(0, blocks), st.sets(st.integers(0, len(loaded) - 1), max_size=2))
    return blocks, firsts, draw(st.lists(run, max_size=6))


@given(histories())
def test_any_history_of_runs_gets_every_load_once_in_order_and_in_time(history):
    blocks, firsts, runs = history
    model = Model(firsts, blocks + 2)
    indices = {block: i for i, (block, _) in enumerate(firsts)}
    used = [0] * len(firsts)
    failing = runs[0][1] if runs else set()
    model.failing = failing
    loader = Loader(model.loads, blocks + 2)
    alarm = threading.Timer(PATIENCE, loader.close)
    alarm.daemon = True
    alarm.start()
    try:
        for number, (stop, _) in enumerate(runs):
            for block in range(stop):
                model.announced = block + 1
                loader.reach(block + 1)
                if block not in indices:
                    continue
                fails = [index for index in sorted(failing) if index <= indices[block]]
                if fails:
                    with pytest.raises(EngineError, match=f"load {fails[0]} is broken"):
                        loader.wait_for(block)
                    break
                loader.wait_for(block)
                used[indices[block]] += 1
                assert model.log.count(indices[block]) >= used[indices[block]]
            failing = runs[number + 1][1] if number + 1 < len(runs) else set()
            model.failing = failing
            loader.next_run()
            model.announced = 0
    finally:
        loader.close()
        alarm.cancel()
    assert model.broken == []
    restarts = sum(after <= before for before, after in itertools.pairwise(model.log))
    assert restarts <= len(runs)
    assert all(after in (before + 1, 0) for before, after in itertools.pairwise(model.log))
    assert not loader._thread.is_alive()
