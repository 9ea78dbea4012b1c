from dataclasses import dataclass, field
from typing import Literal, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.files.schema import SchemaError, from_json, to_json


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
plain = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
drawings = st.builds(
    Drawing,
    plain,
    st.lists(shapes).map(tuple),
    st.none() | plain,
    st.dictionaries(plain, st.integers()),
    st.lists(st.integers() | plain).map(tuple),
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
        ({"title": "x", "shapes": [{"task": "circle", "radius": 10**400}]}, "finite"),
        ({"title": "a\ud800b"}, r"\$.title: expected text, found the character U\+D800"),
        ({"title": "\x1b[2J"}, r"U\+001B"),
        ({"title": "x", "layers": {"a\nb": 1}}, r"U\+000A"),
        ({"title": "x", "axes": ["\x7f"]}, r"\$.axes\[0\]: expected int or str"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(data, words):
    with pytest.raises(SchemaError, match=words):
        from_json(Drawing, data)
