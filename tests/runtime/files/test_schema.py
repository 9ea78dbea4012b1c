from dataclasses import dataclass, field
from typing import Literal, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.files.schema import SchemaError, from_json, grown, later, needs_of, to_json


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


integers = st.integers(1 - 2**63, 2**63 - 1)
shapes = st.one_of(st.builds(Circle, st.floats(allow_nan=False, allow_infinity=False)), st.builds(Square, integers))
plain = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
drawings = st.builds(
    Drawing,
    plain,
    st.lists(shapes).map(tuple),
    st.none() | plain,
    st.dictionaries(plain, integers),
    st.lists(integers | plain).map(tuple),
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


def test_unknown_keys_are_collected_where_a_list_is_given_and_all_else_is_as_strict():
    shapes = [{"task": "square", "side": 1, "rim": 2, "hue": [{}]}, {"task": "circle", "radius": 1, "rim": 3}]
    ignored = []
    drawing = from_json(Drawing, {"title": "x", "shapes": shapes, "extra": None}, ignored=ignored)
    assert drawing == Drawing("x", (Square(1), Circle(1.0)))
    assert ignored == ["extra", "shapes[].rim", "shapes[].hue"]
    with pytest.raises(SchemaError, match="expected int"):
        from_json(Drawing, {"title": "x", "extra": 1, "shapes": [{"task": "square", "side": "1"}]}, ignored=[])


def test_of_very_many_unknown_keys_only_some_are_kept():
    ignored = []
    from_json(Drawing, {"title": "x", **{f"key {i}": i for i in range(10_000)}}, ignored=ignored)
    assert len(ignored) == 100


@dataclass(frozen=True)
class Grown:
    title: str
    colour: str = later("black", needs="colours")
    hint: int = later(0)
    form: Literal["plain", "fine"] = grown("plain", {"fine": "fine forms"})
    parts: tuple["Grown", ...] = ()


def test_what_a_format_got_later_is_written_only_where_it_says_something():
    assert to_json(Grown("a")) == {"title": "a", "form": "plain", "parts": []}
    assert to_json(Grown("a", "red", 1)) == {"title": "a", "colour": "red", "hint": 1, "form": "plain", "parts": []}
    assert needs_of(Grown("a", hint=3)) == ()
    assert needs_of(Grown("a", parts=(Grown("b"), Grown("c", colour="red")))) == ("colours",)
    assert needs_of(Grown("a", form="fine")) == ("fine forms",)
