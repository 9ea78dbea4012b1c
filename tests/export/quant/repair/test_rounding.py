import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_export.quant.repair.rounding import objective, round_rows
from edge_export.quant.weights import quantize_weight


def case(seed, groups=1, outputs=6, inputs=12, samples=64):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((groups, outputs, inputs)).astype(np.float32)
    mixing = rng.standard_normal((groups, inputs, inputs)) + 2.0  # inputs that are alike, as those of ReLUs are
    x = np.maximum(rng.standard_normal((groups, samples, inputs)) @ mixing, 0)
    gram = (np.swapaxes(x, 1, 2) @ x / samples).astype(np.float32)
    found = quantize_weight(rows.reshape(groups * outputs, inputs), 0)
    return rows, found.scale.reshape(groups, outputs), found.values.reshape(rows.shape), gram, x


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 8), st.integers(1, 20), st.integers(1, 64))
def test_no_row_is_further_off_than_with_the_nearest_values(seed, groups, outputs, inputs, samples):
    rows, scale, nearest, gram, _ = case(seed, groups, outputs, inputs, samples)
    values = round_rows(rows, scale, gram)
    assert np.abs(values.astype(int)).max() <= 127
    before, after = objective(rows, nearest, scale, gram), objective(rows, values, scale, gram)
    assert (after <= before * (1 + 1e-5) + 1e-9).all()


def test_alike_inputs_let_errors_cancel():
    rows, scale, nearest, gram, x = case(0, inputs=40, samples=500)
    values = round_rows(rows, scale, gram)
    error = [np.square((v * scale[..., None] - rows) @ np.swapaxes(x, 1, 2)).mean() for v in (nearest, values)]
    assert error[1] < 0.5 * error[0]


def test_more_inputs_than_one_block_are_rounded_too():
    rows, scale, nearest, gram, _ = case(1, outputs=3, inputs=140, samples=300)
    values = round_rows(rows, scale, gram)
    assert objective(rows, values, scale, gram).sum() < 0.7 * objective(rows, nearest, scale, gram).sum()


def test_inputs_that_never_came_keep_the_nearest_values():
    rows, scale, nearest, gram, _ = case(2)
    assert (round_rows(rows, scale, np.zeros_like(gram)) == nearest).all()
    assert (round_rows(rows, scale, np.full_like(gram, np.nan)) == nearest).all()


def test_the_same_input_gives_the_same_bits():
    rows, scale, _, gram, _ = case(3)
    assert (round_rows(rows, scale, gram) == round_rows(rows.copy(), scale.copy(), gram.copy())).all()
