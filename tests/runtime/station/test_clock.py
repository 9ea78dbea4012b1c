import gc
import time

from edge_runtime.station import clock
from edge_runtime.station.clock import Clock, boot_id, clock_synced, set_by


def test_a_clock_that_is_set_is_noticed_once_and_one_that_is_adjusted_is_not(monkeypatch):
    monkeypatch.setattr(clock, "_LOOK_S", -1.0)
    ahead, steps = [0.0], []
    found = Clock(steps.append, lambda: time.time() + ahead[0])
    for moved in (0.0, 0.1, 3600.1, 3600.1, -86400.0):
        ahead[0] = moved
        found.reading(0.0, time.monotonic())
    assert [round(step / 100) for step in steps] == [36, -900]
    told = found.to_json()
    assert (told["stepped"], set_by(told["by"])) == (2, f"back by {-steps[1]:.1f} s")


def test_a_reading_says_whose_seconds_they_are():
    found = Clock(print).reading(1.00004, 2.0)
    assert found == {"synced": clock_synced(), "boot": boot_id(), "taken_s": 1.0, "judged_s": 2.0}


def test_asking_the_clock_again_and_again_leaves_nothing_behind():
    clock_synced()
    gc.collect()
    for _ in range(20):
        clock_synced()
    assert gc.collect() < 20  # not one object for each, whatever others leave meanwhile
