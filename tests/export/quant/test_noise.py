"""The noise of outputs, by what they mean."""

import numpy as np
import pytest

from edge_export.quant.noise import CEILING_DB, NoiseMeter, decibels
from edge_runtime.bundle.postprocess_spec import Classify, Raw


def level(postprocess, a, b):
    meter = NoiseMeter(postprocess)
    meter.see({"y": a}, {"y": b})
    return decibels(meter.worst)


def test_what_fp32_itself_does_not_know_is_not_judged():
    a = np.array([[1.0, np.nan, 3.0]], np.float32)
    assert level(Raw(), a, a) == CEILING_DB
    assert level(Raw(), a, np.array([[1.0, 7.0, 2.0]], np.float32)) == pytest.approx(10.0, abs=0.1)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_probabilities_are_judged_as_the_logits_they_come_from():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4, 10))
    logits -= logits.mean(axis=1, keepdims=True)
    noisy = logits + 0.01 * rng.standard_normal(logits.shape)
    noisy -= noisy.mean(axis=1, keepdims=True)
    direct = level(Raw(), logits, noisy)
    assert level(Classify(), softmax(logits), softmax(noisy)) == pytest.approx(direct, abs=0.01)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    assert level(Classify(), sigmoid(logits), sigmoid(noisy)) == pytest.approx(direct, abs=0.01)
    assert level(Classify(), logits, noisy) == pytest.approx(direct, abs=0.01)
