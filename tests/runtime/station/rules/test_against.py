import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_cases import ANOMALY, CLASSIFIER, DETECTOR, SEGMENTER, facts_of, rules_of

from edge_runtime.bundle.facts import VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Detect, Raw, Segment
from edge_runtime.errors import UsageError
from edge_runtime.files.schema import from_json, to_json
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.station.recipe.mistakes import RecipeError
from edge_runtime.station.rules.against import Floor, floor_of, misfits
from edge_runtime.station.rules.held import read_down, written_down
from edge_runtime.station.rules.settings import Extent, Rule

SCORE_ONLY = facts_of(Anomaly(map_output="out", score_output="out"), (), VerdictRule("score"))
OVERLAPPING = facts_of(
    Segment(multilabel=True, background=-1, activation="sigmoid"), ("rust", "dent"), VerdictRule("any")
)
UNLABELLED = facts_of(Detect(), (), VerdictRule("any"))


@pytest.mark.parametrize(
    ("text", "facts", "mistakes"),
    [
        ("{a: {classes: scratch}}", DETECTOR, []),
        ("{a: {classes: [screw, scrach]}}", DETECTOR,
         [("a.classes", "the bundle has no class 'scrach'; it has screw, washer, scratch")]),
        ("{a: {distance: {classes: nut, max: 3}}}", DETECTOR,
         [("a.distance.classes", "the bundle has no class 'nut'; it has screw, washer, scratch")]),
        ("{a: {classes: class_7}}", UNLABELLED, []),
        ("{a: {classes: screw}}", UNLABELLED,
         [("a.classes", "the bundle has no class 'screw'; it has no labels: class_0, class_1, ...")]),
        ("{a: {anomaly: 0.5}}", DETECTOR,
         [("a.anomaly", "the bundle gives no anomaly score; name classes, or leave it out")]),
        ("{a: {anomaly: 0.5}, b: {classes: anomalous, area: {min: 3}}}", ANOMALY, []),
        ("{a: {classes: normal}}", ANOMALY, [("a.classes", "the bundle has no class 'normal'; it has anomalous")]),
        ("{a: {score: 0.3}, b: {score: 0.3}}", ANOMALY, []),
        ("{a: {score: 0.3}, b: {}}", ANOMALY,
         [("", "the regions of an anomaly map are cut at one score, found 0.3, 0.5; give all rules the same")]),
        ("{a: {area: {min: 3}}}", SCORE_ONLY,
         [("a", "the bundle gives an anomaly score and no regions; write anomaly: 0.5")]),
        ("{a: {classes: background}}", SEGMENTER,
         [("a.classes", "the bundle has no class 'background'; it has rust, dent")]),
        ("{a: {score: 0.4}}", OVERLAPPING,
         [("a.score", "a pixel belongs to a class of this bundle from 0.5 on, so that nothing is below it")]),
        ("{a: {classes: bad, area: {min: 3}, places: [{at: [1, 2], within: 3}]}}", CLASSIFIER,
         [("a.area", "the bundle tells what is in a picture, and not where; leave it out"),
          ("a.places", "the bundle tells what is in a picture, and not where; leave it out")]),
    ],
)  # fmt: skip
def test_what_a_bundle_cannot_do_for_a_rule_is_a_mistake_of_its_key(text, facts, mistakes):
    assert list(misfits(rules_of(text), facts)) == mistakes


@pytest.mark.parametrize("spec", [Raw(), Detect()])
def test_rules_do_not_judge_by_what_was_not_confirmed(spec):
    ((key, what),) = misfits(rules_of("{a: {}}"), facts_of(spec, (), VerdictRule()))
    assert key == ""
    assert "the bundle does not judge" in what
    assert list(misfits({}, facts_of(spec, (), VerdictRule()))) == []


@pytest.mark.parametrize(
    ("text", "facts", "floor"),
    [
        ("{a: {score: 0.7}}", DETECTOR, Floor(None, None, True)),
        ("{a: {score: 0.7}, b: {score: 0.1}, c: {score: 0.2}}", DETECTOR, Floor(0.1, None, True)),
        ("{a: {score: 0.1}}", CLASSIFIER, Floor(None, None, True)),
        ("{a: {score: 0.1, width: {min: 3}}}", SEGMENTER, Floor(0.1, 0.0, True)),
        ("{a: {}}", SEGMENTER, Floor(None, None, True)),
        ("{a: {score: 0.7}}", ANOMALY, Floor(0.7, None, True)),
        ("{a: {anomaly: 0.1}}", ANOMALY, Floor(None, None, True)),
    ],
)
def test_the_engine_gives_what_the_lowest_rule_looks_for(text, facts, floor):
    assert floor_of(rules_of(text), facts) == floor
    assert floor_of({}, facts) == Floor()


