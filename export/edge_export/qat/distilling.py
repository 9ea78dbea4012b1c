"""Self-distillation: the float model teaches its own quantized form. No labels, any task."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edge_export.pipeline import QuietProgress
from edge_export.qat.data import Batches, as_tensors, image_axes
from edge_export.qat.graph import TorchGraph
from edge_export.qat.losses import DistillLoss
from edge_export.qat.model import QatModel
from edge_export.qat.pruning import prune, sparsity_of
from edge_export.qat.samples import ArraySamples
from edge_export.qat.sparsity import CubicSparsity
from edge_export.quant.noise import NoiseMeter, decibels
from edge_export.state import CalibrationSet, Progress
from edge_runtime.bundle.postprocess_spec import Classify, Raw
from edge_runtime.errors import UsageError

__all__ = ["DistillOptions", "DistillReport", "Fidelity", "distill", "measure"]

_MOST_HELD = 64
# Rounding is mended by small moves; where weights are taken away the others have to move far.
RATE, PRUNING_RATE = 5e-5, 3e-3
_WARM_UP = 0.05  # share of the steps in which the rate rises from 0


@dataclass(frozen=True)
class DistillOptions:
    """`rate` is AdamW's for weights, as a share of each tensor's own root mean square per step (None: RATE, or
    PRUNING_RATE with sparsity); `scale_rate` that of the logarithms of scales. Both fall to 0 on a cosine. `vary`:
    mirror, zoom and mix images. `checks`: how often the held-back loss is looked at.
    """

    steps: int = 300
    batch: int = 8
    rate: float | None = None
    scale_rate: float = 3e-4
    vary: bool = True
    checks: int = 10
    seed: int = 0
    sparsity: CubicSparsity | None = None

    @property
    def weight_rate(self) -> float:
        """The rate of weights that is meant."""
        return self.rate or (RATE if self.sparsity is None else PRUNING_RATE)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.checks < 1:
            raise UsageError(
                f"steps, batch and checks must be 1 or more, found {self.steps}, {self.batch}, {self.checks}"
            )


@dataclass(frozen=True)
class Fidelity:
    """Against the float model on held-back samples: the loss, the outputs' signal-to-noise ratio in dB (of the part
    that suffers most, and by part), the share of equal top-1 answers (None where there are no classes).
    """

    loss: float
    sqnr_db: float
    by_part: dict[str, float]
    agreement: float | None


@dataclass(frozen=True)
class DistillReport:
    """What training changed. `best_step` is the step whose state was kept: 0 means that nothing was better."""

    steps: int
    best_step: int
    seconds: float
    holdout: int
    before: Fidelity
    after: Fidelity
    sparsity: float

    def text(self) -> str:
        """Say it in one line."""
        words = f"{self.steps} steps in {self.seconds:.0f} s (best: step {self.best_step}); on {self.holdout} "
        words += f"held-back samples {self.before.sqnr_db:.1f} -> {self.after.sqnr_db:.1f} dB of the float model"
        if self.before.agreement is not None and self.after.agreement is not None:
            words += f", top-1 agreement {self.before.agreement:.3f} -> {self.after.agreement:.3f}"
        return words + (f", {self.sparsity:.0%} of the int8 weights are zero" if self.sparsity >= 0.1 else "")


def distill(
    qat: QatModel,
    options: DistillOptions | None = None,
    data: Iterable[Any] | None = None,
    progress: Progress | None = None,
) -> DistillReport:
    """Train `qat` in place to answer as its float original does; it ends in the best state seen.

    `data`: as `prepare` takes it in Python, and repeatable; None for the samples that gave the ranges. Best is the
    least loss on held-back samples, once the wished sparsity is reached. The same seed and thread count give the same
    weights on one machine.
    """
    options, progress = options or DistillOptions(), progress or QuietProgress()
    started = time.perf_counter()
    samples = qat.plan.training if data is None else ArraySamples(data, qat.inputs)
    teacher = TorchGraph(qat.plan.reference).to(_device(qat)).requires_grad_(False)
    held = [as_tensors(sample) for _, sample in zip(range(_MOST_HELD), qat.plan.holdout, strict=False)]
    with torch.no_grad():
        loss_of = DistillLoss(qat.plan.reference, qat.plan.facts, [teacher.run(_to(sample, qat)) for sample in held])
    before = measure(qat, teacher, held, loss_of)
    best, best_loss, best_step = _state(qat), before.loss if options.sparsity is None else math.inf, 0
    batches = iter(_micro_batches(qat, samples, options))
    optimizer, schedule = _optimizer(qat, options)
    every = max(1, options.steps // options.checks)
    qat.train()
    with progress.step("distill", options.steps) as advance:
        for step in range(1, options.steps + 1):
            if options.sparsity is not None:
                prune(qat, options.sparsity.at(step / options.steps), options.sparsity.smallest)
            optimizer.zero_grad(set_to_none=True)
            for feeds, share in next(batches):
                with torch.no_grad():
                    expected = teacher.run(_to(feeds, qat))
                (loss_of(expected, qat.run(_to(feeds, qat))) * share).backward()
            optimizer.step()
            schedule.step()
            ready = options.sparsity is None or options.sparsity.done(step / options.steps)
            if ready and (step % every == 0 or step == options.steps):
                found = measure(qat, teacher, held, loss_of)
                progress.note(f"step {step}: {found.sqnr_db:.1f} dB of the float model, loss {found.loss:.4g}")
                if found.loss < best_loss:
                    best, best_loss, best_step = _state(qat), found.loss, step
            advance()
    qat.load_state_dict(best)
    qat.eval()
    after = measure(qat, teacher, held, loss_of)
    seconds = time.perf_counter() - started
    return DistillReport(options.steps, best_step, seconds, len(held), before, after, sparsity_of(qat))


def measure(
    qat: QatModel, teacher: TorchGraph, samples: Iterable[Mapping[str, Tensor]], loss_of: DistillLoss
) -> Fidelity:
    """Return how faithfully `qat` repeats its float original on `samples`."""
    meter = NoiseMeter(qat.plan.facts.postprocess or Raw())
    losses, equal = [], []
    with torch.no_grad():
        for sample in samples:
            expected, found = teacher.run(_to(sample, qat)), qat.run(_to(sample, qat))
            losses.append(float(loss_of(expected, found)))
            meter.see(*({name: v.cpu().numpy() for name, v in answer.items()} for answer in (expected, found)))
            name = _scores(qat, expected)
            if name is not None:
                equal += (expected[name].flatten(1).argmax(1) == found[name].flatten(1).argmax(1)).tolist()
    return Fidelity(
        loss=sum(losses) / max(1, len(losses)),
        sqnr_db=decibels(meter.worst),
        by_part={part: decibels(ratio) for part, ratio in meter.ratios().items()},
        agreement=sum(equal) / len(equal) if equal else None,
    )


def _scores(qat: QatModel, answer: Mapping[str, Tensor]) -> str | None:
    """Return the output with one score per class for each sample, None where the model is no classifier."""
    spec = qat.plan.facts.postprocess
    if isinstance(spec, Classify):
        return spec.output or qat.outputs[0]
    plain = len(answer) == 1 and answer[qat.outputs[0]].is_floating_point()
    values = answer[qat.outputs[0]]
    return qat.outputs[0] if plain and values.ndim >= 2 and values[0].numel() == max(values.shape[1:]) > 1 else None


def _micro_batches(
    qat: QatModel, samples: CalibrationSet, options: DistillOptions
) -> Iterator[list[tuple[dict[str, Tensor], float]]]:
    """Yield a step's batches with their share in the gradient: one, or singles where the graph fixes its batch."""
    free = all(
        not value.type.tensor_type.shape.dim or value.type.tensor_type.shape.dim[0].dim_value == 0
        for value in qat.plan.reference.graph.input
        if value.name in qat.inputs
    )
    axes = image_axes(qat.plan.facts.preprocess) if options.vary else None
    if free:
        for batch in Batches(samples, options.batch, options.seed, axes):
            yield [(batch, 1.0)]
    singles = iter(Batches(samples, 1, options.seed, axes))
    while True:
        yield [(next(singles), 1.0 / options.batch) for _ in range(options.batch)]


def _optimizer(qat: QatModel, options: DistillOptions) -> tuple[Any, Any]:
    """AdamW whose rate for a weight is relative to the tensor's magnitude: layers differ by orders of magnitude."""
    groups = []
    for name, parameter in qat.named_parameters():
        if name.endswith("log_scale"):
            groups.append({"params": [parameter], "lr": options.scale_rate})
        else:
            magnitude = float(parameter.detach().square().mean().sqrt()) or 1.0
            groups.append({"params": [parameter], "lr": options.weight_rate * magnitude})
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.0)
    warm = max(1, round(_WARM_UP * options.steps))

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, options.steps - warm)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def _state(qat: QatModel) -> dict[str, Any]:
    return copy.deepcopy(qat.state_dict())


def _device(qat: QatModel) -> torch.device:
    return next(qat.parameters()).device


def _to(feeds: Mapping[str, Tensor], qat: QatModel) -> dict[str, Tensor]:
    return {name: value.to(_device(qat)) for name, value in feeds.items()}
