"""A watched folder: nothing is judged before it is whole, nothing twice, nothing lost."""

import os

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources import open_source
from edge_runtime.inspect.sources.dropped import DroppedSource
from edge_runtime.inspect.sources.options import DroppedOptions, SourceOptions

PICTURE = np.random.default_rng(3).integers(0, 256, (24, 32, 3)).astype(np.uint8)


def encoded(suffix=".png"):
    return cv2.imencode(suffix, PICTURE)[1].tobytes()


class World:
    """A folder and a clock: `steps` happen one after another, each before a look at the folder, a second apart."""

    def __init__(self, folder):
        self.folder = folder / "in"
        self.folder.mkdir()
        self.now, self.stored, self.said = 100.0, set(), []
        self.can_tell = True
        self.settings = {"settle": 1.5, "whole_within": 10.0}

    def drop(self, name, data=None, at=None):
        path = self.folder / name
        path.write_bytes(encoded(path.suffix) if data is None else data)
        os.utime(path, (at, at) if at is not None else (self.now, self.now))

    def known(self, ids):
        return frozenset(self.stored & set(ids)) if self.can_tell else None

    def frames(self, *steps, quiet=14):
        """The frames until so many looks after the last step found nothing to do."""
        left = list(steps)
        ending = []

        def pause(_seconds):
            self.now += 1
            if left:
                left.pop(0)()
            else:
                ending.append(1)

        options = DroppedOptions(**self.settings, known=self.known)
        source = DroppedSource(
            self.folder,
            SourceOptions(dropped=options, notice=self.said.append),
            lambda: len(ending) > quiet,
            lambda: self.now,
            pause,
        )
        assert (source.kind, source.total, source.name) == ("image", None, f"watch:{self.folder}")
        for frame in source:
            self.stored.add(frame.event)
            yield frame


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def names(frames):
    return [(frame.path.name, frame.error) for frame in frames]


def test_a_picture_is_given_once_when_it_has_not_changed_for_a_while(world):
    frames = list(world.frames(lambda: world.drop("a.png")))
    assert names(frames) == [("a.png", None)]
    assert (frames[0].image == PICTURE).all()
    assert frames[0].captured.timestamp() == frames[0].taken_s == 101.0


