"""No answer comes from files that were not looked at, whoever asks first."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edge_runtime.errors import EngineError
from edge_runtime.opening import sound
from edge_runtime.opening.sound import Check, SoundRunner
from edge_runtime.ort.runner import AtOnce

FEEDS = {"x": np.zeros(1, np.float32)}


class Saying(AtOnce):
    """Answers with a number, when it may."""

    def __init__(self, number, may=None):
        self.providers = ("CPUExecutionProvider",)
        self.number, self.may, self.closed, self.runs = number, may, False, 0

    def run(self, _feeds):
        self.runs += 1
        if self.may is not None:
            self.may.wait()
        return {"y": np.asarray(self.number)}

    def close(self):
        self.closed = True


def damaged():
    raise EngineError("damaged")


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    monkeypatch.setattr(sound, "_AT_ONCE", 0)


def test_sound_files_are_waited_for_once():
    looked = []
    runner = SoundRunner(Saying(1), Check(lambda: looked.append(1), 5))
    assert [int(runner.run(FEEDS)["y"]) for _ in range(3)] == [1, 1, 1]
    assert looked == [1]
    runner.close()


def test_damaged_files_without_another_are_an_error_at_every_run():
    first = Saying(1)
    runner = SoundRunner(first, Check(damaged, 5))
    for _ in range(2):
        with pytest.raises(EngineError, match="damaged"):
            runner.run(FEEDS)
    runner.close()
    assert first.closed


def test_no_lane_answers_from_damaged_files():
    may = threading.Event()
    first, second = Saying(1, may), Saying(2)
    runner = SoundRunner(first, Check(damaged, 5), lambda: second)
    found = []
    threads = [threading.Thread(target=lambda: found.append(int(runner.run(FEEDS)["y"]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    while first.runs < 4:  # all are under way on what is damaged
        threads[0].join(0.01)
    may.set()
    for thread in threads:
        thread.join()
    assert found == [2, 2, 2, 2]
    assert first.closed
    assert not second.closed
    runner.close()
    assert second.closed


def test_closing_waits_for_a_look_that_is_under_way():
    may = threading.Event()
    runner = SoundRunner(Saying(1), Check(may.wait, 5))
    threading.Timer(0.01, may.set).start()
    runner.close()


def test_small_files_are_looked_at_at_once(monkeypatch):
    monkeypatch.setattr(sound, "_AT_ONCE", 100)
    with pytest.raises(EngineError, match="damaged"):
        Check(damaged, 5)
    assert Check(lambda: None, 5).done
