"""The board generator: same seed, same board; what it plants is where its boxes say it is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pcb import board, defects, scan
from pcb.canvas import Mask
from pcb.generate import Sample, label_text, sample

SEEDS = range(40, 52)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [sample(seed) for seed in SEEDS]


def two_bars() -> Mask:
    """Two conductors 12 pixels wide and 14 apart, and a broad one: room for every kind of defect."""
    copper = np.zeros((320, 320), np.uint8)
    copper[40:52], copper[66:78], copper[180:300] = 1, 1, 1
    return copper


def test_the_same_seed_draws_the_same_board() -> None:
    assert np.array_equal(board.draw(3), board.draw(3))
    assert not np.array_equal(board.draw(3), board.draw(4))


def test_the_same_seed_plants_the_same_defects(samples: list[Sample]) -> None:
    again = sample(SEEDS[0])
    assert again.found == samples[0].found
    assert np.array_equal(again.copper, samples[0].copper)


def test_a_board_is_a_mask_of_the_size_asked_for() -> None:
    copper = board.draw(5, 320)
    assert copper.shape == (320, 320)
    assert copper.dtype == np.uint8
    assert set(np.unique(copper)) <= {0, 1}


def test_boards_differ_in_how_much_copper_they_have() -> None:
    filled = [float(board.draw(seed).mean()) for seed in range(20)]
    assert min(filled) < 0.15
    assert max(filled) > 0.4


def test_every_box_lies_inside_the_picture(samples: list[Sample]) -> None:
    for made in samples:
        height, width = made.copper.shape
        for d in made.found:
            assert 0 <= d.x1 < d.x2 <= width
            assert 0 <= d.y1 < d.y2 <= height


def test_the_board_changes_inside_the_boxes_and_nowhere_else(samples: list[Sample]) -> None:
    for made in samples:
        changed = made.clean ^ made.copper
        for d in made.found:
            assert np.count_nonzero(changed[d.y1 : d.y2, d.x1 : d.x2]) >= 8
        for d in made.found:
            changed[d.y1 : d.y2, d.x1 : d.x2] = 0
        assert not changed.any()


def test_a_bare_board_has_no_defects_and_does_not_change() -> None:
    made = sample(SEEDS[0], bare=True)
    assert made.found == ()
    assert np.array_equal(made.clean, made.copper)


def test_a_board_has_no_more_defects_than_were_asked_for(samples: list[Sample]) -> None:
    assert all(len(made.found) <= 12 for made in samples)
    assert sum(len(made.found) for made in samples) > 40


def test_every_kind_is_planted_somewhere(samples: list[Sample]) -> None:
    kinds = Counter(d.label for made in samples for d in made.found)
    assert set(kinds) == set(range(6))


@pytest.mark.parametrize("label", range(6), ids=defects.NAMES)
def test_each_kind_finds_room_on_a_plain_board(label: int) -> None:
    copper, found = defects.plant(two_bars(), np.random.default_rng(label), [label] * 3)
    assert found
    assert {d.label for d in found} == {label}
    took = defects.NAMES[label] in ("open", "mousebite", "pinhole")
    assert (int(copper.sum()) < int(two_bars().sum())) == took


def conductors(copper: Mask) -> int:
    import cv2

    return int(cv2.connectedComponents(copper)[0]) - 1


def test_an_open_parts_a_conductor_and_a_short_joins_two() -> None:
    for seed in range(5):
        opened, found = defects.plant(two_bars(), np.random.default_rng(seed), [0])
        if found:
            assert conductors(opened) > 3
        joined, found = defects.plant(two_bars(), np.random.default_rng(seed), [1])
        if found:
            assert conductors(joined) < 3


def test_no_short_is_planted_on_a_bare_board() -> None:
    bare = np.zeros((200, 200), np.uint8)
    copper, found = defects.plant(bare, np.random.default_rng(0), [1, 0, 2, 5])
    assert found == []
    assert not copper.any()


def test_scanning_keeps_the_board_recognisable() -> None:
    rng = np.random.default_rng(1)
    clean = board.draw(9)
    seen = scan.binarise(clean, rng, scan.Scanner.random(rng))
    assert float(np.mean(seen != clean)) < 0.06


def test_the_picture_shows_copper_black_on_white() -> None:
    picture = scan.picture(two_bars(), 0)
    assert picture[45, 100] == 0
    assert picture[10, 100] == 255


def test_labels_are_written_in_deeppcb_format() -> None:
    assert label_text((defects.Defect(5, 1, 2, 30, 40),)) == "1 2 30 40 6\n"
