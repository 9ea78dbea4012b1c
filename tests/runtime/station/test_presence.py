"""Parts that enter, rest, pass and leave, drawn on a belt: each is found once, and by a picture that shows it whole."""

import dataclasses
import threading

import cv2
import numpy as np
import pytest
from trigger_cases import HandCamera

from edge_runtime.errors import UsageError
from edge_runtime.inspect.sources.base import FakeSource
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.presence import UNSEEN, UNTOLD, PresenceTrigger
from edge_runtime.station.triggers.settings import Presence

SIDE = 256
RATE = 20.0
LEVELS = np.array([0, 230, 255], np.uint8)  # that the belt does not have


def belt(light=1.0, shift=0):
    view = np.full((SIDE, SIDE, 3), 110, np.uint8)
    view[(np.arange(SIDE) + shift) % 16 == 0] = 80
    return (view * light).clip(0, 255).astype(np.uint8)


def with_parts(*places, light=1.0, shift=0, size=96):
    """The belt with parts whose upper edges are there (pixels; may lie outside); each has a level of its own."""
    view = belt(light, shift)
    for number, top in places:
        rows = slice(max(top, 0), max(min(top + size, SIDE), 0))
        view[rows, 80:180] = 255 - (number % 3) * 20
        view[max(top + 30, 0) : max(top + 60, 0), 100:160] = 10
    return view


@pytest.fixture
def empty(tmp_path):
    for number in range(3):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), belt(1.0, 5 * number))
    return tmp_path


def found(empty, pictures, **settings):
    trigger = PresenceTrigger(Presence(empty, **settings), Line())
    return list(trigger.parts(FakeSource(pictures, kind="video", fps=RATE)))


def passing(step, parts, pitch=160, still_at=(), still=8):
    """Parts that pass from below, one behind the other; all rest when the first of `still_at` pixels are reached."""
    halts, offset, pictures = sorted(still_at), 0, []
    while offset < SIDE + parts * pitch:
        places = [(number, SIDE + number * pitch - offset) for number in range(parts)]
        pictures.append(with_parts(*places, shift=offset))
        offset += step
        if halts and offset >= halts[0]:
            offset = halts.pop(0)
            places = [(number, SIDE + number * pitch - offset) for number in range(parts)]
            pictures += [with_parts(*places, shift=offset)] * still
    return pictures


def middle_of(number, pitch=160, size=96):
    return SIDE + number * pitch + size / 2 - SIDE / 2


@pytest.mark.parametrize("step", [7, 22, 60])
def test_parts_that_pass_are_judged_once_by_a_picture_near_the_middle(empty, step):
    frames = found(empty, passing(step, 6))
    assert [frame.part.number for frame in frames] == list(range(6))
    assert all(frame.last and frame.error is None and frame.wanted for frame in frames)
    for number, frame in enumerate(frames):
        assert abs(frame.frame_id * step - middle_of(number)) <= step + 8


def test_a_part_that_rests_is_judged_once_however_long(empty):
    middle = int(middle_of(0))
    frames = found(empty, passing(10, 1, still_at=[middle], still=60))
    assert [(frame.part.number, frame.error) for frame in frames] == [(0, None)]


def test_a_part_that_stops_half_way_into_the_view_is_judged_when_it_is_whole(empty):
    pictures = passing(10, 1, still_at=[50], still=40)
    (frame,) = found(empty, pictures)
    assert frame.error is None
    assert frame.frame_id >= 50


def test_parts_that_stop_and_go_with_two_in_view_are_each_judged_once(empty):
    halts = [int(middle_of(number)) for number in range(5)]
    frames = found(empty, passing(25, 5, still_at=halts))
    assert [(frame.part.number, frame.error) for frame in frames] == [(number, None) for number in range(5)]


def test_what_other_parts_look_like_is_not_in_the_picture_of_a_part(empty):
    pictures = passing(20, 3, still_at=[int(middle_of(1))])
    for number, frame in enumerate(found(empty, pictures)):
        top = SIDE + number * 160 - _offset(pictures, frame)
        elsewhere = np.r_[0 : max(top - 12, 0), min(top + 108, SIDE) : SIDE]
        assert frame.image[elsewhere].max() <= 112
        assert frame.image[max(top, 0) : top + 96].max() >= 200
    seen = found(empty, pictures, alone=False)[1]
    assert np.array_equal(seen.image, pictures[seen.frame_id])


def _offset(pictures, frame):
    """Where the belt was, by the pictures themselves."""
    offset, halt = 0, int(middle_of(1))
    for number in range(frame.frame_id):
        if offset + 20 >= halt > offset - 20 and number and np.array_equal(pictures[number], pictures[number + 1]):
            offset = halt
        elif not np.array_equal(pictures[number], pictures[number + 1]) or offset != halt:
            offset = min(offset + 20, halt) if offset < halt else offset + 20
    return offset


