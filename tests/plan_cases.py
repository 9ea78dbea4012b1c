"""Measurements of imaginary bundles, for tests of the planner."""

from __future__ import annotations

import random
from collections.abc import Sequence

from edge_runtime.bundle.facts import TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.manifest import Manifest, ModelInfo, Provenance
from edge_runtime.bundle.postprocess_spec import Raw
from edge_runtime.plan.form import Form
from edge_runtime.plan.measurements import (
    BlockMeasurement,
    FormMeasurement,
    Measurements,
    Speeds,
    Timing,
    ValueMeasurement,
    WholeMeasurement,
    Work,
)

BASE = 74_000_000
SPEEDS = Speeds(read_bytes_per_s=1e8, cached_bytes_per_s=2e9, cores=4)
FORMS: tuple[Form, ...] = ("resident", "streamed", "reloaded")


def make_manifest(outputs: Sequence[str], inputs: Sequence[str] = ("image",)) -> Manifest:
    """A manifest that says what the planner reads of one: the model's name, inputs and outputs."""
    model = ModelInfo("pcb", "1", "0" * 64, 17, "fp32", 1, 1)
    return Manifest(
        schema=1,
        model=model,
        inputs=tuple(TensorSpec(name, "float32", ("N", 3, 32, 32)) for name in inputs),
        outputs=tuple(TensorSpec(name, "float32", ("N", 3)) for name in outputs),
        preprocess=None,
        postprocess=Raw(),
        labels=(),
        thresholds=Thresholds(),
        verdict=VerdictRule(),
        precision=(),
        blocks=(),
        accuracy=(),
        provenance=Provenance("", "", "", "", "", "", ""),
    )


def timings(one: float, batches: Sequence[int]) -> tuple[Timing, ...]:
    """Times that grow with the batch, a little slower than in proportion."""
    return tuple(Timing(batch, one * batch * (1.01 - 0.01 * batch)) for batch in batches)


def make_form(
    form: Form, weights: int, compute: float, load: float, batches: Sequence[int], making: int = 100_000
) -> FormMeasurement:
    """A form as such forms are: streamed sessions hold only their graph, resident ones are not loaded."""
    held = 300_000 if form == "streamed" else weights + 300_000
    return FormMeasurement(form, held, making, 0.0 if form == "resident" else load, timings(compute, batches))


def make_block(
    number: int,
    inputs: Sequence[str],
    outputs: Sequence[str],
    forms: Sequence[FormMeasurement],
    weights: int = 4_000_000,
    work: Sequence[Work] = (Work(1, 500_000), Work(4, 2_000_000)),
) -> BlockMeasurement:
    """A block whose weights take as much in storage as in memory."""
    return BlockMeasurement(
        f"block-{number:02}.onnx", tuple(inputs), tuple(outputs), weights, weights, tuple(forms), tuple(work)
    )


def make_chain(
    seed: int,
    blocks: int,
    batches: Sequence[int] = (1, 4),
    forms: Sequence[Form] | None = None,
    axis: int = 0,
    load_per_mb: float = 0.4,
    whole: bool = False,
) -> tuple[Manifest, Measurements]:
    """A chain of blocks with skip connections, random sizes, times and (without `forms`) forms."""
    draw = random.Random(seed)
    values = [ValueMeasurement("image", "float32", (1, 3, 32, 32), axis)]
    chain = []
    for k in range(blocks):
        weights = draw.choice((1000, draw.randint(100_000, 2_000_000), draw.randint(2_000_000, 14_000_000)))
        compute, load = draw.uniform(1, 8), load_per_mb * weights / 1e6 * draw.uniform(0.5, 2)
        measured = {
            "resident": make_form("resident", weights, compute, 0.0, batches, weights // 2),
            "streamed": make_form("streamed", weights, compute * draw.choice((1.02, 1.1, 4)), load, batches),
            "reloaded": make_form("reloaded", weights, compute, load * 2.5, batches, weights // 3),
        }
        some = forms or draw.sample(FORMS, draw.randint(1, 3))
        inputs = [values[-1].name]
        if k > 2 and draw.random() < 0.4:
            inputs.append(f"v{draw.randrange(k - 1)}")
        chain.append(
            make_block(
                k,
                inputs,
                (f"v{k}",),
                [measured[form] for form in some],
                weights,
                [Work(batch, batch * draw.randint(100_000, 900_000)) for batch in batches],
            )
        )
        planned = k == blocks - 1 or axis != 0 or draw.random() > 0.02
        values.append(ValueMeasurement(f"v{k}", "float32", (1, draw.randint(1, 64), 28, 28), axis, planned))
    session = WholeMeasurement(
        held_bytes=sum(int(1.2 * block.weight_bytes) for block in chain),
        making_bytes=3_000_000,
        timings=timings(sum(block.forms[0].timings[0].ms for block in chain), batches),
        work=tuple(Work(batch, batch * 3_000_000) for batch in batches),
    )
    measurements = Measurements(
        threads=4,
        batches=tuple(batches),
        values=tuple(values),
        blocks=tuple(chain),
        whole=session if whole else None,
        overhead_bytes=4_000_000,
    )
    return make_manifest((f"v{blocks - 1}",)), measurements
