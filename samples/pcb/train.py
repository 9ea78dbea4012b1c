"""Trains the detector on made-up boards, on the CPU; stops and goes on as you like.

python samples/pcb/train.py --out run --steps 20000
python samples/pcb/train.py --out run --steps 20000          # goes on from run/checkpoint.pt
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `python samples/pcb/train.py`

import click
import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pcb.dataset import Batch, Generated, Recipe
from pcb.folder import Real
from pcb.loss import loss
from pcb.model import STRIDE, Detector


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. `rate` is the peak learning rate."""

    steps: int = 20_000
    rate: float = 2e-3
    warmup: int = 300
    decay: float = 0.02  # weight decay
    clip: float = 10.0
    ema: float = 0.9995
    half: bool = True  # bfloat16 convolutions


class Numbered(Dataset[Batch]):  # type: ignore[misc, unused-ignore]  # torch is not typed where mypy runs
    """Batches for torch's loader, whose processes make them ahead of time."""

    def __init__(self, source: Generated | Real) -> None:
        self.source = source

    def __getitem__(self, number: int) -> Batch:
        return self.source[number]


class Trainer:
    """The state of a training run: model, averaged model, optimiser, step."""

    def __init__(self, schedule: Schedule, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.schedule = schedule
        self.model = Detector().to(memory_format=torch.channels_last)
        self.average = Detector()
        self.average.load_state_dict(self.model.state_dict())
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        rest = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": schedule.decay}, {"params": rest, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=schedule.rate)
        self.step = 0

    def rate(self) -> float:
        """Linear warm-up, then a cosine down to a hundredth."""
        s = self.schedule
        if self.step < s.warmup:
            return s.rate * (self.step + 1) / s.warmup
        done = (self.step - s.warmup) / max(1, s.steps - s.warmup)
        return s.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    def learn(self, batch: Batch) -> tuple[float, float]:
        """One step; returns the class loss and the box loss."""
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        images = torch.from_numpy(batch.images)[:, None].float().div_(255)
        images = images.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.schedule.half):
            raw = self.model(images)
        columns = images.shape[3] // STRIDE
        class_loss, box_loss = loss(raw, torch.from_numpy(batch.boxes), torch.from_numpy(batch.labels), columns)
        self.optimiser.zero_grad(set_to_none=True)
        (class_loss + box_loss).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.clip)
        self.optimiser.step()
        self.step += 1
        self._follow()
        return class_loss.item(), box_loss.item()

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def _follow(self) -> None:
        """Move the averaged weights towards the model's; faster at first, when the model still runs ahead."""
        keep = min(self.schedule.ema, self.step / (self.step + 10.0))
        theirs: dict[str, Tensor] = self.model.state_dict()
        for name, mine in self.average.state_dict().items():
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs[name], 1 - keep)
            else:
                mine.copy_(theirs[name])

    def save(self, path: Path) -> None:
        """Write everything needed to go on; a power cut leaves the old file or the new."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "schedule": asdict(self.schedule),
            "rng": torch.get_rng_state(),
        }
        beside = path.with_suffix(".tmp")
        torch.save(state, beside)
        beside.replace(path)

    def load(self, path: Path, weights_only: bool = False) -> None:
        """Go on from `path`; with `weights_only` start a new schedule from its averaged weights."""
        state = torch.load(path, weights_only=True)
        self.average.load_state_dict(state["average"])
        if weights_only:
            self.model.load_state_dict(state["average"])
            return
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["rng"])
        self.step = int(state["step"])


def _single_threaded(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def batches(source: Dataset[Batch], first: int, steps: int, workers: int) -> Iterator[Batch]:
    """Batches number `first` to `steps`, made by `workers` processes (0: in this one)."""
    loader = DataLoader(
        source,
        batch_size=None,
        sampler=range(first, steps),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_single_threaded,
        collate_fn=lambda batch: batch,
    )
    yield from loader


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("run"), help="Folder for checkpoint.pt.")
@click.option("--steps", default=20_000, help="Length of the schedule, in batches.")
@click.option("--rate", default=2e-3, help="Peak learning rate.")
@click.option("--batch", default=32)
@click.option("--crop", default=320, help="Side of the training crops, pixels; a multiple of 64.")
@click.option("--seed", default=0, help="Of the boards, the defects and the first weights.")
@click.option("--threads", default=2)
@click.option("--workers", default=1, help="Processes that draw boards.")
@click.option("--start", type=click.Path(exists=True, path_type=Path), help="Begin from another run's weights.")
@click.option("--real", type=click.Path(exists=True, path_type=Path), help="Train on this folder's pictures instead.")
@click.option("--full", is_flag=True, help="Train in float32 instead of bfloat16.")
def main(
    out: Path,
    steps: int,
    rate: float,
    batch: int,
    crop: int,
    seed: int,
    threads: int,
    workers: int,
    start: Path | None,
    real: Path | None,
    full: bool,
) -> None:
    """Train, or go on training, in OUT."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    trainer = Trainer(Schedule(steps=steps, rate=rate, half=not full), seed)
    if checkpoint.exists():
        trainer.load(checkpoint)
        click.echo(f"going on from step {trainer.step}")
    elif start is not None:
        trainer.load(start, weights_only=True)
    source = Real(real, seed, batch, crop) if real else Generated(Recipe(seed=seed, batch=batch, crop=crop))
    first, shown_class, shown_box = trainer.step, 0.0, 0.0

    def losses(_: object) -> str:
        return f"class {shown_class:.3f} box {shown_box:.3f} rate {trainer.rate():.1e}"

    todo = batches(Numbered(source), first, steps, workers)
    with click.progressbar(todo, length=steps - first, show_pos=True, item_show_func=losses, file=sys.stderr) as bar:
        for item in bar:
            class_loss, box_loss = trainer.learn(item)
            share = max(0.02, 1 / (trainer.step - first))
            shown_class += share * (class_loss - shown_class)
            shown_box += share * (box_loss - shown_box)
            if trainer.step % 250 == 0:
                trainer.save(checkpoint)
    trainer.save(checkpoint)


if __name__ == "__main__":
    main()
