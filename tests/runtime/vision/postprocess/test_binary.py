"""One score that tells two classes."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Classify
from edge_runtime.errors import EngineError
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.settings import Settings

PLACE = Placement(64, 48, 32, 32, 0.5, 0.5, 0.0, 0.0)


def read(value, labels=("good", "bad"), activation="none"):
    spec = Classify(activation=activation, binary=True)
    facts = ModelFacts(
        (TensorSpec("x", "float32", (1, 3, 32, 32)),),
        (TensorSpec("y", "float32", (1, 1)),),
        None,
        spec,
        labels,
        Thresholds(0.5),
        VerdictRule("class", ok_classes=("good",)),
    )
    return interpret(facts, {"y": np.asarray(value, np.float32)}, [PLACE], Settings.of(facts))[0]


@pytest.mark.parametrize(("value", "best", "verdict"), [(0.2, "good", "OK"), (0.7, "bad", "NG"), (0.5, "good", "OK")])
def test_the_score_is_the_second_classs_and_the_first_has_the_rest(value, best, verdict):
    result = read([[value]])
    assert (result.predictions[0].name, result.verdict) == (best, verdict)
    assert sum(prediction.confidence for prediction in result.predictions) == pytest.approx(1.0)


def test_a_logit_is_split_at_zero():
    assert read([[-3.0]], activation="sigmoid").predictions[0].name == "good"
    assert read([[3.0]], activation="sigmoid").predictions[0].name == "bad"


@pytest.mark.parametrize("value", [[[0.2, 0.8]], [[7.0]]])
def test_other_answers_are_refused(value):
    with pytest.raises(EngineError):
        read(value)


def test_a_binary_classifier_has_no_softmax():
    with pytest.raises(ValueError, match="activation sigmoid or none"):
        Classify(binary=True)
