"""Steps that last, told again and again."""

import threading

from patience import PATIENCE

from edge_runtime.prepare.ticking import Ticking


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_step_that_lasts_is_told_with_its_seconds():
    told, clock = [], Clock()
    ticking = Ticking(lambda *step: told.append(step), clock=clock)
    ticking("TensorRT builds its engine", 1, 4)
    clock.now += 1.5
    ticking.tick()
    clock.now += 40
    ticking.tick()
    assert told == [
        ("TensorRT builds its engine", 1, 4),
        ("TensorRT builds its engine", 1, 4),
        ("TensorRT builds its engine, 42 s", 1, 4),
    ]


def test_the_seconds_begin_anew_with_the_next_step():
    told, clock = [], Clock()
    ticking = Ticking(lambda *step: told.append(step[0]), clock=clock)
    ticking("one", 0, 2)
    clock.now += 10
    ticking("two", 1, 2)
    clock.now += 3
    ticking.tick()
    assert told == ["one", "two", "two, 3 s"]


def test_nothing_is_told_before_the_first_step():
    told = []
    Ticking(lambda *step: told.append(step)).tick()
    assert told == []


def test_it_ticks_by_itself_until_it_is_left():
    ticked = threading.Event()
    told = []

    def tell(*step):
        told.append(step)
        if len(told) > 2:
            ticked.set()

    with Ticking(tell, every=0.001) as ticking:
        ticking("building", 0, 0)
        assert ticked.wait(PATIENCE)
    count = len(told)
    assert {step[0] for step in told} == {"building"}
    assert not ticking._thread.is_alive()
    assert len(told) == count
