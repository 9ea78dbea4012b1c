import numpy as np
import onnx
from onnx import helper
from repair_cases import calibrated
from tiny_models import make

from edge_export.passes.smoothquant import smoothed, smoothquant
from edge_export.pipeline import QuietProgress
from edge_export.run import open_session, run

WIDTH = 32


def encoder(seed=0):
    """Tokens [1, 6, 32] -> LayerNormalization with two outlier channels -> two MatMuls -> their sum."""
    rng = np.random.default_rng(seed)
    scale = np.ones(WIDTH, np.float32)
    scale[[3, 17]] = 40
    weights = {
        "g": scale,
        "b": rng.standard_normal(WIDTH).astype(np.float32) * 0.1,
        "w0": rng.standard_normal((WIDTH, 16)).astype(np.float32) / scale[:, None],
        "w1": rng.standard_normal((WIDTH, 16)).astype(np.float32) / scale[:, None],
    }
    nodes = [
        helper.make_node("LayerNormalization", ["tokens", "g", "b"], ["n"], name="norm", axis=-1),
        helper.make_node("MatMul", ["n", "w0"], ["m0"], name="m0"),
        helper.make_node("MatMul", ["n", "w1"], ["m1"], name="m1"),
        helper.make_node("Add", ["m0", "m1"], ["out"], name="sum"),
    ]
    return make(nodes, weights, {"tokens": [1, 6, WIDTH]}, {"out": [1, 6, 16]})


def tokens(count, seed=1):
    return np.random.default_rng(seed).standard_normal((count, 6, WIDTH)).astype(np.float32)


def draft_of(**options):
    return calibrated(encoder(), tokens(8), tokens(4, seed=2), name="tokens", **options)


def test_outliers_move_into_the_weights_and_the_function_stays():
    draft = draft_of()
    changed, exponents = smoothed(draft)
    assert sum(exponents.values()) == 1
    sessions = open_session(draft.model), open_session(changed.model)
    for feed in draft.held_out(4):
        a, b = (run(session, feed)["out"] for session in sessions)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_the_gain_is_measured_and_reported_with_the_exponent():
    found = smoothquant(draft_of(effort="good"), QuietProgress())
    start, stage = found.stages
    assert start.name == "all int8, ranges searched"
    assert stage.name == "migration"
    assert stage.kept
    assert stage.note.startswith("1 places, exponents a = 0.")
    onnx.checker.check_model(found.model)


def test_it_is_not_done_at_the_fast_effort():
    draft = draft_of(effort="fast")
    assert smoothquant(draft, QuietProgress()) is draft
