import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import UsageError
from edge_runtime.inspect.secret import Address, Hider, Secret
from edge_runtime.outputs.settings import OutputEntry
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.station.recipe.mistakes import RecipeError

OUTPUTS = ", ".join(field.name for field in dataclasses.fields(OutputEntry))
SMALLEST = "{store: store/, stations: {belt: {source: belt.mp4, bundle: pcb.edge, outputs: [{jsonl: verdicts.jsonl}]}}}"


@pytest.fixture
def read(tmp_path):
    def reading(text, **environment):
        file = tmp_path / "station.yaml"
        file.write_text(text)
        return read_recipe(file, environment)

    return reading


@pytest.fixture
def mistakes(read):
    def found(text, **environment):
        with pytest.raises(RecipeError) as caught:
            read(text, **environment)
        return [(mistake.line, mistake.where, mistake.what) for mistake in caught.value.mistakes]

    return found


def test_the_smallest_recipe_is_one_line(read, tmp_path):
    recipe = read(SMALLEST).recipe
    belt = recipe.stations["belt"]
    assert recipe.store.path == tmp_path / "store"
    assert belt.source.reveal() == "belt.mp4"
    assert belt.bundle == tmp_path / "pcb.edge"
    assert belt.outputs[0].jsonl.path == tmp_path / "verdicts.jsonl"


def test_a_key_may_stand_for_one_value_or_for_more(read):
    text = "store: {path: s, pictures: 1.5GB}\nstations: {a: {source: '0', bundle: b, outputs: [jsonl: {path: v}]}}"
    recipe = read(text).recipe
    assert (recipe.store.path.name, recipe.store.pictures) == ("s", 1_500_000_000)
    assert recipe.stations["a"].outputs[0].jsonl.path.name == "v"


ALL_WRONG = """\
stor: x
store: {path: store, pictures: lots}
stations:
  belt:
    sorce: belt.mp4
    bundle: [a]
    outputs:
      - jsonl: v.jsonl
        jsnol: x
      - {}
  "a b": {source: "rtsp://u:${NOPE}@cam", bundle: x.edge, pictures: {ok_every: -1, ng: yes}}
  c: {source: 0, bundle: "x${HOME}", pictures: {ok_every: -1}}
  belt: 3
"""


def test_all_mistakes_are_told_at_once_with_their_lines(mistakes):
    assert mistakes(ALL_WRONG) == [
        (1, "stor", "unknown key; did you mean store?"),
        (2, "store.pictures", "expected a size such as 160MB or 1.5GiB, found 'lots'"),
        (5, "stations.belt", "the key source is missing"),
        (5, "stations.belt.sorce", "unknown key; did you mean source?"),
        (6, "stations.belt.bundle", "expected a path, found a list"),
        (8, "stations.belt.outputs[0]", f"expected exactly one of {OUTPUTS}, found 2"),
        (9, "stations.belt.outputs[0].jsnol", "unknown key; did you mean jsonl?"),
        (10, "stations.belt.outputs[1]", f"expected exactly one of {OUTPUTS}, found 0"),
        (11, "stations.a b", "a name has letters, digits, - and _, 64 at most"),
        (11, "stations.a b.pictures.ng", "expected true or false, found 'yes'"),
        (11, "stations.a b.source", "the environment has no 'NOPE'; export it, or write the value"),
        (
            12,
            "stations.c.bundle",
            "${HOME} is for secrets, and what stands here is shown in logs and records; write it out",
        ),
        (12, "stations.c.pictures", "ok_every is the N of each Nth part, 0 for none; it cannot be less"),
        (13, "belt", "the key stands in line 4 already"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "the file is empty"),
        ("store: [", 1, "this is no YAML"),
        ("store: x\nstations: {a: b: c}", 2, "this is no YAML"),
        ("- a", 1, "expected keys (store, stations, updates), found a list"),
        ("store: x\nstations: {}", 2, "expected one at least, found none"),
        ("store: x\nstations: none", 2, "expected names with what they stand for, found 'none'"),
        ("store:\nstations: {a: {source: 0, bundle: b}}", 1, "expected a path, found ''"),
        ("store: x\n? [a]\n: b\nstations: {a: {source: 0, bundle: b}}", 2, "a key must be a word"),
        ("store: x\nstations: {a: {source: 0, bundle: b, pictures: {ok_every: 1:30}}}", 2, "a whole number"),
        ("a: &x [*x]", 1, "levels deep, or an alias of itself"),
        ("a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d]", 1, "values: no recipe has so many"),
        ("store: \x07", 1, "this is no YAML"),
    ],
)  # fmt: skip
def test_what_is_no_recipe_is_told_in_its_line(mistakes, text, line, what):
    found = mistakes(text)
    assert any(line == number and what in told for number, _, told in found), found


@given(st.text(max_size=60))
def test_no_text_is_anything_but_a_recipe_or_mistakes(tmp_path, text):
    file = tmp_path / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UsageError):
        read_recipe(file, {})


def test_words_that_yaml_takes_for_something_else_are_what_they_look_like(read):
    recipe = read("store: no\nstations: {on: {source: 0123, bundle: 1e3}}").recipe
    assert recipe.store.path.name == "no"
    assert recipe.stations["on"].source.reveal() == "0123"
    assert recipe.stations["on"].bundle.name == "1e3"


def test_aliases_say_a_thing_once(read):
    recipe = read(
        "store: s\nstations:\n  a: {source: 0, bundle: b, outputs: &o [jsonl: v]}\n"
        "  b: {source: 1, bundle: b, outputs: *o}"
    ).recipe
    assert recipe.stations["a"].outputs == recipe.stations["b"].outputs


def test_secrets_are_put_in_and_never_shown(read):
    text = "store: s\nstations: {a: {source: 'rtsp://me:${CAM}@cam/${ CAM }/x', bundle: b}}"
    loaded = read(text, CAM="geheim!")
    source = loaded.recipe.stations["a"].source
    assert source.reveal() == "rtsp://me:geheim!@cam/geheim!/x"
    shown = [str(source), repr(source), f"{source}", f"{source:>50}", repr(loaded), str(loaded.recipe), f"{loaded!r}"]
    assert not any("geheim" in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(source)
    assert loaded.hider.json({"a": ["x geheim! y", 3]}) == {"a": ["x ${CAM} y", 3]}


def test_an_address_without_a_variable_shows_itself_but_for_its_password():
    assert str(Address("belt.mp4", "belt.mp4")) == "belt.mp4"
    assert "pass" not in str(Address("rtsp://me:pass@cam/1", "rtsp://me:pass@cam/1"))
    assert str(Secret("token", "token")) == "***"


def test_a_value_that_stands_everywhere_by_chance_is_not_taken_out():
    assert Hider([Secret("${A}", "1", {"A": "1"})]).text("seq 1") == "seq 1"


def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_recipe(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match="no UTF-8"):
        read_recipe(tmp_path / "bytes.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(UsageError, match="no recipe"):
        read_recipe(tmp_path / "large.yaml")
