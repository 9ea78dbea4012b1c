"""Measures the detector on real boards, or on a folder that generate.py wrote.

    python samples/pcb/evaluate.py samples/pcb/pcb.onnx --data ../shared/data/deeppcb

DeepPCB's rule: a detection is right if it overlaps a defect of its own class by IoU >= 0.33; the most confident
goes first and each defect counts once. AP is the whole area under the precision envelope (all-point), mAP its
mean over the six classes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `python samples/pcb/evaluate.py`

import click
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pcb.defects import NAMES
from pcb.detect import Detections, decode, iou
from pcb.folder import Picture, pictures

RIGHT = 0.33


@dataclass(frozen=True)
class Score:
    """One class: average precision, and precision and recall at the chosen confidence."""

    ap: float
    precision: float
    recall: float
    truths: int

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def detections(model: Path, items: list[Picture], suppress: float, threads: int) -> Iterator[Detections]:
    """What the ONNX model finds in each picture."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    with click.progressbar(items, show_pos=True, file=sys.stderr) as shown:
        for item in shown:
            grey = item.grey()
            raw = session.run(None, {"images": grey[None, None].astype(np.float32) / 255})[0][0]
            yield decode(raw, grey.shape[1] // 8, suppress=suppress)


def match(found: Detections, truth: Picture) -> NDArray[np.int64]:
    """For each detection (best first) the defect it is right about, or -1."""
    overlaps = iou(found.boxes, truth.boxes)
    overlaps[found.labels[:, None] != truth.labels[None]] = 0
    taken = np.full(len(found.boxes), -1, np.int64)
    for i in range(len(found.boxes)):
        if overlaps.shape[1] and overlaps[i].max() >= RIGHT:
            taken[i] = int(overlaps[i].argmax())
            overlaps[:, taken[i]] = 0
    return taken


def average_precision(right: NDArray[np.bool_], truths: int) -> float:
    """Area under the precision envelope; `right` says of each detection, most confident first, if it is."""
    if truths == 0 or len(right) == 0:
        return 0.0
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float(np.sum(precision * right) / truths)


def score(found: list[Detections], truth: list[Picture], confidence: float) -> list[Score]:
    """Each class's score, in the order of NAMES."""
    matches = [match(f, t) for f, t in zip(found, truth, strict=True)]
    labels = np.concatenate([f.labels for f in found])
    scores = np.concatenate([f.scores for f in found])
    right = np.concatenate(matches) >= 0
    out = []
    for label in range(len(NAMES)):
        mine = labels == label
        order = np.argsort(-scores[mine], kind="stable")
        truths = int(sum(np.count_nonzero(t.labels == label) for t in truth))
        sure = right[mine][scores[mine] >= confidence]
        hits = int(np.count_nonzero(sure))
        out.append(
            Score(
                average_precision(right[mine][order], truths),
                hits / max(1, len(sure)),
                hits / max(1, truths),
                truths,
            )
        )
    return out


def mistakes(found: list[Detections], truth: list[Picture], confidence: float) -> dict[str, Counter[str]]:
    """Why defects are missed, and what false alarms are, at `confidence`."""
    missed: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    false: Counter[str] = Counter()
    for f, t in zip(found, truth, strict=True):
        sure = f.scores >= confidence
        f = Detections(f.boxes[sure], f.scores[sure], f.labels[sure])
        taken = match(f, t)
        overlaps = iou(t.boxes, f.boxes)
        for i in sorted(set(range(len(t.boxes))) - set(taken.tolist())):
            name = NAMES[t.labels[i]]
            near = overlaps[i] if overlaps.shape[1] else np.zeros(1)
            j = int(near.argmax())
            if near[j] >= RIGHT and f.labels[j] != t.labels[i]:
                missed[f"{name} taken for {NAMES[f.labels[j]]}"] += 1
            elif near[j] >= 0.1:
                missed[f"{name} badly placed or shared"] += 1
            else:
                missed[f"{name} not seen"] += 1
            side = float((t.boxes[i, 2:] - t.boxes[i, :2]).max())
            sizes["under 30 px" if side < 30 else "30 to 45 px" if side < 45 else "over 45 px"] += 1
        for j in np.flatnonzero(taken < 0).tolist():
            near = overlaps[:, j] if overlaps.shape[0] else np.zeros(1)
            what = "nothing there" if near.max() < 0.1 else "on or near a defect"
            false[f"{NAMES[f.labels[j]]}: {what}"] += 1
    return {"missed": missed, "missed, by longest side": sizes, "false alarms": false}


@click.command()
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="Folder of pictures.")
@click.option("--every", default=1, help="Take only every N-th picture.")
@click.option("--confidence", default=0.55, help="For precision, recall and the list of mistakes.")
@click.option("--suppress", default=0.4, help="IoU at which non-maximum suppression acts, per class.")
@click.option("--threads", default=2)
def main(model: Path, data: Path, every: int, confidence: float, suppress: float, threads: int) -> None:
    """Print MODEL's mAP on the pictures in --data and what it gets wrong."""
    try:
        truth = pictures(data)[::every]
    except ValueError as bad:
        raise click.ClickException(str(bad)) from bad
    found = list(detections(model, truth, suppress, threads))
    scores = score(found, truth, confidence)
    click.echo(f"{len(truth)} pictures, IoU >= {RIGHT}, all-point AP, NMS {suppress} per class")
    click.echo(f"{'class':<10} {'AP':>6} {'prec':>6} {'recall':>6} {'F1':>6} {'defects':>8}")
    for name, s in zip(NAMES, scores, strict=True):
        click.echo(f"{name:<10} {s.ap:6.3f} {s.precision:6.3f} {s.recall:6.3f} {s.f1:6.3f} {s.truths:8d}")
    f1 = np.mean([s.f1 for s in scores])
    click.echo(f"{'mean':<10} {np.mean([s.ap for s in scores]):6.3f} {'':6} {'':6} {f1:6.3f}  at {confidence}")
    for title, counts in mistakes(found, truth, confidence).items():
        click.echo(f"{title}: " + ", ".join(f"{what} {n}" for what, n in counts.most_common(14)))


if __name__ == "__main__":
    main()
