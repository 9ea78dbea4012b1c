"""A small detector with strides 8, 16 and 32 that gives masks, key points or turned boxes, in Ultralytics' layout.

`predictions` [N, 4 + C + parts, points]: cx cy w h in pixels, class scores, then 8 weights of prototypes, or 17 times
x y confidence, or an angle in radians; with masks also `prototypes` [N, 8, 40, 40].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from parts.scenes import NAMES, SIDE

__all__ = ["PROTOTYPES", "STRIDES", "Detector", "grid"]

STRIDES = (8, 16, 32)
PROTOTYPES = 8
_POINTS = 17
_PARTS = {"masks": PROTOTYPES, "points": 3 * _POINTS, "oriented": 1}
_PRIOR = -4.0  # a place holds an object so seldom, as a logit


def grid() -> Tensor:
    """Centre x, y and stride of every place, [points, 3], in pixels."""
    places = []
    for stride in STRIDES:
        centres = (torch.arange(SIDE // stride) + 0.5) * stride
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        places.append(torch.stack([x.flatten(), y.flatten(), torch.full((x.numel(),), float(stride))], dim=1))
    return torch.cat(places)


class Detector(nn.Module):  # type: ignore[misc, unused-ignore]
    """`forward` gives logits and raw values for training; `Decoded` what is exported."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.classes, self.extra = kind, len(NAMES[kind]), _PARTS[kind]
        self.stem = nn.Sequential(_conv(3, 12, 2), _conv(12, 24, 2), _Block(24))
        self.down = nn.ModuleList(nn.Sequential(_conv(a, b, 2), _Block(b)) for a, b in ((24, 40), (40, 56), (56, 72)))
        self.level = nn.ModuleList(_conv(width, 40, 1, 1) for width in (40, 56, 72))
        self.merge = nn.ModuleList(_conv(40, 40) for _ in range(2))
        self.scores = nn.ModuleList(nn.Sequential(_conv(40, 40), nn.Conv2d(40, self.classes, 1)) for _ in STRIDES)
        self.boxes = nn.ModuleList(nn.Sequential(_conv(40, 40), nn.Conv2d(40, 4, 1)) for _ in STRIDES)
        self.parts = nn.ModuleList(nn.Sequential(_conv(40, 56), nn.Conv2d(56, self.extra, 1)) for _ in STRIDES)
        self.proto = nn.Sequential(
            _conv(40, 32), nn.Upsample(scale_factor=2), _conv(32, 24), nn.Conv2d(24, PROTOTYPES, 1)
        )
        for head in self.scores:
            nn.init.constant_(head[1].bias, _PRIOR)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Class logits, raw boxes, raw parts [N, ., points] of images [N, 3, SIDE, SIDE] in 0..1; and prototypes."""
        features, x = [], self.stem(images)
        for down in self.down:
            x = down(x)
            features.append(x)
        levels = [level(feature) for level, feature in zip(self.level, features, strict=True)]
        for index in (1, 0):
            levels[index] = self.merge[index](
                levels[index] + nn.functional.interpolate(levels[index + 1], scale_factor=2.0)
            )
        rows = [
            torch.cat([head(level).flatten(2) for head, level in zip(heads, levels, strict=True)], dim=2)
            for heads in (self.scores, self.boxes, self.parts)
        ]
        return rows[0], rows[1], rows[2], self.proto(levels[0]) if self.kind == "masks" else images.new_zeros(1)

    def decode(self, boxes: Tensor, parts: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes cx cy w h in pixels and parts as they are exported; [N, ., points], `places` as `grid` turned."""
        centre, stride = places[:2], places[2:]
        found = torch.cat([centre + boxes[:, :2] * stride, 4 * stride * torch.exp(boxes[:, 2:].clamp(-3, 3))], dim=1)
        if self.kind == "oriented":
            return found, (parts.sigmoid() - 0.25) * math.pi
        if self.kind == "masks":
            return found, parts
        shaped = parts.unflatten(1, (_POINTS, 3))
        xy = centre + shaped[:, :, :2] * stride * 2
        return found, torch.cat([xy, shaped[:, :, 2:].sigmoid()], dim=2).flatten(1, 2)


class Decoded(nn.Module):  # type: ignore[misc, unused-ignore]
    """The detector as it is exported."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("places", grid().T.contiguous())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        scores, boxes, parts, prototypes = self.model(images)
        found, told = self.model.decode(boxes, parts, self.places)
        rows = torch.cat([found, scores.sigmoid(), told], dim=1)
        return (rows, prototypes) if self.model.kind == "masks" else (rows,)


class _Block(nn.Module):  # type: ignore[misc, unused-ignore]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_conv(width, width // 2, 1, 1), _conv(width // 2, width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.inner(x)
        return out


def _conv(before: int, after: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after), nn.SiLU()
    )
