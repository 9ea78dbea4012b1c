"""SmoothQuant: a transformer's outlier channels move from the activations into the weights that read them.

SmoothQuant (Xiao et al., arXiv 2211.10438, equation 4): X W = (X / s) (s W) with s_j = max|X_j|^a / max|W_j|^(1 - a).
The division goes into the affine part of the normalisation in front, so nothing is computed twice. The exponent a is
chosen for each site by measurement: the error of its MatMuls, quantized, on sampled rows of real inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.graph import Graph, attribute
from edge_export.quant.ranges import Histogram, choose_range, params_of_range
from edge_export.quant.select import Compute
from edge_export.quant.weights import quantize_weight

__all__ = ["EXPONENTS", "Site", "best_factors", "factors_of", "find_sites", "matmul_error"]

Floats = NDArray[np.float32]

EXPONENTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
LIMIT = 1e3  # of a factor and its inverse
_WORTH = 0.98  # the error must fall below this part of what it was


@dataclass(frozen=True)
class Site:
    """A tensor made by an affine step with the constants `affine`, read by the MatMuls and Gemms `readers` alone."""

    tensor: str
    affine: tuple[str, ...]
    readers: tuple[Compute, ...]


def find_sites(graph: Graph, able: Sequence[Compute]) -> list[Site]:
    """Return every site of a graph where factors can move, in graph order.

    The affine step is a LayerNormalization over the last axis, or Mul by a vector, with or without an Add behind it
    (what a decomposed normalisation ends with).
    """
    by_node = {item.name: item for item in able if item.op in ("MatMul", "Gemm")}
    found = []
    for node in graph.model.graph.node:
        tensor = node.output[0] if node.output else ""
        readers = graph.readers.get(tensor, [])
        items = [by_node[reader.name] for reader in readers if reader.name in by_node and reader.input[0] == tensor]
        if not items or len(items) < len(readers) or tensor in graph.outputs:
            continue
        width = {_inputs(graph, item) for item in items}
        shared = any(len(graph.readers[item.weight]) > 1 for item in items)
        affine = _affine(graph, tensor)
        own = all(len(graph.readers[name]) == 1 and name not in graph.outputs for name in affine)
        if affine and own and not shared and len(width) == 1 and _fits(graph, affine, width.pop()):
            found.append(Site(tensor, affine, tuple(items)))
    return found


def _affine(graph: Graph, tensor: str) -> tuple[str, ...]:
    node = graph.producer[tensor]
    if node.op_type == "LayerNormalization" and node.domain in ("", "ai.onnx"):
        last = attribute(node, "axis", -1) == -1 and not any(node.output[1:])
        return tuple(name for name in node.input[1:] if name) if last else ()
    if node.op_type == "Add":
        for constant, other in (node.input, tuple(reversed(node.input))):
            maker = graph.producer.get(other)
            if constant in graph.weights and maker is not None and graph.only_reader(other) is node:
                inner = _affine(graph, other) if maker.op_type == "Mul" else ()
                return (*inner, constant) if inner else ()
    if node.op_type == "Mul":
        constants = [name for name in node.input if name in graph.weights]
        return (constants[0],) if len(constants) == 1 else ()
    return ()


def _fits(graph: Graph, affine: Sequence[str], width: int) -> bool:
    return all(
        graph.weights[name].data_type == 1
        and graph.weights[name].dims[-1:] == [width]
        and graph.array(name).size == width
        for name in affine
        if name in graph.weights
    ) and all(name in graph.weights for name in affine)


def _inputs(graph: Graph, item: Compute) -> int:
    return int(graph.weights[item.weight].dims[1 - item.axis])


def factors_of(peaks: NDArray[np.floating], weights: Sequence[Floats], exponent: float) -> Floats:
    """Return s, float32 [inputs], for input peaks [inputs] and weights [inputs, outputs] each; 1 for dead channels."""
    reach = np.max([np.abs(weight).max(axis=1, initial=0.0) for weight in weights], axis=0)
    alive = (peaks > 0) & (reach > 0)
    logs = np.zeros(len(peaks))
    logs[alive] = exponent * np.log(peaks[alive]) - (1 - exponent) * np.log(reach[alive])
    logs[alive] -= logs[alive].mean() if alive.any() else 0.0
    return np.exp(np.clip(logs, -np.log(LIMIT), np.log(LIMIT))).astype(np.float32)


def matmul_error(rows: Floats, weights: Sequence[Floats], factors: Floats) -> float:
    """Return the noise / signal that int8 makes of rows @ weight, summed over the weights, when s = `factors` moved."""
    moved = rows / factors
    histogram = Histogram()
    histogram.see(moved)
    params = params_of_range(*choose_range(histogram, None)[:2])
    steps = np.clip(np.rint(moved / np.float32(params.scale)) + params.zero_point, 0, 255)
    seen = ((steps - params.zero_point) * np.float32(params.scale)).astype(np.float32)
    total = 0.0
    for weight in weights:
        exact = rows @ weight
        found = seen @ quantize_weight(weight * factors[:, None], 1).real()
        total += float(np.square(found - exact).sum()) / max(float(np.square(exact).sum()), 1e-30)
    return total


def best_factors(rows: Floats, peaks: NDArray[np.floating], weights: Sequence[Floats]) -> tuple[Floats, float] | None:
    """Return the factors with the least measured error and their exponent; None where moving gains nothing.

    `rows` [rows, inputs] are sampled inputs, `peaks` [inputs] the largest |x| of all, `weights` [inputs, outputs].
    """
    least = _WORTH * matmul_error(rows, weights, np.ones(rows.shape[1], np.float32))
    best = None
    for exponent in EXPONENTS:
        factors = factors_of(peaks, weights, exponent)
        error = matmul_error(rows, weights, factors)
        if error < least:
            best, least = (factors, exponent), error
    return best