def test_flicker_and_vibration_are_no_parts_and_make_none_twice(empty):
    rng = np.random.default_rng(3)
    pictures = []
    for picture in passing(12, 3, still_at=[int(middle_of(1))], still=40):
        light = 1 + 0.1 * rng.uniform(-1, 1)
        moved = np.roll(picture, tuple(rng.integers(-2, 3, 2).tolist()), axis=(0, 1))
        pictures.append((moved * light + rng.normal(0, 2, moved.shape)).clip(0, 255).astype(np.uint8))
    frames = found(empty, pictures)
    assert [(frame.part.number, frame.error) for frame in frames] == [(0, None), (1, None), (2, None)]


def test_an_empty_belt_that_runs_has_no_parts_while_its_light_wanes(empty):
    assert found(empty, [belt(1 - number / 750, number * 7) for number in range(200)]) == []


def test_several_frames_of_a_part_are_those_nearest_to_the_middle(empty):
    frames = found(empty, passing(20, 2), frames=3)
    assert [(frame.part.number, frame.last) for frame in frames] == [
        (0, False), (0, False), (0, True), (1, False), (1, False), (1, True),
    ]  # fmt: skip
    for frame in frames:
        assert abs(frame.frame_id * 20 - middle_of(frame.part.number)) <= 45


def test_a_part_that_was_never_wholly_in_view_is_told_of_and_not_judged(empty):
    grazing = [with_parts((0, top)) for top in (210, 200, 190, 200, 210, 230)]
    pictures = [belt()] * 3 + grazing + [belt()] * 20
    assert [(frame.part.number, frame.error) for frame in found(empty, pictures)] == [(0, UNSEEN)]
    (allowed,) = found(empty, pictures, whole=False)
    assert allowed.error is None


def test_a_part_larger_than_the_view_is_judged_when_it_fills_it(empty):
    pictures = []
    for number in range(3):
        for gap in (130, 60, 0, *[-20] * 10, -80, -150):
            view = belt()
            view[max(gap, 0) : SIDE + min(gap + 20, 0)] = 200 + 15 * number
            view[max(gap + 100, 0) : max(gap + 200, 0)] = 20
            pictures.append(view)
        pictures += [belt()] * 8
    assert [(frame.part.number, frame.error) for frame in found(empty, pictures)] == [(n, None) for n in range(3)]


def test_a_part_put_where_one_was_with_none_between_is_another_one(empty):
    first, second = with_parts((0, 100)), with_parts((0, 100))
    second[105:190, 82:178] = 40
    frames = found(empty, [belt()] * 2 + [first] * 10 + [second] * 10 + [first] * 10 + [belt()] * 10)
    assert [(frame.part.number, frame.error) for frame in frames] == [(0, None), (1, None), (2, None)]


def test_a_full_view_that_moves_is_said_to_be_untold_and_never_ok(empty):
    rng = np.random.default_rng(1)
    pictures = [
        cv2.resize(rng.choice(LEVELS, (16, 16, 3)), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) for _ in range(100)
    ]
    frames = found(empty, pictures)
    assert {frame.error for frame in frames} == {UNTOLD}
    assert len(frames) == 1


def test_a_picture_that_must_not_be_judged_is_not_preferred_but_the_part_is_told_of(empty):
    pictures = passing(20, 1)
    source = FakeSource(pictures, kind="video", fps=RATE)

    class Blurred(FakeSource):
        def __init__(self, bad):
            super().__init__(pictures, kind="video", fps=RATE)
            self.bad = bad

        def __iter__(self):
            for frame in source:
                if self.bad(frame.frame_id):
                    yield dataclasses.replace(frame, image=None, error="out of focus", unfit=frame.image)
                else:
                    yield frame

    best = round(middle_of(0) / 20)
    (frame,) = PresenceTrigger(Presence(empty), Line()).parts(Blurred(lambda number: number == best))
    assert (frame.error, abs(frame.frame_id - best)) == (None, 1)
    (frame,) = PresenceTrigger(Presence(empty), Line()).parts(Blurred(lambda number: True))
    assert frame.error == "out of focus"


def test_while_nothing_can_be_read_parts_are_not_ok_and_that_is_said_now_and_then(empty):
    half = [with_parts((0, 210))] * 3
    lost = ["the camera is gone"] * 230  # 11.5 s
    frames = found(empty, [belt()] * 3 + half + lost + [belt()] * 3)
    assert [frame.error for frame in frames] == [UNSEEN, "the camera is gone", "the camera is gone"]
    single = found(empty, [*passing(20, 1)[:10], "one damaged frame", *passing(20, 1)[10:]])
    assert [frame.error for frame in single] == [None]


def test_of_a_camera_parts_are_found_while_others_are_judged(empty):
    camera = HandCamera()
    found = PresenceTrigger(Presence(empty), Line()).parts(camera)

    def film():  # a camera holds few frames: it is filled while it is looked at
        for number, picture in enumerate(passing(20, 3)):
            camera.take(picture, at=number / RATE)
        camera.end()

    thread = threading.Thread(target=film)
    thread.start()
    frames = list(found)
    thread.join()
    assert [(frame.part.number, frame.error) for frame in frames] == [(0, None), (1, None), (2, None)]


def test_an_empty_view_that_is_not_there_is_a_mistake_with_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="edge-station learn --empty"):
        PresenceTrigger(Presence(tmp_path / "no.png"), Line())
