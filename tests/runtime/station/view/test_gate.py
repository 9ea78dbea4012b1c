"""The gate: what has not changed keeps its answer, and what has changed, however small, does not."""

import dataclasses
import itertools
import json

import cv2
import numpy as np
import pytest
from places import SAMPLE
from view_cases import Finder, picture

from edge_runtime.errors import DataError, UsageError
from edge_runtime.inspect.fake_engine import FakeEngine, fake_manifest
from edge_runtime.inspect.judging import judge
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Box, Prediction, Result
from edge_runtime.station.gating import learn, measure, sequences, upper_bound
from edge_runtime.station.view.gate import Gate
from edge_runtime.station.view.noise import Difference, difference, exceeds, learnt_noise
from edge_runtime.station.view.proof import Proof, read_proof, write_proof
from edge_runtime.station.view.settings import GateSettings, Region, Tiles, ViewSettings
from edge_runtime.station.view.view import View
from edge_runtime.vision.settings import Settings

NOISE = Difference(4.0, 2.0, 1.0)


def noisy(scene, chance, sigma):
    """A sensor's picture of a scene: more noise where there is more light."""
    grain = chance.standard_normal(scene.shape, np.float32) * (sigma * np.sqrt(0.3 + 0.7 * scene / 255.0))
    return np.clip(np.rint(scene + grain), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scene():
    board = cv2.imread(str(SAMPLE.parent / "images/board-00.png"))[200:400, 200:440]
    return cv2.GaussianBlur(board, (0, 0), 0.8) // 2 + 60


@pytest.mark.parametrize("sigma", [0.7, 2.0, 4.0])
def test_a_defect_one_pixel_wide_is_seen_through_the_noise_and_the_noise_is_not(scene, sigma):
    chance = np.random.default_rng(3)
    shots = [noisy(scene, chance, sigma) for _ in range(9)]
    noise = learnt_noise([difference(old, new) for old, new in itertools.pairwise(shots)])
    quiet = [exceeds(shots[0], noisy(scene, chance, sigma), noise) for _ in range(20)]
    assert sum(quiet) == 0
    missed = []
    for _ in range(25):
        damaged = scene.copy()
        x, y = (int(value) for value in chance.integers(10, 190, 2))
        angle, length = chance.uniform(0, np.pi), int(chance.integers(8, 30))
        end = (round(x + length * np.cos(angle)), round(y + length * np.sin(angle)))
        step = 50 if scene[y, x].mean() < 125 else -50  # levels: a fifth of the range, a hair or a crack
        mark = np.zeros(scene.shape[:2], np.uint8)
        cv2.line(mark, (x, y), end, 1, 1)
        damaged[mark > 0] = np.clip(damaged[mark > 0].astype(int) + step, 0, 255)
        if not exceeds(shots[0], noisy(damaged, chance, sigma), noise):
            missed.append((x, y, end))
    assert missed == []


def test_a_single_speck_and_a_faint_stain_are_seen(scene):
    noise = Difference(12.0, 4.0, 2.5)
    speck, stain = scene.copy(), scene.copy()
    speck[100, 100] = 255 - speck[100, 100]
    stain[100:120, 100:120] += 5
    for damaged in (speck, stain):
        assert exceeds(scene, damaged, noise)
        # In a mean over the picture it is nothing.
        assert cv2.absdiff(scene, damaged).mean() < 0.1
    assert not exceeds(scene, scene + 1, noise)


def test_a_few_pictures_in_which_something_appeared_do_not_make_it_noise():
    quiet, odd = Difference(5.0, 1.2, 0.6), Difference(30.0, 9.0, 3.0)
    assert learnt_noise([quiet] * 97 + [odd] * 3) == Difference(7.5, 2.0, 1.0)
    assert learnt_noise([Difference(200.0, 90.0, 80.0)] * 5) is None


def gated(settings, noise=NOISE, tiles=None, confidence=0.25):
    gate = Gate(settings, noise, fake_manifest(), confidence)
    return View(ViewSettings(tiles=tiles), fake_manifest(), gate=gate)


def run(view, engine, image):
    frame = view.of(Frame("s", 0, "s-0", image))
    ((_, result),) = judge(engine.run, [frame])
    return frame.looking.to_json().get("gate"), result


def test_only_tiles_that_changed_go_to_the_model_and_the_answer_is_that_of_the_whole():
    view, engine = gated(GateSettings(), tiles=Tiles(160, None, 40)), Finder()
    first = picture((50, 50), (350, 250))
    assert run(view, engine, first)[0] is None
    told, result = run(view, engine, first - 1)
    assert told == {"judged": 0, "reused": 9, "passed": 0}
    assert len(result.predictions) == 2
    second = picture((50, 50), (350, 250), (20, 280))
    told, result = run(view, engine, second)
    assert told == {"judged": 1, "reused": 8, "passed": 0}
    assert (len(result.predictions), result.reasons) == (3, ("open x3",))
    assert [len(batch) for batch in engine.batches] == [9, 1]


def test_what_changes_little_by_little_is_judged_again_and_so_is_what_has_rested_long():
    view, engine = gated(GateSettings(again=3), Difference(4.0, 3.0, 3.0)), Finder()
    counts = []
    for step in range(8):
        run(view, engine, picture() + step)
        counts.append(len(engine.batches))
    assert counts == [1, 1, 1, 1, 2, 2, 2, 2]
    anew = [run(view, engine, picture() + 7)[0] is None for _ in range(8)]
    assert anew == [True, False, False, False, True, False, False, False]


def test_a_kept_answer_has_what_another_picture_of_the_scene_may_show():
    near = Result("NG", ("open x1",), (Prediction("open", 0, 0.23, Box(1.0, 1.0, 9.0, 9.0)),))
    far = Result("NG", ("open x1",), (Prediction("open", 0, 0.21, Box(1.0, 1.0, 9.0, 9.0)),))
    for answer, verdict in ((near, "NG"), (far, "OK")):
        view, engine = gated(GateSettings(margin=0.03)), FakeEngine([answer])
        assert run(view, engine, picture())[1].verdict == "OK"
        assert run(view, engine, picture())[1].verdict == verdict
        assert engine.batches == [1]


def test_nothing_is_kept_of_a_picture_that_was_refused():
    view = gated(GateSettings(), tiles=Tiles(160, None, 40))

    class Refusing(Finder):
        def run(self, images):
            raise DataError("not this one")

    assert judge(Refusing().run, [view.of(Frame("s", 0, "s-0", picture()))])[0][1].verdict == "NO_READ"
    assert run(view, Finder(), picture())[0] is None


class Unsure(Finder):
    """Finds what the Finder does; in what is larger than a tile it is less sure of it."""

    def _result(self, image):
        found = super()._result(image)
        score = 0.1 if image.shape[0] > 160 else 0.9
        return dataclasses.replace(
            found, predictions=tuple(dataclasses.replace(one, confidence=score) for one in found.predictions)
        )


def test_the_look_at_the_whole_chooses_the_tiles():
    view, engine = gated(GateSettings(unchanged=False, scout=0.05), None, Tiles(160, None, 40)), Unsure()
    told, result = run(view, engine, picture((30, 30)))
    assert engine.batches == [[(300, 400)], [(160, 160)] * 2]
    assert told == {"judged": 2, "reused": 0, "passed": 7}
    assert (result.verdict, len(result.predictions)) == ("NG", 1)
    told, result = run(view, engine, picture())
    assert (told, result.verdict) == ({"judged": 0, "reused": 0, "passed": 9}, "OK")
    view = gated(GateSettings(unchanged=False, scout=0.5), None, Tiles(160, None, 40))
    assert run(view, Unsure(), picture((30, 30)))[1].verdict == "OK"  # which is what has to be measured


def film(folder, *shots):
    folder.mkdir(parents=True)
    for number, shot in enumerate(shots):
        cv2.imwrite(str(folder / f"{number:03}.png"), shot)


def test_what_is_lost_and_saved_is_measured_on_labelled_pictures(tmp_path):
    still = picture((200, 150))
    film(tmp_path / "ng", still, still - 1, picture((200, 150), (100, 100)), picture((30, 30)))
    film(tmp_path / "ok", picture(), picture(), picture((30, 30)))
    given = sequences(tmp_path)
    assert [(path.name, bad) for path, bad in given] == [("ok", False), ("ng", True)]
    view = ViewSettings(tiles=Tiles(160, None, 40))
    engine = Unsure()
    engine.manifest = fake_manifest()
    settings = Settings.of(fake_manifest())
    noise = learn(view, engine, given)
    assert noise == Difference(4.0, 2.0, 1.5)
    found = measure(view, GateSettings(), noise, engine, settings, given)
    assert (found.pictures, found.unread, found.found, found.lost, found.ng, found.escaped) == (7, 0, 5, 0, 4, 0)
    assert found.full_runs == 63
    assert found.runs < 30
    lossy = measure(view, GateSettings(unchanged=False, scout=0.5), None, engine, settings, given)
    assert (lossy.lost, lossy.escaped, lossy.loss, lossy.most) == (5, 4, 1.0, 1.0)
    with pytest.raises(DataError, match="no films and no pictures"):
        sequences(SAMPLE.parent / "pcb.edge")


def test_the_bound_is_exact():
    assert upper_bound(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert upper_bound(1, 10) == pytest.approx(0.394163, abs=1e-5)  # Clopper and Pearson's table
    assert (upper_bound(0, 0), upper_bound(3, 3)) == (1.0, 1.0)


def test_a_gate_runs_with_the_file_that_is_about_it_alone(tmp_path):
    gate = GateSettings(tmp_path / "gate.json")
    view = ViewSettings(Region(0, 0, 0.5, 0.5), gate=gate)
    with pytest.raises(UsageError, match="not proven"):
        read_proof("b" * 64, view, gate)
    write_proof(gate.proof, "b" * 64, view, gate, Proof(NOISE, {"lost": 0}, True))
    assert read_proof("b" * 64, view, gate) == Proof(NOISE, {"lost": 0}, True)
    for sha, other, settings, why in (
        ("c" * 64, view, gate, "another bundle"),
        ("b" * 64, ViewSettings(Region(0, 0, 1, 0.5), gate=gate), gate, "another region"),
        ("b" * 64, view, dataclasses.replace(gate, again=7), "other settings"),
    ):
        with pytest.raises(UsageError, match=why):
            read_proof(sha, other, settings)
    write_proof(gate.proof, "b" * 64, view, gate, Proof(NOISE, {"lost": 9}, False))
    with pytest.raises(UsageError, match="loses too much"):
        read_proof("b" * 64, view, gate)
    for damaged in ({"noise": 3}, {"noise": {"pixel": 1}}, {"measured": 4}):
        write_proof(gate.proof, "b" * 64, view, gate, Proof(NOISE, {}, True))
        gate.proof.write_text(json.dumps({**json.loads(gate.proof.read_text()), **damaged}))
        with pytest.raises(UsageError, match="is damaged"):
            read_proof("b" * 64, view, gate)
    gate.proof.write_text("[]")
    with pytest.raises(UsageError, match="no file of edge-station gate"):
        read_proof("b" * 64, view, gate)
    with pytest.raises(UsageError, match="names none"):
        read_proof("b" * 64, view, GateSettings())


@pytest.mark.parametrize("wrong", [{"unchanged": False}, {"again": 0}, {"scout": 1.5}, {"margin": 1.0}])
def test_a_gate_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"gate|again|scout|margin"):
        GateSettings(**wrong)
