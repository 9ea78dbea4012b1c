import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_cases import ANOMALY, CLASSIFIER, DETECTOR, PICTURE, SEGMENTER, answer, facts_of, found, ruled, rules_of

from edge_runtime.bundle.facts import VerdictRule
from edge_runtime.bundle.postprocess_spec import Classify
from edge_runtime.results import Mask, OrientedBox, Prediction
from edge_runtime.station.rules.apply import apply
from edge_runtime.station.rules.things import Picture

WORST_FIRST = ("NG", "NO_READ", "WARN", "OK")


def told(text, *predictions, **more):
    answered = ruled(text, answer(*predictions), **more)
    return answered.verdict, list(answered.reasons)


def test_without_rules_the_bundle_says_it():
    result = answer(found("scratch", 0.9, 50, 50), verdict="NG", reasons=["scratch x1"])
    assert (apply({}, DETECTOR, result, PICTURE, {}).verdict, *apply({}, DETECTOR, result, PICTURE, {}).reasons) == (
        "NG", "scratch x1",
    )  # fmt: skip


def test_a_rule_without_a_word_allows_nothing_and_names_itself():
    assert told("{clean: {}}", found("screw", 0.9, 50, 50), found("screw", 0.8, 90, 50)) == ("NG", ["clean: screw x2"])
    assert told("{clean: {}}") == ("OK", [])
    assert told("{clean: {}}", found("screw", 0.49, 50, 50)) == ("OK", [])


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        ("{classes: scratch}", True),
        ("{classes: [screw, scratch]}", True),
        ("{classes: screw}", False),
        ("{score: 0.3}", True),
        ("{score: 0.4}", True),
        ("{score: 0.41}", False),
        ("{score: 0.3, width: {min: 20}}", True),
        ("{score: 0.3, width: {min: 10%}}", True),
        ("{score: 0.3, width: {min: 10.1%}}", False),
        ("{score: 0.3, height: {max: 10%}}", True),
        ("{score: 0.3, height: {max: 9}}", False),
        ("{score: 0.3, area: {min: 1%, max: 200px}}", True),
        ("{score: 0.3, area: {min: 1.1%}}", False),
        ("{score: 0.3, zone: {polygon: [[0%, 0%], [50%, 0%], [50%, 100%], [0%, 100%]]}}", True),
        ("{score: 0.3, zone: [[0, 0], [49, 0], [49, 100], [0, 100]]}", False),
        ("{score: 0.3, zone: {polygon: [[0, 0], [49, 0], [49, 100], [0, 100]], where: overlap}}", True),
        ("{score: 0.3, zone: {polygon: [[0, 0], [49, 0], [49, 100], [0, 100]], where: inside}}", False),
        ("{score: 0.3, zone: {polygon: [[0, 0], [60, 0], [60, 100], [0, 100]], where: inside}}", True),
        ("{score: 0.3, zone: {polygon: [[0, 0], [49, 0], [49, 100], [0, 100]], where: outside}}", True),
        ("{score: 0.3, zone: {polygon: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], where: inside}}", True),
        ("{score: 0.3, zone: {polygon: [[0, 0], [0.24, 0], [0.24, 1], [0, 1]]}}", False),
        ("{score: 0.3, zone: {polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}}", True),
        ("{score: 0.3, distance: {point: [0.25, 0.2], max: 30}}", True),
        ("{score: 0.3, distance: {point: [50, 20], max: 30}}", True),
        ("{score: 0.3, distance: {point: [50, 20], max: 25, between: edges}}", True),
        ("{score: 0.3, distance: {point: [50, 20], max: 24, between: edges}}", False),
        ("{score: 0.3, distance: {line: [[0, 90], [200, 90]], max: 20%}}", True),
        ("{score: 0.3, distance: {line: [[0, 90], [200, 90]], min: 41}}", False),
        ("{score: 0.3, distance: {classes: screw, min: 1000}}", True),
    ],
)  # fmt: skip
def test_what_counts_is_said_by_class_score_size_zone_and_distance(rule, counts):
    score = 0.6 if ("classes: s" in rule and "score" not in rule) or rule.startswith("{classes") else 0.4
    scratch = found("scratch", score, 50, 50, 20, 10)
    assert told(f"{{r: {rule}}}", scratch)[0] == ("NG" if counts else "OK")