def test_what_lies_there_at_the_start_is_given_too_and_the_order_is_by_time_or_name(world):
    world.drop("img10.png", at=1.0)
    world.drop("img2.png", at=2.0)
    assert [name for name, _ in names(world.frames())] == ["img10.png", "img2.png"]
    world.stored.clear()
    world.settings["order"] = "name"
    assert [name for name, _ in names(world.frames())] == ["img2.png", "img10.png"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_a_file_that_is_written_slowly_is_given_when_it_is_whole(world, suffix):
    data = encoded(suffix)
    half = [lambda: world.drop(f"a{suffix}", data[: len(data) // 2])]
    frames = list(world.frames(*half, *[lambda: None] * 5, lambda: world.drop(f"a{suffix}", data)))
    assert names(frames) == [(f"a{suffix}", None)]


def test_a_file_that_grows_all_the_time_is_not_read_before_it_rests(world):
    data = encoded(".png")
    steps = [lambda n=n: world.drop("a.png", data + b"\0" * n) for n in range(6)]
    frames = list(world.frames(*steps))
    assert [frame.taken_s for frame in frames] == [101.0]
    assert world.now > 107


@pytest.mark.parametrize("data", [b"", encoded(".jpg")[:200], b"no picture at all"])
def test_a_file_that_is_never_whole_is_said_to_be_none_after_its_deadline(world, data):
    frames = list(world.frames(lambda: world.drop("a.jpg", data), lambda: world.drop("b.jpg")))
    assert [name for name, _ in names(frames)] == ["b.jpg", "a.jpg"]
    assert frames[1].error.startswith("cannot ")
    assert frames[1].error.endswith("(not whole within 10 s)")


def test_names_of_files_that_are_being_written_are_passed_over_until_they_are_renamed(world):
    for name in (".a.png", "a.png.tmp", "b.png.part", "~c.png", "d.png~"):
        world.drop(name, encoded())
    assert names(world.frames(lambda: (world.folder / "a.png.tmp").rename(world.folder / "a.png"))) == [("a.png", None)]


def test_other_files_are_told_of_and_left_alone(world):
    world.drop("notes.txt", b"hello")
    (world.folder / "sub").mkdir()
    assert list(world.frames(lambda: world.drop("picture", encoded()))) != []
    assert world.said == [f"watch:{world.folder}: no pictures and not looked at: *.txt"]


def test_a_file_that_was_given_is_not_given_again_but_another_one_of_its_name_is(world):
    again = [lambda: world.drop("a.png"), *[lambda: None] * 4, lambda: world.drop("a.png", encoded() + b"\0")]
    frames = list(world.frames(*again))
    assert [frame.path.name for frame in frames] == ["a.png", "a.png"]
    assert len({frame.event for frame in frames}) == 2


def test_a_restart_gives_what_has_no_verdict_and_nothing_else(world):
    world.drop("a.png")
    world.drop("b.png")
    first = next(world.frames())
    assert [frame.path.name for frame in world.frames()] == ["b.png"]
    world.stored.remove(first.event)
    again = list(world.frames())
    assert [(frame.path.name, frame.event) for frame in again] == [("a.png", first.event)]
    assert world.said == [f"watch:{world.folder}: files that have a verdict in the store are not judged again"] * 2


def test_as_long_as_it_cannot_be_told_what_has_a_verdict_nothing_is_given(world):
    world.drop("a.png")
    world.can_tell = False
    assert list(world.frames(quiet=3)) == []
    world.can_tell = True
    assert names(world.frames()) == [("a.png", None)]


def test_a_file_is_moved_when_its_verdict_is_stored_and_not_before(world, tmp_path):
    done = tmp_path / "done"
    world.settings["done"] = done
    world.drop("a.png")
    frames = world.frames(*[lambda: None] * 4, lambda: world.drop("b.png"))
    next(frames)
    held, world.stored = world.stored, set()
    second = next(frames)
    assert second.path.name == "b.png"
    assert not done.exists()
    world.stored |= held
    assert list(frames) == []
    assert sorted(path.name for path in done.iterdir()) == ["a.png", "b.png"]
    assert list(world.folder.iterdir()) == []
    world.drop("a.png", encoded() + b"\0")
    assert len(list(world.frames())) == 1
    assert sorted(path.name for path in done.iterdir()) == ["a-2.png", "a.png", "b.png"]


def test_a_judged_file_that_still_lies_there_after_a_kill_is_moved_and_not_judged(world, tmp_path):
    world.drop("a.png")
    assert len(list(world.frames())) == 1
    world.settings["done"] = tmp_path / "done"
    assert list(world.frames()) == []
    assert [path.name for path in (tmp_path / "done").iterdir()] == ["a.png"]


def test_a_file_that_cannot_be_moved_stays_and_is_told_of(world, tmp_path):
    (tmp_path / "done").write_text("a file")
    world.settings["done"] = tmp_path / "done"
    world.drop("a.png")
    assert len(list(world.frames())) == 1
    assert "judged files stay" in world.said[0]


def test_the_pictures_of_one_file_each_have_their_verdict_through_a_kill_between_them(world):
    pages = [PICTURE, PICTURE[::-1].copy(), PICTURE[:, ::-1].copy()]
    path = world.folder / "many.tif"
    assert cv2.imwritemulti(str(path), pages)
    frames = world.frames()
    next(frames)
    second = next(frames)
    frames.close()
    world.stored.discard(second.event)
    rest = list(world.frames())
    assert [frame.page for frame in rest] == [2, 3]
    assert rest[0].event == second.event
    assert len(world.stored) == 3
    assert list(world.frames()) == []


def test_a_file_of_several_pictures_of_which_one_is_damaged_waits(world):
    path = world.folder / "many.tif"
    assert cv2.imwritemulti(str(path), [PICTURE, PICTURE])
    whole = path.read_bytes()
    world.drop("many.tif", whole[: len(whole) // 2 + 400])
    assert list(world.frames(quiet=6)) == []
    frames = list(world.frames(*[lambda: None] * 4, lambda: world.drop("many.tif", whole)))
    assert [(frame.page, frame.error) for frame in frames] == [(1, None), (2, None)]


def test_a_folder_that_goes_away_is_said_once_and_looked_at_again_when_it_is_back(world):
    away = world.folder.with_name("away")
    steps = [lambda: world.folder.rename(away), *[lambda: None] * 3, lambda: away.rename(world.folder)]
    frames = list(world.frames(*steps, lambda: world.drop("a.png")))
    assert [frame.error for frame in frames] == [f"watch:{world.folder} lost: No such file or directory", None]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"there is no folder .*nowhere to watch"):
        open_source(f"watch:{tmp_path}/nowhere")


def test_a_stop_ends_it(tmp_path):
    source = open_source(f"watch:{tmp_path}", stop=lambda: True)
    assert list(source) == []
    source.close()
