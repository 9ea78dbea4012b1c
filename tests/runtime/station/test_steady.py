import gc
import weakref

import pytest

from edge_runtime.station.service import steady
from edge_runtime.station.service.steady import Steady


class Ring:
    """Something that only a collection lets go of."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def kept(monkeypatch):
    calls = []
    monkeypatch.setattr(steady, "return_freed_memory", lambda: calls.append("returned"))
    monkeypatch.setattr(steady, "keep_freed_memory", lambda: calls.append("kept"))
    return calls


@pytest.fixture
def begun(kept):
    one = Steady(limited=False)
    one.begin(0.0)
    yield one
    one.end()


def test_what_lives_at_the_beginning_is_set_apart_until_the_end(begun):
    assert gc.get_freeze_count() > 10_000
    begun.end()
    assert gc.get_freeze_count() == 0


def test_rings_are_let_go_of_every_few_seconds_and_not_more_often(begun):
    ring = weakref.ref(Ring())
    gc.disable()
    try:
        begun.look(9.0)
        assert ring() is not None
        begun.look(10.0)
        assert ring() is None
        ring = weakref.ref(Ring())
        begun.look(19.0)
        assert ring() is not None
    finally:
        gc.enable()


def test_a_recipe_that_is_gone_is_let_go_of_by_the_beginning_of_the_next(begun):
    ring = Ring()
    begun.begin(1.0)  # set apart with it
    gone = weakref.ref(ring)
    del ring
    begun.look(20.0)
    assert gone() is not None
    begun.begin(21.0)
    assert gone() is None


def test_before_the_beginning_nothing_is_collected(kept):
    ring = weakref.ref(Ring())
    gc.disable()
    try:
        Steady(limited=False).look(1e6)
        assert ring() is not None
    finally:
        gc.enable()


def test_within_a_memory_limit_what_is_freed_goes_back_at_once(kept, begun):
    assert kept == ["returned", "kept"]
    limited = Steady(limited=True)
    limited.begin(0.0)
    assert kept == ["returned", "kept", "returned"]
    limited.end()
