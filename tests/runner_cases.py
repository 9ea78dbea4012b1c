"""Blocks lowered in this process and plans made by hand, for tests of what runs them: no child process, no planner."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.blocks.prepared import PreparedBlock
from edge_runtime.blocks.runner import BlockRunner
from edge_runtime.blocks.storage import room
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.manifest import Block
from edge_runtime.inspect.fake_engine import fake_manifest
from edge_runtime.plan.measurements import BlockMeasurement, FormMeasurement, Measurements, Timing, Work
from edge_runtime.plan.offsets import arrange, plan_values, windows
from edge_runtime.plan.plan import BlockPlan, Plan
from edge_runtime.plan.validate import validate
from edge_runtime.prepare.chain import Chain
from edge_runtime.prepare.lower import lower

WORK = 1 << 20
CAP = 64 << 20


@dataclass(frozen=True)
class Case:
    """A bundle, its lowered blocks in `folder`, and what a measuring process would say of them, without figures."""

    bundle: Bundle
    folder: Path
    blocks: tuple[PreparedBlock, ...]
    measurements: Measurements

    def plan(self, forms: Sequence[str], batch: int = 1, micro: int = 0, **changes: int | None) -> Plan:
        """A plan with the blocks in these forms; where a block has no weights it is resident. `changes` to figures."""
        found = [
            form if block.weights is not None else "resident" for form, block in zip(forms, self.blocks, strict=True)
        ]
        places = windows([form != "resident" for form in found])
        sizes = {k: room(block.weights.size) for k, block in enumerate(self.blocks) if block.weights is not None}
        outputs = frozenset(spec.name for spec in self.bundle.manifest.outputs)
        streams = {k: (sizes[k], places[k]) for k, form in enumerate(found) if form == "streamed"}
        arena = arrange(self.measurements, batch, outputs, streams)
        blocks = tuple(
            BlockPlan(block.file, form, "", 0, 1.0, 1.0, arena.weights.get(k))
            for k, (block, form) in enumerate(zip(self.blocks, found, strict=True))
        )
        plan = Plan(
            whole=False,
            batch=batch,
            micro_batch=micro or batch,
            blocks=blocks,
            values=plan_values(self.measurements.values, batch, arena.values),
            slots=len(streams),
            slot_bytes=max((size for size, _ in streams.values()), default=0),
            arena_bytes=arena.size,
            work_bytes=WORK,
            work_chunk_bytes=CAP,
            work_cap_bytes=CAP,
            base_bytes=0,
            overhead_bytes=0,
            held_bytes=0,
            moving_bytes=0,
            peak_bytes=arena.size + WORK,
            limit_bytes=None,
            latency_ms=1.0,
            compute_ms=1.0,
            load_ms=1.0,
        )
        validate(plan, self.measurements)
        return dataclasses.replace(plan, **changes)

    def runner(self, plan: Plan, **options: object) -> BlockRunner:
        """A runner of the plan on one thread."""
        return BlockRunner(plan, self.bundle.manifest, self.folder, self.blocks, 1, **options)


def lowered(bundle: Bundle, folder: Path, batches: bool = True) -> Case:
    """Lower every block of the bundle into `folder` and look at the values between them."""
    chain = Chain(bundle, 1, batches)
    prepared, measured = [], []
    for index, block in enumerate(bundle.manifest.blocks):
        chain.run(block)
        chain.drop(index)
        target = folder / Path(block.file).name
        weights = lower(bundle.file(block.file), target, 1)
        prepared.append(PreparedBlock(block.file, target.name, weights, block.inputs, block.outputs))
        size = weights.size if weights else 0
        forms = tuple(
            FormMeasurement(form, 0, 0, 1.0, (Timing(1, 1.0),)) for form in ("resident", "streamed", "reloaded")
        )
        measured.append(BlockMeasurement(block.file, block.inputs, block.outputs, size, size, forms, (Work(1, 0),)))
    values = tuple(chain.values.values())
    return Case(bundle, folder, tuple(prepared), Measurements(1, (1,), values, tuple(measured), None, 0))


def graph_model(nodes, weights, inputs, outputs):
    """A model of one block. `inputs` and `outputs` map names to (type, shape)."""
    described = [
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in values.items()]
        for values in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "block", *described, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def hand_made(folder: Path, models, inputs, outputs, sample) -> Bundle:
    """A bundle of blocks made by hand; `inputs` and `outputs` are (name, dtype, shape), `sample` one golden input."""
    blocks = []
    for k, model in enumerate(models):
        name = f"block-{k:02}.onnx"
        (folder / name).write_bytes(model.SerializeToString())
        ins = tuple(value.name for value in model.graph.input)
        blocks.append(Block(name, ins, tuple(value.name for value in model.graph.output), 1, 0, 0, ""))
    feeds = {f"input_{name}": array[None] for name, array in sample.items()}
    np.savez(folder / "golden.npz", **feeds, output_none=np.zeros((1, 1), np.float32))
    manifest = dataclasses.replace(
        fake_manifest(),
        inputs=tuple(TensorSpec(*value) for value in inputs),
        outputs=tuple(TensorSpec(*value) for value in outputs),
        preprocess=None,
        blocks=tuple(blocks),
    )
    return Bundle(folder, manifest, "0" * 64)


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def two_inputs(folder: Path) -> Bundle:
    """y = relu(a w0 + b) w1 + a w2, over two blocks: a is read by both."""
    rng = np.random.default_rng(0)
    w = [rng.standard_normal(shape).astype(np.float32) for shape in ((48, 64), (64, 64), (48, 64))]
    row, wide = (FLOAT, ["n", 48]), (FLOAT, ["n", 64])
    first = graph_model(
        [
            helper.make_node("MatMul", ["a", "w0"], ["aw"]),
            helper.make_node("Add", ["aw", "b"], ["sum"]),
            helper.make_node("Relu", ["sum"], ["h"]),
        ],
        {"w0": w[0]},
        {"a": row, "b": wide},
        {"h": wide},
    )
    second = graph_model(
        [
            helper.make_node("MatMul", ["h", "w1"], ["hw"]),
            helper.make_node("MatMul", ["a", "w2"], ["aw"]),
            helper.make_node("Add", ["hw", "aw"], ["y"]),
        ],
        {"w1": w[1], "w2": w[2]},
        {"h": wide, "a": row},
        {"y": wide},
    )
    sample = {"a": rng.standard_normal((1, 48)).astype(np.float32), "b": np.ones((1, 64), np.float32)}
    inputs = [("a", "float32", ("n", 48)), ("b", "float32", ("n", 64))]
    return hand_made(folder, [first, second], inputs, [("y", "float32", ("n", 64))], sample)


def counting(folder: Path, batch: int | str = "n") -> Bundle:
    """x w0 -> where it is positive (its number depends on the data) -> those values, with w1: three blocks."""
    rng = np.random.default_rng(0)
    w = [rng.standard_normal((32, 32)).astype(np.float32) for _ in range(2)]
    row = (FLOAT, [batch, 32])
    first = graph_model([helper.make_node("MatMul", ["x", "w0"], ["h"])], {"w0": w[0]}, {"x": row}, {"h": row})
    second = graph_model(
        [
            helper.make_node("MatMul", ["h", "w1"], ["hw"]),
            helper.make_node("Relu", ["hw"], ["above"]),
            helper.make_node("NonZero", ["above"], ["where"]),
        ],
        {"w1": w[1]},
        {"h": row},
        {"where": (INT64, [2, "found"])},
    )
    third = graph_model(
        [
            helper.make_node("Transpose", ["where"], ["index"], perm=[1, 0]),
            helper.make_node("GatherND", ["h", "index"], ["some"]),
        ],
        {},
        {"where": (INT64, [2, "found"]), "h": row},
        {"some": (FLOAT, ["found"])},
    )
    sample = {"x": rng.standard_normal((1 if batch == "n" else batch, 32)).astype(np.float32)}
    return hand_made(
        folder,
        [first, second, third],
        [("x", "float32", (batch, 32))],
        [("some", "float32", ("found",)), ("h", "float32", (batch, 32))],
        sample,
    )


def plain(bundle: Bundle, feeds: dict) -> dict:
    """What plain onnxruntime gives, block file after block file, as the exporter cut them."""
    import onnxruntime

    values = dict(feeds)
    for block in bundle.manifest.blocks:
        session = onnxruntime.InferenceSession(str(bundle.file(block.file)), providers=["CPUExecutionProvider"])
        found = session.run(list(block.outputs), {name: values[name] for name in block.inputs})
        values.update(zip(block.outputs, found, strict=True))
    return {spec.name: values[spec.name] for spec in bundle.manifest.outputs}