def test_how_far_things_of_two_classes_are_from_each_other():
    alone = "{loose: {classes: screw, distance: {classes: washer, min: 15}}}"
    assert told(alone, found("screw", 0.9, 50, 50), found("washer", 0.9, 60, 50)) == ("OK", [])
    assert told(alone, found("screw", 0.9, 50, 50), found("washer", 0.9, 70, 50)) == ("NG", ["loose: screw x1"])
    assert told(alone, found("screw", 0.9, 50, 50), found("washer", 0.49, 50, 50)) == ("NG", ["loose: screw x1"])
    close = "{crowded: {classes: screw, distance: {classes: screw, max: 10, between: edges}}}"
    assert told(close, found("screw", 0.9, 50, 50)) == ("OK", [])
    assert told(close, found("screw", 0.9, 50, 50), found("screw", 0.8, 70, 50)) == ("NG", ["crowded: screw x2"])


SCREWS = """{screws: {classes: screw, places: [{at: [10%, 10%], within: 5%}, {at: [90%, 10%], within: 5%},
 {at: [10%, 90%], within: 5%}, {at: [90%, 90%], within: 5%}]}}"""
FOUR = [found("screw", 0.9, x, y) for x in (20, 180) for y in (10, 90)]


def test_each_expected_thing_must_be_at_its_place():
    assert told(SCREWS, *FOUR) == ("OK", [])
    assert told(SCREWS, *FOUR[:3]) == ("NG", ["screws: screw missing at (90%, 90%)"])
    assert told(SCREWS, *FOUR[:3], found("washer", 0.9, 180, 90)) == ("NG", ["screws: screw missing at (90%, 90%)"])
    assert told(SCREWS, *FOUR[:3], found("screw", 0.9, 180, 79)) == ("NG", ["screws: screw missing at (90%, 90%)"])
    assert told(SCREWS, *FOUR[:3], found("screw", 0.9, 180, 81)) == ("OK", [])
    assert told(SCREWS) == ("NG", ["screws: screw missing at (10%, 10%), (90%, 10%), (10%, 90%), (90%, 90%)"])
    more = SCREWS.replace("places", "count: 4, places")
    assert told(more, *FOUR, found("screw", 0.9, 100, 50)) == ("NG", ["screws: screw x5, expected 4"])


def test_one_thing_is_not_at_two_places():
    near = "{two: {classes: screw, places: [{at: [50, 50], within: 20}, {at: [60, 50], within: 20}]}}"
    assert told(near, found("screw", 0.9, 55, 50))[0] == "NG"
    assert told(near, found("screw", 0.9, 55, 50), found("screw", 0.9, 66, 50))[0] == "OK"
    assert told(near, found("screw", 0.9, 59, 50), found("screw", 0.9, 79, 50))[0] == "OK"


@pytest.mark.parametrize(
    ("count", "allowed"),
    [("4", {4}), ("{min: 3}", {3, 4, 5}), ("{max: 1}", {0, 1}), ("{min: 2, max: 3}", {2, 3}), ("0", {0})],
)
def test_how_many_there_may_be(count, allowed):
    for number in range(6):
        things = [found("screw", 0.9, 20 * one + 10, 50) for one in range(number)]
        verdict, reasons = told(f"{{n: {{classes: screw, count: {count}}}}}", *things)
        assert (verdict == "OK") == (number in allowed), (number, reasons)
    assert told("{n: {classes: screw, count: 4}}") == ("NG", ["n: no screw, expected 4"])


def test_warn_is_between_ok_and_ng_and_only_where_it_is_asked_for():
    both = "{burr: {classes: washer, verdict: WARN}, cut: {classes: scratch}}"
    assert told(both, found("washer", 0.9, 50, 50)) == ("WARN", ["burr: washer x1"])
    assert told(both, found("washer", 0.9, 50, 50), found("scratch", 0.9, 50, 50)) == (
        "NG", ["cut: scratch x1", "burr: washer x1"],
    )  # fmt: skip


def test_what_the_model_did_not_judge_no_rule_makes_ok():
    unread = answer(verdict="NO_READ", reasons=["the anomaly score is nan"])
    answered = ruled("{burr: {classes: washer}}", unread)
    assert (answered.verdict, answered.reasons) == ("NO_READ", ("the anomaly score is nan",))
    torn = answer(found("washer", 0.9, 5, 5), verdict="NO_READ", reasons=["torn"])
    assert ruled("{burr: {classes: washer, verdict: WARN}}", torn).verdict == "NO_READ"
    assert ruled("{burr: {classes: washer}}", torn).verdict == "NG"