STATION = "store: s\nstations:\n  a:\n    source: 0\n    bundle: b\n    rules:\n"


@pytest.mark.parametrize(
    ("rule", "line", "what"),
    [
        ("{clas: x}", 7, "unknown key; did you mean classes?"),
        ("{score: 1.5}", 7, "score is 0 to 1, found 1.5"),
        ("{width: {}}", 7, "expected min, max or both"),
        ("{width: {min: 30, max: 20}}", 7, "min 30 is above max 20"),
        ("{width: {min: 0.5}}", 7, "0.5 is less than a pixel; of the picture that is 50%"),
        ("{width: {min: 5mm}}", 7, "expected pixels or a share of the picture, such as 12 or 2.5%, found '5mm'"),
        ("{zone: {polygon: [[0, 0], [0.5, 0], [200, 1]]}}", 7, "numbers below 1 and above it: write all as fractions"),
        ("{distance: {point: [0.5, 30], max: 3}}", 7, "numbers below 1 and above it"),
        ("{places: [{at: [0.5, 0.5], within: 0.1}]}", 7, "0.1 is less than a pixel; of the picture that is 10%"),
        ("{zone: {polygon: [[0, 0], [10, 0]]}}", 7, "a zone has three corners at least, found 2"),
        ("{zone: {polygon: [[0, 0, 1]]}}", 7, "expected [x, y], found 3 values"),
        ("{distance: {max: 3}}", 7, "expected exactly one of classes, point, line, found 0"),
        ("{distance: {line: [[1, 2]], max: 3}}", 7, "a line goes through two places at least"),
        ("{count: {}}", 7, "expected a number, or min, max or both"),
        ("{count: {min: 3, max: 2}}", 7, "min 3 is above max 2"),
        ("{count: {min: 0}}", 7, "min 0 allows everything"),
        ("{count: 5000}", 7, "a count is 0 to 999"),
        ("{frames: 0}", 7, "frames is how many in a row: 1 or more"),
        ("{verdict: OK}", 7, "expected one of NG, WARN, found 'OK'"),
        ("{anomaly: 0.5, classes: x}", 7, "it stands alone"),
        ("{places: [{at: [1, 2]}]}", 7, "the key within is missing"),
        ("3", 7, "expected keys (classes, "),
    ],
)
def test_a_rule_that_makes_no_sense_is_told_in_its_line(tmp_path, rule, line, what):
    file = tmp_path / "station.yaml"
    file.write_text(f"{STATION}      r: {rule}\n")
    with pytest.raises(RecipeError) as caught:
        read_recipe(file, {})
    assert any(one.line == line and what in one.what for one in caught.value.mistakes), caught.value.mistakes


def test_rules_that_were_written_down_are_read_as_they_were():
    rules = rules_of(
        "{a: {classes: x, score: 0.1, width: {min: 2.5%}, zone: {polygon: [[0, 0], [9%, 1], [3, 3]], where: inside},"
        " distance: {line: [[1, 2], [3, 4]], max: 7}, count: 3, places: [{at: [1, 2%], within: 3}], frames: 2,"
        " verdict: WARN}, b: {}}"
    )
    assert list(read_down(written_down(rules)).items()) == list(rules.items())


@given(st.floats(0, 1), st.floats(0, 1e6), st.booleans())
def test_numbers_survive_being_written_down(score, value, percent):
    rule = Rule(score=score, places=())
    assert from_json(Rule, to_json(rule)) == rule
    assert from_json(Extent, to_json(Extent(value, percent))) == Extent(value, percent)


@given(st.text(max_size=8))
def test_no_text_is_anything_but_an_extent_or_a_mistake(text):
    try:
        found = Extent.parse(text)
    except ValueError:
        return
    assert found.value == 0 or found.percent or found.value >= 1


def test_a_recipe_error_is_one_of_usage():
    assert issubclass(RecipeError, UsageError)
