import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_cases import ANOMALY, CLASSIFIER, DETECTOR, PICTURE, answer, facts_of, found, rules_of

from edge_runtime.bundle.facts import VerdictRule
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import UsageError
from edge_runtime.results import Prediction
from edge_runtime.station.rules.against import Floor
from edge_runtime.station.rules.apply import apply
from edge_runtime.station.thresholds.choose import Costs, choose, tally
from edge_runtime.station.thresholds.dials import LOWEST, Measured, panel_of

scores = st.integers(0, 100).map(lambda value: value / 100)
rows = st.lists(st.tuples(scores, st.booleans(), st.booleans()), min_size=1, max_size=25)
EQUAL = Costs(1.0, 1.0, 0.5)


def pictures(values, always=False):
    return [Measured((value,), always, False, "OK") for value in values]


def test_what_can_be_told_apart_is_in_the_middle():
    good, bad = [0.0, 0.1, 0.3], [0.8, 0.9]
    (threshold,) = choose(pictures(good + bad), [False] * 3 + [True] * 2, [0.5], EQUAL)
    assert threshold == pytest.approx(0.55)


def test_the_dearer_mistake_is_made_less():
    values, bad = [0.2, 0.4, 0.6, 0.8], [False, True, False, True]
    (low,) = choose(pictures(values), bad, [0.5], Costs(10.0, 1.0, 0.5))
    (high,) = choose(pictures(values), bad, [0.5], Costs(1.0, 10.0, 0.5))
    assert 0.2 < low <= 0.4
    assert 0.6 < high <= 0.8


@given(rows, st.sampled_from([Costs(), EQUAL, Costs(1.0, 30.0, 0.2)]))
def test_no_threshold_costs_less(rows, costs):
    measured = [Measured((value,), False, unread, "OK") for value, _, unread in rows]
    bad = [is_bad for _, is_bad, _ in rows]
    (threshold,) = choose(measured, bad, [0.5], costs)
    assert LOWEST <= threshold <= 1.0
    tried = [number / 1000 for number in range(50, 1001, 5)]
    best = min(tally(measured, bad, [one]).cost(costs) for one in tried)
    assert tally(measured, bad, [threshold]).cost(costs) <= best + 1e-9


@given(st.lists(st.tuples(scores, scores, st.booleans()), min_size=1, max_size=12))
def test_several_thresholds_are_never_worse_than_those_of_now(rows):
    measured = [Measured((one, other), False, False, "OK") for one, other, _ in rows]
    bad = [is_bad for _, _, is_bad in rows]
    found = choose(measured, bad, [0.5, 0.5], EQUAL)
    assert tally(measured, bad, found).cost(EQUAL) <= tally(measured, bad, [0.5, 0.5]).cost(EQUAL) + 1e-9


def test_what_was_not_judged_is_no_escape_and_no_overkill():
    measured = [Measured((0.0,), False, True, "NO_READ"), Measured((0.0,), True, False, "NG")]
    found = tally(measured, [True, False], [0.5])
    assert (found.escapes, found.overkills, found.unread) == (0, 1, 1)
    now = tally(measured, [True, False], None)
    assert (now.escapes, now.overkills, now.unread) == (0, 1, 1)


RULES = """{
 cuts: {classes: scratch, width: {min: 5}},
 screws: {classes: screw, count: {max: 1}},
 four: {classes: screw, count: {min: 1}},
 often: {classes: scratch, frames: 3},
 faint: {classes: washer, verdict: WARN}}"""


def test_each_rule_that_forbids_something_has_a_dial():
    panel = panel_of(rules_of(RULES), DETECTOR)
    assert [(dial.key, dial.now) for dial in panel.dials] == [("rules.cuts.score", 0.5), ("rules.screws.score", 0.5)]
    assert list(panel.fixed) == ["four"]
    assert [note.split()[0] for note in panel.notes] == ["often", "faint", "four"]
    assert panel.floor == Floor(LOWEST, None, True)


@given(
    st.lists(
        st.builds(found, st.sampled_from(["screw", "scratch"]), scores, st.just(50), st.just(50), st.floats(1, 9)),
        max_size=5,
    ),
    st.floats(LOWEST, 1),
    st.floats(LOWEST, 1),
)
def test_a_picture_is_ng_from_the_value_on_that_was_measured(things, cut, screw):
    rules = rules_of(RULES)
    panel = panel_of(rules, DETECTOR)
    result = answer(*things)
    one = panel.measure(result, PICTURE, DETECTOR)
    turned = {**panel.fixed, **{dial.name: dial.at(t) for dial, t in zip(panel.dials, (cut, screw), strict=True)}}
    verdict = apply(turned, DETECTOR, result, PICTURE, {}).verdict
    expected = one.always or one.values[0] >= cut or one.values[1] >= screw
    assert (verdict == "NG") == expected
    assert one.now == apply(panel.rules, DETECTOR, result, PICTURE, {}).verdict


def test_without_rules_the_bundles_own_verdict_has_a_dial():
    panel = panel_of({}, DETECTOR)
    (dial,) = panel.dials
    assert dial.rule.classes == ("scratch",)
    result = answer(found("scratch", 0.4, 5, 5), found("screw", 0.9, 5, 5))
    assert panel.measure(result, PICTURE, DETECTOR) == Measured((0.4,), False, False, "OK")
    (dial,) = panel_of({}, ANOMALY).dials
    assert dial.rule.anomaly == 0.5
    one = panel_of({}, ANOMALY).measure(answer(score=0.7), PICTURE, ANOMALY)
    assert one == Measured((0.7,), False, False, "NG")
    panel = panel_of({}, CLASSIFIER)
    assert panel.dials[0].rule.classes == ("bad", "worse")
    classes = answer(Prediction("good", 0, 0.6), Prediction("bad", 1, 0.4))
    assert panel.measure(classes, PICTURE, CLASSIFIER) == Measured((0.4,), False, False, "OK")


def test_what_has_no_threshold_is_said():
    with pytest.raises(UsageError, match="no rule of this station has a threshold"):
        panel_of(rules_of("{four: {classes: screw, count: 4}}"), DETECTOR)
    with pytest.raises(UsageError, match="the bundle does not judge"):
        panel_of({}, facts_of(Detect(), ("a",), VerdictRule()))


def test_more_thresholds_than_one_find_what_each_is_for():
    values = list(itertools.product((0.1, 0.9), (0.2, 0.8)))
    measured = [Measured(pair, False, False, "OK") for pair in values]
    found_ones = choose(measured, [one > 0.5 or other > 0.5 for one, other in values], [0.05, 0.95], EQUAL)
    assert 0.1 < found_ones[0] <= 0.9
    assert 0.2 < found_ones[1] <= 0.8
