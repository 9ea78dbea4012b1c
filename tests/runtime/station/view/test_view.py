"""Where a station looks: region, mask, reference; and that nothing which was not seen is OK."""

import cv2
import numpy as np
import pytest
from view_cases import SHAPE, Finder, picture

from edge_runtime.bundle.facts import VerdictRule
from edge_runtime.errors import DataError, UsageError
from edge_runtime.inspect.fake_engine import fake_manifest
from edge_runtime.inspect.judging import judge
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Box, Result
from edge_runtime.station.view.noted import view_from_json, view_to_json
from edge_runtime.station.view.settings import Mask, Reference, Region, Tiles, ViewSettings
from edge_runtime.station.view.tiling import Rect
from edge_runtime.station.view.view import View


def looked(wanted, image, engine=None, most=None, size=None):
    frame = View(wanted, fake_manifest()).of(Frame("s", 0, "s-0", image, size=size))
    ((_, result),) = judge((engine or Finder()).run, [frame], most)
    return result


def middles(result):
    return sorted(((p.box.x1 + p.box.x2) / 2 - 0.5, (p.box.y1 + p.box.y2) / 2 - 0.5) for p in result.predictions)


@pytest.mark.parametrize("region", [Region(100, 50, 200, 100), Region(0.25, 1 / 6, 0.5, 1 / 3)])
def test_what_lies_beside_the_region_is_not_judged_and_boxes_are_of_the_picture(region):
    engine = Finder()
    result = looked(ViewSettings(region), picture((150, 80), (20, 20), (350, 200)), engine)
    assert engine.batches == [[(100, 200)]]
    assert middles(result) == [(150, 80)]
    assert looked(ViewSettings(region), picture((20, 20))).verdict == "OK"


def test_a_region_beyond_the_picture_is_no_read_with_the_picture_for_people_to_see():
    frame = View(ViewSettings(Region(300, 0, 200, 100)), fake_manifest()).of(Frame("s", 0, "s-0", picture()))
    assert "goes beyond the picture" in frame.error
    assert frame.unfit is not None
    assert looked(ViewSettings(Region(300, 0, 200, 100)), picture()).verdict == "NO_READ"


def test_what_was_decoded_smaller_is_no_read():
    assert "memory limit" in looked(ViewSettings(Region(0, 0, 1, 1)), picture(), size=(3000, 4000)).reasons[0]


@pytest.mark.parametrize("scale", [1, 400])
def test_what_is_masked_is_not_judged_and_what_sticks_out_is(scale):
    # The right half.
    corners = ((0.5, 0), (1, 0), (1, 1), (0.5, 1)) if scale == 1 else ((200, 0), (400, 0), (400, 300), (200, 300))
    wanted = ViewSettings(mask=Mask((corners,)))
    result = looked(wanted, picture((100, 100), (300, 100)))
    assert middles(result) == [(100, 100)]
    assert looked(wanted, picture((300, 100))).verdict == "OK"
    half = looked(wanted, picture((199, 100)))
    assert half.verdict == "NG"


