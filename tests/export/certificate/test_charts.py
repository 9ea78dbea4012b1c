"""Pictures: every layer and step is drawn, numbers stay inside the frame."""

import re

import pytest
from certificate_cases import LAYERS, STAGES, comparison, score
from hypothesis import given
from hypothesis import strategies as st

from edge_export.certificate.charts import WIDTH, bar, change_chart, layer_chart, stage_chart, value_chart
from edge_runtime.bundle.manifest import NodePrecision, Stage

levels = st.one_of(st.none(), st.floats(-60, 200))


def inside(picture, height):
    places = [float(value) for value in re.findall(r' (?:x|x1|x2|cx)="([-0-9.]+)"', picture)]
    rows = [float(value) for value in re.findall(r' (?:y|y1|y2|cy)="([-0-9.]+)"', picture)]
    return all(-1 <= x <= WIDTH + 1 for x in places) and all(-1 <= y <= height for y in rows)


@given(st.lists(levels, min_size=1, max_size=30))
def test_each_measured_layer_has_one_bar_inside_the_frame(values):
    nodes = [NodePrecision(f"n{i}", "Conv", "int8", "", value) for i, value in enumerate(values)]
    picture = layer_chart(nodes, 20.0)
    assert picture.count("<rect") == sum(value is not None for value in values)
    assert inside(picture, 240)


@given(st.lists(st.tuples(levels, st.one_of(st.none(), st.floats(0, 1)), st.booleans()), min_size=1, max_size=12))
def test_any_steps_can_be_drawn(rows):
    assert inside(stage_chart([Stage(f"s{i}", *row) for i, row in enumerate(rows)]), 200)


def test_an_undone_step_is_a_cross_and_not_on_the_line():
    picture = stage_chart(STAGES)
    assert picture.count("<circle") == 2
    assert picture.count("<path") == 1
    assert len(re.search(r'points="([^"]*)"', picture)[1].split()) == 2


def test_agreement_is_drawn_where_it_is_all_that_is_known():
    assert "agreement, %" in stage_chart([Stage("a", None, 0.95, True), Stage("b", None, 0.97, True)])


@pytest.mark.parametrize("values", [(0.0, 0.0), (1.0, 1.0), (0.5, -0.2), (float("nan"), 0.3)])
def test_whiskers_of_any_values_stay_inside(values):
    before, after = ([score("top1", value, 0.3)] for value in values)
    assert inside(value_chart(before, after), 200)
    assert inside(change_chart(after, 0.01), 200)


def test_a_whisker_without_an_interval_is_a_dot():
    one = [score("top1", 0.5, float("nan"))]
    assert "<circle" in value_chart(one, one)
    assert "nan" not in value_chart(one, one) + change_chart(one, 0.0)


def test_the_allowed_drop_is_marked_where_there_is_one():
    change = comparison().difference
    assert "allowed -0.01" in change_chart(change, 0.01)
    assert "allowed" not in change_chart(change, 0.0)


def test_a_bar_is_as_long_as_its_share_and_never_longer_than_all():
    assert 'width="25"' in bar(0.25, "p-int8", "a quarter")
    assert 'width="100"' in bar(7.0, "p-int8", "too much")


def test_the_layers_colours_are_their_precisions():
    assert 'class="p-fp16"' in layer_chart(LAYERS, 20.0)
