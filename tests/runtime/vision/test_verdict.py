from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.bundle.facts import VerdictRule
from edge_runtime.errors import BundleError
from edge_runtime.results import Prediction
from edge_runtime.vision.verdict import check_rule, judge

HALF = 0.5


def seen(*named: tuple[str, float]) -> tuple[Prediction, ...]:
    return tuple(Prediction(name, 0, confidence) for name, confidence in named)


def test_any_object_makes_a_frame_ng_and_reasons_are_counted_and_sorted() -> None:
    predictions = seen(("spur", 0.9), ("open", 0.8), ("short", 0.8), ("open", 0.7))
    assert judge(VerdictRule("any"), HALF, predictions) == ("NG", ("open x2", "short x1", "spur x1"))


def test_any_looks_at_its_own_classes_only() -> None:
    rule = VerdictRule("any", classes=("short",))
    assert judge(rule, HALF, seen(("open", 0.9))) == ("OK", ())
    assert judge(rule, HALF, seen(("open", 0.9), ("short", 0.6))) == ("NG", ("short x1",))


def test_any_with_nothing_found_is_ok() -> None:
    assert judge(VerdictRule("any"), HALF, ()) == ("OK", ())


def test_any_does_not_count_what_is_below_the_threshold() -> None:
    assert judge(VerdictRule("any"), HALF, seen(("cat", 0.4))) == ("OK", ())


def test_any_is_undecided_where_one_class_must_be_true_and_none_is_likely() -> None:
    rule = VerdictRule("any", classes=("defective",))
    predictions = seen(("good", 0.41), ("defective", 0.4))
    reason = "undecided: best class good 0.41 < 0.50"
    assert judge(rule, HALF, predictions, exclusive=True) == ("NO_READ", (reason,))


def test_the_best_class_decides() -> None:
    rule = VerdictRule("class", ok_classes=("good",))
    assert judge(rule, HALF, seen(("good", 0.9), ("defective", 0.1))) == ("OK", ())
    assert judge(rule, HALF, seen(("defective", 0.9), ("good", 0.1))) == ("NG", ("defective",))


def test_an_unsure_class_is_not_read() -> None:
    rule = VerdictRule("class", ok_classes=("good",))
    reason = "undecided: best class defective 0.41 < 0.50"
    assert judge(rule, HALF, seen(("defective", 0.41), ("good", 0.4))) == ("NO_READ", (reason,))
    assert judge(rule, HALF, ()) == ("NO_READ", ("undecided: no class was predicted",))


@pytest.mark.parametrize(("score", "verdict"), [(0.5, "NG"), (0.49, "OK"), (1.0, "NG")])
def test_a_score_is_ng_from_the_threshold_on(score: float, verdict: str) -> None:
    assert judge(VerdictRule("score"), HALF, (), score)[0] == verdict


def test_a_score_that_is_missing_is_not_read() -> None:
    verdict, reasons = judge(VerdictRule("score"), HALF, ())
    assert verdict == "NO_READ"
    assert "anomaly score" in reasons[0]


def test_a_model_without_a_rule_does_not_judge_and_says_how_it_would() -> None:
    verdict, reasons = judge(VerdictRule(), HALF, seen(("cat", 0.9)))
    assert verdict == "NO_READ"
    assert reasons[0].startswith("no verdict rule: ")
    assert "--ok-classes" in reasons[0]


rules = st.sampled_from(
    [VerdictRule("any"), VerdictRule("class", ok_classes=("good",)), VerdictRule("score"), VerdictRule("none")]
)


@given(rule=rules)
def test_raw_tensors_are_never_ok(rule: VerdictRule) -> None:
    assert judge(rule, HALF, None)[0] == "NO_READ"


@given(
    rule=rules,
    names=st.lists(st.tuples(st.sampled_from(["good", "bad"]), st.floats(0, 1))),
    score=st.none() | st.floats(0, 1),
    exclusive=st.booleans(),
)
def test_reasons_are_empty_exactly_when_the_verdict_is_ok(
    rule: VerdictRule, names: list[tuple[str, float]], score: float | None, exclusive: bool
) -> None:
    verdict, reasons = judge(rule, HALF, seen(*names), score, exclusive)
    assert (verdict == "OK") == (reasons == ())


def test_a_rule_about_an_unknown_class_is_refused() -> None:
    check_rule(VerdictRule("any", classes=("open",)), ("open", "short"))
    check_rule(VerdictRule("any", classes=("class_3",)), ())
    with pytest.raises(BundleError, match="opne"):
        check_rule(VerdictRule("any", classes=("opne",)), ("open", "short"))


@pytest.mark.parametrize("name", ["scratch", "class_", "class_x", "class_01", "class_1 ", ""])
def test_without_labels_a_rule_can_only_name_numbered_classes(name: str) -> None:
    check_rule(VerdictRule("class", ok_classes=("class_0", "class_12")), ())
    with pytest.raises(BundleError, match="there are no labels"):
        check_rule(VerdictRule("any", classes=("class_1", name)), ())


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_not_read(score: float) -> None:
    verdict, reasons = judge(VerdictRule("score"), HALF, (), score)
    assert verdict == "NO_READ"
    assert "not judged" in reasons[0]
