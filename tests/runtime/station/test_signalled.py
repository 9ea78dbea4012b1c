import threading

import numpy as np
import pytest
from patience import PATIENCE
from trigger_cases import PICTURE, HandCamera, Hearing

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources.base import FakeSource, Frame
from edge_runtime.station.triggers import signalled
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.matching import Matching, Signal
from edge_runtime.station.triggers.settings import Timing
from edge_runtime.station.triggers.signalled import SignalledTrigger, Signals


def frame(taken_s, number=0):
    return Frame("camera", number, f"f{number}", image=PICTURE, taken_s=taken_s)


def matched(timing, *steps):
    """What becomes of parts ("A", at), frames (at) and looks at the clock ("now", at)."""
    matching, found, number = Matching(timing), [], 0
    for step in steps:
        if not isinstance(step, tuple):
            found += matching.see(frame(step))
        elif step[0] == "now":
            found += matching.expire(step[1])
        else:
            matching.announce(Signal(number, *step))
            number += 1
    shown = [
        (each.signal.part, each.frame.split(" of")[0] if isinstance(each.frame, str) else each.frame.taken_s, each.last)
        for each in found
    ]
    return shown, len(matching)


OVERRUN = "the next part was due before a frame"


def test_the_next_frame_is_the_parts_and_none_from_before_it():
    assert matched(Timing(), 0.9, ("A", 1.0), 0.95, 1.05, 1.1) == ([("A", 1.05, True)], 0)


def test_a_part_is_due_when_it_has_come_to_the_camera_and_several_may_be_on_their_way():
    shown, _ = matched(Timing(delay=1.0), ("A", 1.0), ("B", 1.4), 1.9, 2.05, 2.3, 2.45)
    assert shown == [("A", 2.05, True), ("B", 2.45, True)]


def test_a_part_may_have_several_frames():
    shown, _ = matched(Timing(frames=2), ("A", 1.0), 1.1, 1.2, 1.3)
    assert shown == [("A", 1.1, False), ("A", 1.2, True)]


def test_a_frame_that_may_show_the_next_part_is_not_taken_for_the_one_before():
    assert matched(Timing(), ("A", 1.0), ("B", 1.01), 1.1)[0] == [("A", OVERRUN, True), ("B", 1.1, True)]
    shown, _ = matched(Timing(frames=3), ("A", 1.0), 1.1, ("B", 1.15), 1.2, 1.3, 1.4)
    assert shown == [
        ("A", 1.1, False), ("A", OVERRUN, False), ("A", OVERRUN, True),
        ("B", 1.2, False), ("B", 1.3, False), ("B", 1.4, True),
    ]  # fmt: skip


def test_a_part_that_no_frame_shows_in_time_is_given_up_and_the_next_is_not():
    late = "no frame was taken within 1 s"
    shown, left = matched(Timing(), ("A", 1.0), ("now", 1.9), ("B", 1.95), ("now", 2.1), 2.5)
    assert (shown, left) == ([("A", late, True), ("B", 2.5, True)], 0)
    assert matched(Timing(), ("A", 1.0), 2.5)[0] == [("A", late, True)]
    shown, _ = matched(Timing(frames=2), ("A", 1.0), 1.9, ("now", 2.5), ("now", 3.0))
    assert shown == [("A", 1.9, False), ("A", late, True)]


def run(source, timing=None, stop=lambda: False):
    """A trigger at work: what it hears, and a thread that takes its frames into the list."""
    hearing, found = Hearing(), []

    def work():
        try:
            found.extend(SignalledTrigger(timing or Timing(), Line(stop=stop), hearing).parts(source))
        except SourceError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return hearing.signals(), found, thread, hearing


def test_a_camera_is_watched_while_parts_are_announced():
    camera = HandCamera()
    signals, found, thread, hearing = run(camera, Timing(deadline=PATIENCE))
    camera.take()
    first = signals.announce("A")
    assert not first.wait(0)
    camera.take()
    assert first.wait(PATIENCE)
    second = signals.announce()
    camera.take("half of it")
    assert second.wait(PATIENCE)
    camera.end()
    thread.join(PATIENCE)
    assert hearing.closed
    assert [(each.frame_id, each.part.number, each.part.id, each.error, each.last) for each in found] == [
        (1, 0, "A", None, True), (2, 1, None, "half of it", True),
    ]  # fmt: skip
    assert signals.announce().refused


def test_a_part_without_a_frame_is_not_forgotten():
    camera = HandCamera()
    signals, found, thread, _ = run(camera, Timing(deadline=0.01))
    assert signals.announce("A").wait(PATIENCE)
    camera.end()
    thread.join(PATIENCE)
    assert [(each.part.id, "no frame" in each.error) for each in found] == [("A", True)]


def test_parts_that_wait_when_the_source_is_lost_are_no_read_and_then_it_is_said():
    camera = HandCamera()
    signals, found, thread, _ = run(camera, Timing(deadline=PATIENCE))
    announced = [signals.announce(name) for name in "AB"]
    camera.end(SourceError("gone for good"))
    thread.join(PATIENCE)
    assert [str(each) if isinstance(each, SourceError) else each.error for each in found] == [
        "the source has ended", "the source has ended", "gone for good",
    ]  # fmt: skip
    assert all(signal.wait(0) and signal.missing for signal in announced)


def test_a_stop_refuses_what_waits():
    camera, stop = HandCamera(), threading.Event()
    signals, found, thread, _ = run(camera, Timing(deadline=PATIENCE), stop.is_set)
    signal = signals.announce("A")
    stop.set()
    camera.end()
    assert signal.wait(PATIENCE)
    thread.join(PATIENCE)
    assert (found, signal.refused) == ([], "the station ends")


def test_pictures_that_nobody_takes_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(signalled, "WAITING_BYTES", 2 * PICTURE.nbytes)
    signals = Signals(Line(), Timing())
    taken = []
    for number in range(4):
        signal = signals.announce(str(number))
        taken.append(signal)
        with signals._changed:
            signals._keep(signals._matching.see(frame(signal.at)))
    assert [bool(signal.missing) for signal in taken] == [False, False, True, True]
    signals.pump(FakeSource([]))
    assert [isinstance(shown.frame, str) for shown in signals.seen()] == [False, False, True, True]


def test_of_pictures_each_part_takes_the_next_ones():
    pictures = [PICTURE, np.zeros_like(PICTURE), "unread", PICTURE, PICTURE]
    signals, found, thread, _ = run(FakeSource(pictures), Timing(frames=2))
    announced = [signals.announce(name) for name in "ABC"]
    thread.join(PATIENCE)
    assert [(each.part.id, each.error, each.last) for each in found] == [
        ("A", None, False), ("A", None, True), ("B", "unread", False), ("B", None, True),
        ("C", None, False), ("C", "the source has ended", True),
    ]  # fmt: skip
    assert all(each.taken_s >= each.part.triggered_s for each in found if each.error is None)
    assert all(signal.wait(0) for signal in announced)


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"deadline": 0.0}])
def test_a_part_without_frames_or_time_is_no_setting(wrong):
    with pytest.raises(ValueError, match="a frame at least"):
        Timing(**wrong)