def test_classes_of_a_picture_of_which_none_is_sure_are_not_ok():
    def classes(good, bad):
        return answer(Prediction("good", 0, good), Prediction("bad", 1, bad))

    rule = "{bad: {classes: [bad, worse], score: 0.3}}"
    assert ruled(rule, classes(0.9, 0.1), CLASSIFIER).verdict == "OK"
    assert ruled(rule, classes(0.7, 0.3), CLASSIFIER).verdict == "NG"
    doubtful = {"verdict": "NO_READ", "reasons": ["undecided: best class good 0.45 < 0.50"]}
    undecided = ruled(rule, dataclasses.replace(classes(0.45, 0.2), **doubtful), CLASSIFIER)
    assert (undecided.verdict, list(undecided.reasons)) == ("NO_READ", doubtful["reasons"])
    assert ruled(rule, dataclasses.replace(classes(0.45, 0.35), **doubtful), CLASSIFIER).verdict == "NG"
    several = facts_of(Classify(activation="sigmoid"), ("good", "bad", "worse"), VerdictRule("any", ("bad",)))
    assert ruled(rule, classes(0.45, 0.2), several).verdict == "OK"
    assert ruled(rule, classes(0.9, 0.1), CLASSIFIER).shown == (0,)  # top_k
    assert ruled(rule, classes(0.7, 0.3), CLASSIFIER).shown == (0, 1)


def test_a_regions_least_size_is_the_bundles_unless_a_rule_says_one():
    speck = found("rust", 0.9, 50, 50, 10, 10, area=0.005)
    assert ruled("{rust: {}}", answer(speck), SEGMENTER).verdict == "OK"
    seen = ruled("{rust: {area: {min: 50}}}", answer(speck), SEGMENTER)
    assert (seen.verdict, seen.shown) == ("NG", (0,))
    assert ruled("{rust: {area: {min: 101}}}", answer(speck), SEGMENTER).verdict == "OK"


def test_the_score_of_a_picture():
    assert ruled("{odd: {anomaly: 0.6}}", answer(score=0.59), ANOMALY).verdict == "OK"
    answered = ruled("{odd: {anomaly: 0.6, verdict: WARN}}", answer(score=0.6), ANOMALY)
    assert (answered.verdict, answered.reasons) == ("WARN", ("odd: anomaly score 0.60 >= 0.60",))


def test_frames_in_a_row_are_counted_and_one_without_begins_anew():
    rule = "{flash: {classes: scratch, frames: 3}}"
    seen = [True, True, False, True, True, True, True, False]
    before, verdicts, reasons = {}, [], []
    for one in seen:
        answered = ruled(rule, answer(*[found("scratch", 0.9, 5, 5)] * one), before=before)
        before = answered.streaks
        verdicts.append(answered.verdict)
        reasons += answered.reasons
    assert verdicts == ["OK", "OK", "OK", "OK", "OK", "NG", "NG", "OK"]
    assert reasons == ["flash: scratch x1, in 3 frames", "flash: scratch x1, in 4 frames"]


def test_pixels_are_those_of_the_original_where_a_picture_was_decoded_smaller():
    half = Picture(200, 100, 2.0, 2.0)
    scratch = answer(found("scratch", 0.9, 25, 25, 10, 5))
    for text, verdict in (
        ("{r: {width: {min: 20}, height: {min: 10}}}", "NG"),
        ("{r: {width: {min: 21}}}", "OK"),
        ("{r: {distance: {point: [50, 50], max: 0}}}", "NG"),
    ):
        assert apply(rules_of(text), DETECTOR, scratch, half, {}).verdict == verdict


def test_places_move_with_the_scene_where_it_is_registered():
    moved = Picture(200, 100, moved=(1.0, 0.0, 30.0, 0.0, 1.0, -5.0))
    screw = answer(found("screw", 0.9, 80, 45))
    rule = rules_of("{s: {classes: screw, places: [{at: [25%, 50%], within: 1}]}}")
    assert apply(rule, DETECTOR, screw, moved, {}).verdict == "OK"
    assert apply(rule, DETECTOR, screw, PICTURE, {}).verdict == "NG"


def test_a_turned_box_is_as_wide_as_it_is_by_itself():
    turned = dataclasses.replace(found("screw", 0.9, 50, 50, 30, 30), oriented=OrientedBox(50, 50, 40, 2, math.pi / 4))
    assert told("{r: {width: {min: 39.9, max: 40.1}, height: {min: 1.9, max: 2.1}}}", turned)[0] == "NG"
    beside = "{r: {zone: {polygon: [[55, 35], [65, 35], [65, 42], [55, 42]], where: overlap}}}"
    assert told(beside, turned)[0] == "OK"  # within the upright box, and not within the turned one
    assert told(beside, dataclasses.replace(turned, oriented=None))[0] == "NG"


