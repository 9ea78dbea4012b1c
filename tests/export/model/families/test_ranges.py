"""What a column of scores is, as the numbers of real pictures tell."""

from __future__ import annotations

import numpy as np
import pytest
from family_layouts import ALL, shown_of
from numpy.typing import NDArray

from edge_export.model.families import FAMILIES, recognise
from edge_export.model.families.ranges import no_objectness, objectness

_ROWS, _CLASSES = 2100, 5


def _scores(one_hot: bool, often: float) -> NDArray[np.float32]:
    """Scores of classes, [rows, classes]: 0.9 in so many of the rows, of one class or of most."""
    random = np.random.default_rng(1)
    scores = np.full((_ROWS, _CLASSES), 0.01, np.float32)
    for row in np.flatnonzero(random.random(_ROWS) < often):
        scores[row, random.permutation(_CLASSES)[: 1 if one_hot else _CLASSES - 1]] = 0.9
    return scores


def _answers(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([np.full((_ROWS, 4), 100, np.float32), scores], axis=1)[None]


def _behind_an_objectness(one_hot: bool, often: float) -> NDArray[np.float32]:
    """Classes in so many of the rows, and an objectness in 30 of them."""
    scores = _scores(one_hot, often)
    known = np.zeros((_ROWS, 1), np.float32)
    known[np.flatnonzero(scores.max(axis=1) > 0.5)[:30]] = 0.8
    return _answers(np.concatenate([known, scores], axis=1))


def _against(answers: NDArray[np.float32]) -> str:
    readings = recognise(shown_of({"output": (1, ALL, answers.shape[2])}), FAMILIES).readings
    match = next(one.match for one in readings if one.family.name == "yolox-decoded")
    return objectness(match, [{match.names[0]: answers}])


@pytest.mark.parametrize(("one_hot", "often"), [(True, 0.02), (True, 0.9), (False, 0.9)])
def test_a_column_that_is_high_where_a_class_is_and_tells_more_than_one_is_an_objectness(one_hot, often):
    assert _against(_behind_an_objectness(one_hot, often)) == ""


def test_a_class_of_its_own_is_no_objectness():
    assert "no class is" in _against(_answers(_scores(True, 0.1)))


def test_of_classes_that_are_high_together_the_first_may_be_an_objectness_or_not():
    answers = _answers(_scores(False, 0.03))
    assert "is not told" in _against(answers)
    readings = recognise(shown_of({"output": (1, 4 + _CLASSES, ALL)}), FAMILIES).readings
    match = next(one.match for one in readings if len(one.match.names) == 1)
    assert no_objectness(True)(match, [{match.names[0]: answers.transpose(0, 2, 1)}]) == ""


def test_where_nothing_is_seen_nothing_is_said_of_the_column():
    assert _against(_answers(np.full((_ROWS, _CLASSES), 0.01, np.float32))) == ""
