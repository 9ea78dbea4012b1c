from dataclasses import dataclass, field
from typing import Literal, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.schema import SchemaError, from_json, to_json


@dataclass(frozen=True)
class Circle:
    radius: float
    task: Literal["circle"] = "circle"


@dataclass(frozen=True)
class Square:
    side: int
    task: Literal["square"] = "square"


@dataclass(frozen=True)
class Drawing:
    title: str
    shapes: tuple[Union[Circle, Square], ...] = ()
    note: Union[str, None] = None
    layers: dict[str, int] = field(default_factory=dict)
    axes: tuple[Union[int, str], ...] = ()


shapes = st.one_of(
    st.builds(Circle, st.floats(allow_nan=False, allow_infinity=False)), st.builds(Square, st.integers())
)
drawings = st.builds(
    Drawing,
    st.text(),
    st.lists(shapes).map(tuple),
    st.none() | st.text(),
    st.dictionaries(st.text(), st.integers()),
    st.lists(st.integers() | st.text()).map(tuple),
)


@given(drawings)
def test_what_was_written_is_read_back_equal(drawing):
    assert from_json(Drawing, to_json(drawing)) == drawing


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "missing key 'title'"),
        ({"title": 3}, r"\$.title: expected str"),
        ({"title": "x", "extra": 1}, "unknown key 'extra'"),
        ({"title": "x", "shapes": [{"task": "oval"}]}, r"\$.shapes\[0\].task: expected one of circle, square"),
        ({"title": "x", "shapes": [{"task": "square", "side": True}]}, "expected int, found True"),
        ({"title": "x", "shapes": [{"task": "circle", "radius": float("inf")}]}, "finite"),
        ({"title": "x", "layers": []}, "expected an object"),
        ([], "expected an object"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(data, words):
    with pytest.raises(SchemaError, match=words):
        from_json(Drawing, data)