def test_a_mask_lies_in_a_zone_by_its_pixels():
    inside = np.zeros((10, 10), np.bool_)
    inside[:, :3] = True
    masked = dataclasses.replace(found("rust", 0.9, 50, 50), mask=Mask(45, 45, inside), area=30 / 20000)
    right = "[[49, 40], [60, 40], [60, 60], [49, 60]]"
    left = "[[40, 40], [49, 40], [49, 60], [40, 60]]"
    assert told(f"{{r: {{zone: {{polygon: {right}, where: overlap}}}}}}", masked)[0] == "OK"
    assert told(f"{{r: {{zone: {{polygon: {left}, where: inside}}}}}}", masked)[0] == "NG"
    assert told("{r: {area: {min: 31}}}", masked)[0] == "OK"
    assert told("{r: {area: {max: 30}}}", masked)[0] == "NG"


def test_what_a_rule_counted_is_shown_beside_what_the_bundle_reports():
    faint, clear = found("scratch", 0.2, 50, 50), found("screw", 0.9, 20, 20)
    assert ruled("{r: {classes: scratch, score: 0.1}}", answer(faint, clear)).shown == (0, 1)
    assert ruled("{r: {classes: screw}}", answer(faint, clear)).shown == (0,)


things = st.lists(
    st.builds(
        found,
        st.sampled_from(["screw", "washer", "scratch"]),
        st.floats(0, 1),
        st.floats(0, 200),
        st.floats(0, 100),
        st.floats(1, 60),
        st.floats(1, 60),
    ),
    max_size=6,
)
FORBIDDING = """{
 a: {classes: scratch, score: 0.3},
 b: {classes: [screw, washer], count: {max: 2}, verdict: WARN},
 c: {classes: scratch, width: {min: 5%}, score: 0.1,
     zone: {polygon: [[10%, 10%], [90%, 10%], [50%, 90%]], where: overlap}},
 d: {distance: {classes: scratch, max: 20, between: edges}, score: 0.2},
 e: {distance: {line: [[0, 0], [200, 100]], max: 3}, classes: washer},
 f: {classes: scratch, score: 0.1, frames: 2}}"""


@given(things, things, st.integers(0, 2))
def test_one_more_thing_never_makes_a_verdict_better_where_rules_forbid(some, more, streak):
    rules = rules_of(FORBIDDING)
    one = apply(rules, DETECTOR, answer(*some), PICTURE, {"f": streak})
    both = apply(rules, DETECTOR, answer(*some, *more), PICTURE, {"f": streak})
    assert WORST_FIRST.index(both.verdict) <= WORST_FIRST.index(one.verdict)
    assert all(both.streaks[name] >= one.streaks[name] for name in one.streaks)


@given(things, st.floats(0, 1))
def test_a_higher_score_never_makes_a_verdict_better_where_rules_forbid(some, raised):
    rules = rules_of(FORBIDDING)
    higher = [dataclasses.replace(one, confidence=max(one.confidence, raised)) for one in some]
    lower, upper = (apply(rules, DETECTOR, answer(*one), PICTURE, {}) for one in (some, higher))
    assert WORST_FIRST.index(upper.verdict) <= WORST_FIRST.index(lower.verdict)


@given(things)
def test_nothing_is_ok_while_an_expected_thing_is_not_there(some):
    answered = apply(rules_of(SCREWS), DETECTOR, answer(*some), PICTURE, {})
    sure = [one for one in some if one.name == "screw" and one.confidence >= 0.5]
    there = [
        any(math.dist(((one.box.x1 + one.box.x2) / 2, (one.box.y1 + one.box.y2) / 2), at) <= 10 + 1e-9 for one in sure)
        for at in ((20, 10), (180, 10), (20, 90), (180, 90))
    ]
    assert all(there) or answered.verdict == "NG"


@given(things)
def test_the_order_in_which_things_are_told_does_not_matter(some):
    rules = rules_of(FORBIDDING)
    one, other = (
        apply(rules, DETECTOR, dataclasses.replace(answer(), predictions=tuple(order)), PICTURE, {})
        for order in (some, some[::-1])
    )
    assert (one.verdict, one.reasons) == (other.verdict, other.reasons)
