"""Drawn pictures of objects: the same for a seed, and labels that the export reads back as they were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_export.evaluate.data import BoxTruth, open_labelled
from edge_export.evaluate.data.outlines import Polygons
from edge_export.evaluate.data.truth import Part
from parts.scenes import KINDS, NAMES, SIDE, draw_scene, write_set

PARTS: dict[str, Part] = {"masks": "masks", "points": "points", "oriented": "oriented"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_picture_and_objects_lie_inside_and_apart(kind: str) -> None:
    scenes = [draw_scene(kind, seed) for seed in range(20)]
    assert np.array_equal(draw_scene(kind, 7).image, scenes[7].image)
    assert not np.array_equal(scenes[7].image, scenes[8].image)
    assert {one.class_id for scene in scenes for one in scene.objects} == set(range(len(NAMES[kind])))
    for scene in scenes:
        boxes = [one.box for one in scene.objects]
        assert all(0 <= x1 < x2 < SIDE and 0 <= y1 < y2 < SIDE for x1, y1, x2, y2 in boxes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_written_set_is_read_back_as_it_was_drawn(tmp_path: Path, kind: str) -> None:
    write_set(kind, tmp_path, 3, first=5)
    labelled = open_labelled(tmp_path, parts=(PARTS[kind],))
    assert labelled.names == NAMES[kind]
    for seed, item in enumerate(labelled.items, start=5):
        drawn = draw_scene(kind, seed).objects
        truth = item.truth
        assert isinstance(truth, BoxTruth)
        assert truth.classes.tolist() == [one.class_id for one in drawn]
        assert truth.pixels(SIDE, SIDE) == pytest.approx(np.array([one.box for one in drawn]).reshape(-1, 4), abs=1e-3)
        if kind == "points":
            assert truth.points is not None
            expected = np.array([one.points for one in drawn])
            assert truth.points * [SIDE, SIDE, 1] == pytest.approx(expected, abs=1e-3)
            continue
        for outline, one in zip(truth.outlines, drawn, strict=True):
            assert isinstance(outline, Polygons)
            assert outline.rings[0] * SIDE == pytest.approx(one.outline, abs=1e-3)
