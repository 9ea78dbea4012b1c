import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repair_cases import calibrated, noise, uneven_convnet
from tiny_models import convnet, samples

from edge_export.passes.equalize import equalize, equalized
from edge_export.pipeline import QuietProgress
from edge_export.run import open_session, run


def largest_difference(one, other, feeds):
    sessions = open_session(one), open_session(other)
    worst = 0.0
    for feed in feeds:
        for name, a in run(sessions[0], feed).items():
            worst = max(worst, float(np.abs(a - run(sessions[1], feed)[name]).max() / np.abs(a).max()))
    return worst


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 10.0, 100.0]))
def test_equalization_leaves_the_function_of_the_graph_unchanged(seed, spread):
    draft = calibrated(uneven_convnet(seed, spread), noise(3, seed=seed), noise(2, seed=seed + 1))
    changed, _, _ = equalized(draft)
    assert largest_difference(draft.model, changed.model, draft.held_out(2)) < 1e-4


def test_residual_classifiers_keep_their_function():
    draft = calibrated(convnet(), samples(4), samples(2, seed=5))
    changed, _, _ = equalized(draft)
    assert largest_difference(draft.model, changed.model, draft.held_out(2)) < 1e-4


def test_an_uneven_network_gains_and_the_reference_stays():
    draft = calibrated(uneven_convnet(), noise(6), noise(4, seed=2), effort="good")
    found = equalize(draft, QuietProgress())
    start, stage = found.stages
    assert start.name == "all int8, ranges searched"
    assert stage.name == "equalization"
    assert stage.kept
    assert "channels of" in stage.note
    assert found.reference is draft.reference
    assert found.params != draft.params
    onnx.checker.check_model(found.model)


def test_the_same_draft_gives_the_same_bytes():
    draft = calibrated(uneven_convnet(), noise(4), noise(2, seed=2))
    first, second = (equalized(draft)[0].model.SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("changes", [{"effort": "fast"}, {"quantize": "fp16"}])
def test_it_is_not_done_unless_asked_for(changes):
    draft = calibrated(uneven_convnet(), noise(2), noise(2), **changes)
    assert equalize(draft, QuietProgress()) is draft
