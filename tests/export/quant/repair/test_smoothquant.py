import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from tiny_models import make

from edge_export.graph import Graph
from edge_export.quant.repair.smoothquant import best_factors, factors_of, find_sites, matmul_error
from edge_export.quant.select import compute_nodes


def outliers(seed=0, count=64, width=32):
    """Rows with two channels that reach fifty times as far."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, width)).astype(np.float32)
    rows[:, [3, 17]] *= 50
    return rows, [rng.standard_normal((width, 16)).astype(np.float32) / 8 for _ in range(2)]


def test_outlier_channels_are_moved_and_the_measured_error_falls():
    rows, weights = outliers()
    factors, exponent = best_factors(rows, np.abs(rows).max(axis=0), weights)
    assert 0.3 <= exponent <= 0.8
    assert factors[3] > 3 * np.median(factors)
    assert matmul_error(rows, weights, factors) < 0.5 * matmul_error(rows, weights, np.ones(32, np.float32))


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_factors_leave_the_product_unchanged_and_are_one_where_nothing_is(seed, exponent):
    rows, weights = outliers(seed)
    rows[:, 5] = 0
    factors = factors_of(np.abs(rows).max(axis=0), weights, exponent)
    assert factors[5] == 1
    for weight in weights:
        np.testing.assert_allclose((rows / factors) @ (weight * factors[:, None]), rows @ weight, rtol=1e-3, atol=1e-3)


def places(nodes, weights):
    graph = Graph(make(nodes, weights, {"x": [2, 4]}, {"out": [2, 4]}))
    return find_sites(graph, compute_nodes(graph))


SQUARE = {name: np.eye(4, dtype=np.float32) for name in ("w0", "w1")}
VECTORS = {name: np.ones(4, np.float32) for name in ("g", "b")}
MATMULS = [
    helper.make_node("MatMul", ["n", "w0"], ["m0"], name="m0"),
    helper.make_node("Gemm", ["n", "w1"], ["m1"], name="m1", transB=1),
    helper.make_node("Add", ["m0", "m1"], ["out"], name="sum"),
]


def test_a_normalization_read_by_matmuls_is_a_place():
    (place,) = places(
        [helper.make_node("LayerNormalization", ["x", "g", "b"], ["n"], axis=-1), *MATMULS], SQUARE | VECTORS
    )
    assert (place.tensor, place.affine) == ("n", ("g", "b"))
    assert [item.name for item in place.readers] == ["m0", "m1"]


def test_the_end_of_a_decomposed_normalization_is_a_place():
    affine = [helper.make_node("Mul", ["x", "g"], ["s"]), helper.make_node("Add", ["s", "b"], ["n"])]
    (place,) = places([*affine, *MATMULS], SQUARE | VECTORS)
    assert place.affine == ("g", "b")


def test_a_tensor_that_something_else_reads_too_is_no_place():
    norm = helper.make_node("LayerNormalization", ["x", "g", "b"], ["n"], axis=-1)
    residual = [*MATMULS[:2], helper.make_node("Sum", ["m0", "m1", "n"], ["out"], name="sum")]
    assert places([norm, *residual], SQUARE | VECTORS) == []


def test_constants_that_others_read_stay_as_they_are():
    nodes = [helper.make_node("Mul", ["x", "g"], ["y"]), helper.make_node("Mul", ["y", "g"], ["n"]), *MATMULS]
    assert places(nodes, SQUARE | {"g": VECTORS["g"]}) == []
