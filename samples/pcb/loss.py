"""What the detector is trained to lower: task-aligned assignment, quality focal loss, GIoU loss.

Assignment after TOOD (Feng et al. 2021): a point is worth score * IoU^4 to a true box that it lies in; the best
ten points of each box are its positives, and the class target is that worth, scaled so that the best point's
target is its IoU. Classes are learnt with varifocal weighting (Zhang et al. 2021), boxes with GIoU.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pcb.model import CLASSES, STRIDE

TOP = 10
IOU_POWER = 4.0
BOX_WEIGHT = 2.5


def decode(raw: Tensor, columns: int) -> Tensor:
    """Boxes [N, A, 4] as x1 y1 x2 y2 in pixels from raw rows [N, 4, A] on a grid `columns` wide."""
    points = torch.arange(raw.shape[2], device=raw.device)
    cells = torch.stack([points % columns, points // columns]).to(raw.dtype)
    centre = (cells + raw[:, :2]) * STRIDE
    half = torch.exp(raw[:, 2:4].clamp(-2, 5)) * (STRIDE / 2)
    return torch.cat([centre - half, centre + half], 1).transpose(1, 2)


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and GIoU of boxes [..., 4] against boxes [..., 4], broadcast."""
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    areas = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    union = areas - inner + 1e-6
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1) + 1e-6
    iou = inner / union
    return iou, iou - (hull - union) / hull


@torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
def assign(scores: Tensor, boxes: Tensor, truth: Tensor, labels: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which points answer for which box.

    scores [N, A, C] in 0..1, boxes [N, A, 4], truth [N, G, 4], labels [N, G] with -1 for padding. Returns
    positive [N, A] bool, index of the box answered for [N, A], and class target [N, A] (0 where not positive).
    """
    points = torch.arange(boxes.shape[1])
    at = torch.stack([points % columns, points // columns], 1) * STRIDE + STRIDE / 2
    real = labels >= 0
    inside = (at > truth[:, :, None, :2]).all(-1) & (at < truth[:, :, None, 2:]).all(-1) & real[..., None]
    iou = overlap(boxes[:, None], truth[:, :, None])[0]
    own = scores.transpose(1, 2).gather(1, labels.clamp(min=0)[..., None].expand(-1, -1, boxes.shape[1]))
    worth = own * iou.pow(IOU_POWER) * inside + 1e-9 * inside  # [N, G, A]
    best, where = worth.topk(min(TOP, worth.shape[2]), dim=2)
    chosen = torch.zeros_like(worth).scatter_(2, where, (best > 0).to(worth.dtype))
    claim, answer = (chosen * (iou + 1e-6)).max(1)  # a point claimed twice answers for the box it fits best
    positive = claim > 0
    kept = chosen.bool() & (functional.one_hot(answer, truth.shape[1]).transpose(1, 2) > 0)
    scaled = worth * kept
    top = scaled.amax(2, keepdim=True)
    target = scaled / (top + 1e-12) * (iou * kept).amax(2, keepdim=True)
    return positive, answer, target.amax(1) * positive


def loss(raw: Tensor, truth: Tensor, labels: Tensor, columns: int) -> tuple[Tensor, Tensor]:
    """(class loss, box loss) of raw output [N, 4 + C, A] against truth [N, G, 4] and labels [N, G] (-1: padding)."""
    raw = raw.float()
    boxes, logits = decode(raw[:, :4], columns), raw[:, 4:].transpose(1, 2)
    positive, answer, quality = assign(logits.sigmoid(), boxes, truth, labels, columns)
    label = labels.gather(1, answer).clamp(min=0)
    target = functional.one_hot(label, CLASSES) * quality[..., None]
    weight = torch.where(target > 0, target, 0.75 * logits.detach().sigmoid().pow(2))
    scale = quality.sum().clamp(min=1.0)
    class_loss = (functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).sum() / scale
    theirs = truth.gather(1, answer[..., None].expand(-1, -1, 4))[positive]
    box_loss = ((1 - overlap(boxes[positive], theirs)[1]) * quality[positive]).sum() / scale
    return class_loss, BOX_WEIGHT * box_loss
