"""Models whose weights are large enough to be laid, cut from their lowered graphs: matrices, convolutions, int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import helper
from runner_cases import FLOAT, Case, graph_model, hand_made

from edge_runtime.bundle.bundle import Bundle
from edge_runtime.plan.measurements import BlockMeasurement, FormMeasurement, Measurements, Timing, Work
from edge_runtime.prepare.chain import Chain, Cut
from edge_runtime.prepare.cut_lowered import cut_whole

WIDTH, LAYERS, CHANNELS = 256, 6, 64


def perceptron(folder: Path) -> Bundle:
    """x -> relu(x w) six times, with x added after the fourth: 256 kB a layer, which onnxruntime packs and saves."""
    rng = np.random.default_rng(0)
    nodes, weights, value = [], {}, "x"
    for k in range(LAYERS):
        weights[f"w{k}"] = (rng.standard_normal((WIDTH, WIDTH)) / 16).astype(np.float32)
        nodes.append(helper.make_node("MatMul", [value, f"w{k}"], [f"m{k}"]))
        nodes.append(helper.make_node("Relu", [f"m{k}"], [f"r{k}"]))
        value = f"r{k}"
        if k == 3:
            nodes.append(helper.make_node("Add", [value, "x"], ["skip"]))
            value = "skip"
    nodes[-1].output[0] = "y"
    row = {"x": (FLOAT, ["n", WIDTH])}, {"y": (FLOAT, ["n", WIDTH])}
    return _bundle(folder, graph_model(nodes, weights, *row), (WIDTH,), (WIDTH,))


def convolutions(folder: Path) -> Bundle:
    """Four 3 x 3 convolutions of 64 channels, 147 kB each, whose weights kernels read as the optimizer left them."""
    rng = np.random.default_rng(1)
    nodes, weights, value = [], {}, "x"
    for k in range(4):
        weights[f"w{k}"] = (rng.standard_normal((CHANNELS, CHANNELS, 3, 3)) / 24).astype(np.float32)
        nodes.append(helper.make_node("Conv", [value, f"w{k}"], [f"c{k}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{k}"], [f"r{k}"]))
        value = f"r{k}"
    nodes[-1].output[0] = "y"
    shape = (CHANNELS, 8, 8)
    picture = {"x": (FLOAT, ["n", *shape])}, {"y": (FLOAT, ["n", *shape])}
    return _bundle(folder, graph_model(nodes, weights, *picture), shape, shape)


def _bundle(folder: Path, model, given: tuple[int, ...], wanted: tuple[int, ...]) -> Bundle:
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    sample = {"x": np.random.default_rng(2).standard_normal((1, *given)).astype(np.float32)}
    inputs, outputs = [("x", "float32", ("n", *given))], [("y", "float32", ("n", *wanted))]
    return hand_made(folder, [model], inputs, outputs, sample)


def feeds(bundle: Bundle, count: int = 1, seed: int = 3) -> dict[str, np.ndarray]:
    """Inputs of so many images."""
    shape = bundle.manifest.inputs[0].shape[1:]
    return {"x": np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)}


def cut(bundle: Bundle, folder: Path) -> Case:
    """The bundle's whole graph cut in `folder`, with measurements without figures."""
    blocks = cut_whole(bundle.file("model.onnx"), folder, 1, feeds(bundle), 1)
    chain = Chain(bundle, 1, True, Cut(folder, blocks))
    measured = []
    for index, block in enumerate(blocks):
        chain.run(block)
        chain.drop(index)
        size = block.weights.size if block.weights else 0
        forms = tuple(FormMeasurement(form, 0, 0, 1.0, (Timing(1, 1.0),)) for form in ("resident", "streamed"))
        measured.append(BlockMeasurement(block.file, block.inputs, block.outputs, size, size, forms, (Work(1, 0),)))
    values = tuple(chain.values.values())
    return Case(bundle, folder, blocks, Measurements(1, (1,), values, tuple(measured), None, 0))
