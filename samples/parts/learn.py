"""What the detector should have said of each picture, and how far it is from that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from parts.network import STRIDES, Detector, grid
from parts.scenes import SIDE, Drawn, Scene

__all__ = ["Targets", "loss", "targets_of"]

# The longer side from which on an object belongs to the next stride, in pixels.
_LONGEST = (44.0, 80.0)
_REACH = 1.5  # strides around an object's centre that answer for it
_MASK = 4  # pixels of the picture for one of a prototype


@dataclass(frozen=True)
class Targets:
    """A batch's pictures and, for every place that answers for an object, what it should say."""

    images: Tensor  # [N, 3, SIDE, SIDE]
    image: Tensor  # [n] whose place it is
    place: Tensor  # [n] which place
    class_id: Tensor
    boxes: Tensor  # [n, 4] cx cy w h; of turned boxes before they were turned
    angles: Tensor  # [n]
    points: Tensor  # [n, 17, 3]
    around: Tensor  # [n, 4] the upright box x1 y1 x2 y2
    masks: Tensor  # [n, SIDE / 4, SIDE / 4]


def targets_of(kind: str, scenes: Sequence[Scene]) -> Targets:
    """Gather a batch."""
    places = grid().numpy()
    rows: list[tuple[int, int, Drawn, list[float], float, np.ndarray]] = []
    for number, scene in enumerate(scenes):
        for drawn in scene.objects:
            box, angle = _turned(drawn) if kind == "oriented" else (_upright(drawn), 0.0)
            x1, y1, x2, y2 = drawn.box
            longest = max(x2 - x1, y2 - y1)
            stride = STRIDES[sum(longest > limit for limit in _LONGEST)]
            near = np.abs(places[:, :2] - [(x1 + x2) / 2, (y1 + y2) / 2]).max(axis=1) < _REACH * stride
            mask = _pixels(drawn) if kind == "masks" else np.zeros((0, 0), np.float32)
            rows += [
                (number, int(place), drawn, box, angle, mask)
                for place in np.flatnonzero(near & (places[:, 2] == stride))
            ]
    numbers, at, objects, boxes, angles, masks = zip(*rows, strict=True)
    none = np.zeros((17, 3))
    return Targets(
        torch.stack([_tensor(scene.image) for scene in scenes]),
        torch.tensor(numbers),
        torch.tensor(at),
        torch.tensor([one.class_id for one in objects]),
        torch.tensor(boxes),
        torch.tensor(angles),
        torch.tensor(np.array([none if one.points is None else one.points for one in objects]), dtype=torch.float32),
        torch.tensor([one.box for one in objects]),
        torch.from_numpy(np.stack(masks)),
    )


def loss(model: Detector, targets: Targets, places: Tensor) -> Tensor:
    """The loss of a batch."""
    scores, boxes, parts, prototypes = model(targets.images)
    found, told = model.decode(boxes, parts, places.T)
    wanted = torch.zeros_like(scores)
    wanted[targets.image, targets.class_id, targets.place] = 1.0
    count = max(1, len(targets.image))
    total = binary_cross_entropy_with_logits(scores, wanted, reduction="sum") / count
    mine, extra = (values[targets.image, :, targets.place] for values in (found, told))
    size = targets.boxes[:, 2:].prod(dim=1, keepdim=True).sqrt()
    total = total + 5 * ((mine[:, :2] - targets.boxes[:, :2]).abs() / size).mean()
    total = total + 2.5 * (mine[:, 2:].log() - targets.boxes[:, 2:].log()).abs().mean()
    if model.kind == "oriented":
        return total + 4 * (1 - torch.cos(2 * (extra[:, 0] - targets.angles))).mean()
    if model.kind == "points":
        logits = parts[targets.image, :, targets.place].unflatten(1, (17, 3))[:, :, 2]
        return total + _points_loss(extra.unflatten(1, (17, 3)), logits, targets, size)
    return total + 2 * _mask_loss(extra, prototypes, targets)


def _points_loss(found: Tensor, logits: Tensor, targets: Targets, size: Tensor) -> Tensor:
    seen = (targets.points[:, :, 2] > 0).float()
    apart = (found[:, :, :2] - targets.points[:, :, :2]).norm(dim=2) / size
    return 12 * (apart * seen).sum() / seen.sum() + 0.2 * binary_cross_entropy_with_logits(logits, seen)


def _mask_loss(weights: Tensor, prototypes: Tensor, targets: Targets) -> Tensor:
    logits = torch.einsum("nc,nchw->nhw", weights, prototypes[targets.image])
    at = (torch.arange(SIDE // _MASK) + 0.5) * _MASK
    x1, y1, x2, y2 = targets.around.T[:, :, None]
    inside = (((at > y1) & (at < y2))[:, :, None] & ((at > x1) & (at < x2))[:, None, :]).float()
    each = binary_cross_entropy_with_logits(logits, targets.masks, reduction="none") * inside
    return (each.sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)).mean()


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1).float() / 255


def _upright(drawn: Drawn) -> list[float]:
    x1, y1, x2, y2 = drawn.box
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


def _turned(drawn: Drawn) -> tuple[list[float], float]:
    """The box before it was turned, its first side along x, and the angle, -pi/4 .. 3 pi/4 as it is exported."""
    first, second = drawn.outline[1] - drawn.outline[0], drawn.outline[2] - drawn.outline[1]
    angle = (math.atan2(first[1], first[0]) + math.pi / 4) % math.pi - math.pi / 4
    return [*drawn.outline.mean(axis=0).tolist(), float(np.hypot(*first)), float(np.hypot(*second))], angle


def _pixels(drawn: Drawn) -> np.ndarray:
    full = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(full, [np.round(drawn.outline).astype(np.int32)], 255)
    return (cv2.resize(full, (SIDE // _MASK, SIDE // _MASK), interpolation=cv2.INTER_AREA) / 255).astype(np.float32)