def test_a_mask_picture_says_which_colour_is_not_judged(tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 200:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    image = picture((100, 100), (300, 100))
    white, black = (ViewSettings(mask=Mask((), tmp_path / "mask.png", colour)) for colour in ("white", "black"))
    assert middles(looked(white, image)) == [(100, 100)]
    assert middles(looked(black, image)) == [(300, 100)]
    other = looked(white, picture(shape=(200, 400)))
    assert (other.verdict, "has 400x300 pixels" in other.reasons[0]) == ("NO_READ", True)
    cv2.imwrite(str(tmp_path / "mask.png"), np.full(SHAPE, 128, np.uint8))
    with pytest.raises(UsageError, match="is no mask"):
        View(white, fake_manifest())
    with pytest.raises(ValueError, match="black"):
        Mask((), tmp_path / "mask.png")


def test_a_region_that_is_all_masked_is_no_read():
    wanted = ViewSettings(Region(200, 0, 100, 100), Mask((((0.4, 0), (1, 0), (1, 1), (0.4, 1)),)))
    assert looked(wanted, picture()).reasons == ("all of the region is masked: there is nothing to be judged",)


def test_tiles_go_to_the_engine_in_batches_and_what_is_masked_does_not_go():
    engine = Finder()
    image = picture((100, 100), (130, 150), (390, 290))
    image[195:205, 20:380] = 255  # longer than a tile is wide
    result = looked(ViewSettings(tiles=Tiles(160, None, 40)), image, engine, most=4)
    assert [len(batch) for batch in engine.batches] == [4, 4, 1]
    assert len(result.predictions) == 4
    assert Box(20.0, 195.0, 380.0, 205.0) in [one.box for one in result.predictions]
    assert result.reasons == ("open x4",)
    engine = Finder()
    looked(ViewSettings(mask=Mask((((0, 0), (1, 0), (1, 0.6), (0, 0.6)),)), tiles=Tiles(160, None, 40)), image, engine)
    assert engine.batches == [[(160, 160)] * 6]


def test_one_tile_that_was_not_seen_makes_the_picture_no_read():
    class Blind(Finder):
        def _result(self, image):
            return Result("NO_READ", ("nothing to see",), ()) if image[..., 1].min() >= 90 else super()._result(image)

    image = picture()
    image[:100] = 40
    assert looked(ViewSettings(tiles=Tiles(160)), image, Blind()).verdict == "NO_READ"

    class Refusing(Finder):
        def run(self, images):
            if len(images) > 1 or not images[0][..., 1].min() < 90:
                raise DataError("not this one")
            return super().run(images)

    assert looked(ViewSettings(tiles=Tiles(160)), image, Refusing(), most=1).reasons == ("not this one",)


def test_a_picture_that_is_refused_does_not_take_others_of_its_batch_with_it():
    view = View(ViewSettings(tiles=Tiles(160)), fake_manifest())

    class Refusing(Finder):
        def run(self, images):
            if any(image.max() == 7 for image in images):
                raise DataError("not this one")
            return super().run(images)

    good, bad = picture((100, 100)), np.full((*SHAPE, 3), 7, np.uint8)
    frames = [view.of(Frame("s", n, f"s-{n}", image)) for n, image in enumerate((good, bad, good))]
    plain = Frame("t", 0, "t-0", good)
    results = [result.verdict for _, result in judge(Refusing().run, [*frames, plain])]
    assert results == ["NG", "NO_READ", "NG", "NG"]


def test_without_a_rule_tiles_do_not_judge_either():
    manifest = fake_manifest()
    object.__setattr__(manifest, "verdict", VerdictRule("none"))
    frame = View(ViewSettings(tiles=Tiles(160)), manifest).of(Frame("s", 0, "s-0", picture()))
    assert judge(Finder().run, [frame])[0][1].verdict == "NO_READ"


@pytest.fixture
def scene():
    """A picture with plenty to be known by."""
    rng = np.random.default_rng(5)
    image = np.full((480, 640, 3), 60, np.uint8)
    for _ in range(150):
        x, y, w, h = (int(v) for v in rng.integers((0, 0, 8, 8), (600, 440, 60, 60)))
        cv2.rectangle(image, (x, y), (x + w, y + h), tuple(int(v) for v in rng.integers(0, 190, 3)), -1)
    return cv2.GaussianBlur(image, (0, 0), 1)


def moved(image, right, down, degrees=0.0):
    matrix = cv2.getRotationMatrix2D((image.shape[1] / 2, image.shape[0] / 2), degrees, 1)
    matrix[:, 2] += right, down
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("method", ["features", "ecc"])
def test_region_and_mask_follow_a_scene_that_moved_and_one_that_moved_too_far_is_no_read(scene, method, tmp_path):
    cv2.imwrite(str(tmp_path / "ref.png"), scene)
    region, mask = Region(200, 150, 200, 150), Mask((((300, 150), (400, 150), (400, 300), (300, 300)),))
    wanted = ViewSettings(region, mask, None, Reference(tmp_path / "ref.png", 30, method))
    view = View(wanted, fake_manifest())
    defect = scene.copy()
    defect[200:210, 240:250] = 255  # judged
    defect[200:210, 340:350] = 255  # masked
    defect[100:110, 100:110] = 255  # beside
    for right, down, degrees in ((0, 0, 0.0), (12, -7, 0.0), (-15, 9, 1.0), (4, 4, -2.0)):
        image = np.asarray(np.clip(moved(defect, right, down, degrees) * 0.99 + 2, 0, 255), np.uint8)
        frame = view.of(Frame("s", 0, "s-0", image))
        assert frame.error is None, frame.error
        ((_, result),) = judge(Finder().run, [frame])
        assert len(result.predictions) == 1
        x, y = middles(result)[0]
        matrix = cv2.getRotationMatrix2D((320, 240), degrees, 1)
        wanted_x, wanted_y = matrix @ (244.5, 204.5, 1) + (right, down)
        assert abs(x - wanted_x) < 2, (x, wanted_x)
        assert abs(y - wanted_y) < 2
        assert abs(frame.looking.region.left - (200 + right)) < 10
    far = view.of(Frame("s", 0, "s-0", moved(scene, 45, 0)))
    assert far.error.startswith("moved: ")
    other = view.of(Frame("s", 0, "s-0", cv2.flip(scene, -1)))
    assert other.error.startswith("moved: ")
    assert view.of(Frame("s", 0, "s-0", picture(shape=(480, 640)))).error.startswith("moved: ")
    small = view.of(Frame("s", 0, "s-0", scene[:400].copy()))
    assert "has 640x480 pixels" in small.error


def test_a_region_that_moved_out_of_the_picture_is_no_read(scene, tmp_path):
    cv2.imwrite(str(tmp_path / "ref.png"), scene)
    view = View(ViewSettings(Region(0, 100, 200, 150), reference=Reference(tmp_path / "ref.png", 30)), fake_manifest())
    assert view.of(Frame("s", 0, "s-0", scene)).looking.region == Rect(0, 100, 200, 250)
    assert "not all in the picture" in view.of(Frame("s", 0, "s-0", moved(scene, -10, 0))).error


def test_a_reference_with_nothing_in_it_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "ref.png"), picture((100, 100)))
    with pytest.raises(UsageError, match="corners to be known by"):
        View(ViewSettings(reference=Reference(tmp_path / "ref.png")), fake_manifest())
    cv2.imwrite(str(tmp_path / "ref.png"), picture())
    with pytest.raises(UsageError, match="of one colour"):
        View(ViewSettings(reference=Reference(tmp_path / "ref.png", method="ecc")), fake_manifest())


def test_what_the_store_notes_is_the_view_again_unless_a_picture_has_changed(scene, tmp_path):
    cv2.imwrite(str(tmp_path / "ref.png"), scene)
    wanted = ViewSettings(
        Region(0.1, 0.2, 0.5, 0.5),
        Mask((((1, 2), (30, 4), (5, 60)),)),
        Tiles(320, None, 64),
        Reference(tmp_path / "ref.png"),
    )
    told = view_to_json(wanted)
    assert view_from_json(told) == wanted
    cv2.imwrite(str(tmp_path / "ref.png"), scene[::-1])
    with pytest.raises(UsageError, match="no longer the picture"):
        view_from_json(told)
