import dataclasses

import numpy as np

from edge_runtime.inspect.sources.base import FakeSource, Frame
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.every import EveryTrigger
from edge_runtime.station.triggers.open import TRIGGERS, triggered
from edge_runtime.station.triggers.settings import Every, TriggerEntry

PICTURE = np.zeros((4, 4, 3), np.uint8)


def test_every_kind_that_a_recipe_may_name_has_its_row():
    assert set(TRIGGERS) == {field.name for field in dataclasses.fields(TriggerEntry)}


def test_without_a_trigger_a_source_is_what_it_was():
    source = FakeSource([PICTURE])
    assert triggered(source, None, Line()) is source


def test_a_film_has_a_part_each_period_of_its_own_time():
    source = FakeSource([PICTURE] * 10, kind="video", fps=10.0)
    found = list(EveryTrigger(Every(0.3)).parts(source))
    assert [frame.frame_id for frame in found] == [0, 3, 6, 9]
    assert [frame.part.number for frame in found] == [0, 1, 2, 3]
    assert all(frame.last for frame in found)


def test_a_part_may_have_several_frames_in_a_row():
    source = FakeSource([PICTURE] * 9, kind="video", fps=10.0)
    found = list(triggered(source, TriggerEntry(every=Every(0.4, frames=2)), Line()))
    assert [(frame.frame_id, frame.part.number, frame.last) for frame in found] == [
        (0, 0, False), (1, 0, True), (4, 1, False), (5, 1, True), (8, 2, False),
    ]  # fmt: skip


def test_each_picture_of_a_folder_is_a_part():
    found = list(EveryTrigger(Every(60.0)).parts(FakeSource([PICTURE, "half of it"])))
    assert [(frame.part.number, frame.error) for frame in found] == [(0, None), (1, "half of it")]


def test_a_camera_keeps_the_rhythm_and_after_a_gap_begins_it_anew():
    class Camera(FakeSource):
        def __iter__(self):
            for number, taken in enumerate([0.0, 0.4, 1.1, 1.9, 2.05, 9.0, 9.5, 10.1]):
                yield Frame("camera", number, "f", image=PICTURE, taken_s=taken)

    found = list(EveryTrigger(Every(1.0)).parts(Camera([], kind="live")))
    assert [frame.taken_s for frame in found] == [0.0, 1.1, 2.05, 9.0, 10.1]
    assert [frame.part.triggered_s for frame in found] == [frame.taken_s for frame in found]
