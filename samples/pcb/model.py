"""The detector: a small anchor-free convolutional network, made to survive int8.

Only plain 3x3 and 1x1 convolutions, ReLU, additions, nearest upsampling and concatenation. Narrow where
the picture is large (that is where multiply-adds are dear), wide at strides 32 and 64 where weights are
cheap to use and see the board's style: its drills, its typical gap.

Output, for a picture [N, 1, H, W] of pixel / 255: [N, 4 + 6, H/8 * W/8], points in rows, then columns.
Rows 0..3 are dx, dy, log w, log h against the point's cell (YOLOX encoding: cx = (gx + dx) * 8,
w = exp(log w) * 8), rows 4..9 class logits in the order of `defects.NAMES`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CLASSES = 6
STRIDE = 8


@dataclass(frozen=True)
class Widths:
    """Channels at each stride, of the top-down path, and of the head."""

    s2: int = 8
    s4: int = 16
    s8: int = 48
    s16: int = 80
    s32: int = 160
    s64: int = 256
    down32: int = 96
    down16: int = 64
    head: int = 32


def conv(cin: int, cout: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, size, stride, size // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):  # type: ignore[misc, unused-ignore]  # torch is not typed where mypy runs
    """x + 3x3(1x1(x)), the 1x1 narrowing to `inner` channels."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.squeeze = conv(channels, inner, 1)
        self.spread = nn.Sequential(nn.Conv2d(inner, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.spread(self.squeeze(x)))


class Detector(nn.Module):  # type: ignore[misc, unused-ignore]
    """Backbone to stride 64, top-down path back to stride 8, one head there."""

    def __init__(self, widths: Widths = Widths()) -> None:
        super().__init__()
        w = widths
        self.stem = nn.Sequential(conv(1, w.s2, 3, 2), conv(w.s2, w.s4, 3, 2))
        self.stage8 = nn.Sequential(conv(w.s4, w.s8, 3, 2), Residual(w.s8, w.s8 // 3))
        self.stage16 = nn.Sequential(conv(w.s8, w.s16, 3, 2), Residual(w.s16, w.s16 // 2))
        self.stage32 = nn.Sequential(conv(w.s16, w.s32, 3, 2), Residual(w.s32, w.s32 * 2 // 5))
        self.stage64 = nn.Sequential(
            conv(w.s32, w.s64, 3, 2), Residual(w.s64, w.s64 * 3 // 4), Residual(w.s64, w.s64 // 2)
        )
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.from64 = conv(w.s64, w.down32, 1)
        self.at32 = conv(w.s32 + w.down32, w.down32, 1)
        self.at16 = conv(w.s16 + w.down32, w.down16, 1)
        self.at8 = conv(w.s8 + w.down16, w.head, 1)
        self.head = conv(w.head, w.head, 3)
        self.box = nn.Conv2d(w.head, 4, 1)
        self.cls = nn.Conv2d(w.head, CLASSES, 1)
        self._start()

    def _start(self) -> None:
        """He weights; every class starts rare and every box about 34 pixels wide, as defects are."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for last in (self.box, self.cls):
            nn.init.normal_(last.weight, 0, 0.01)
        with torch.no_grad():
            side = math.log(34 / STRIDE)
            self.cls.bias.fill_(-math.log((1 - 0.01) / 0.01))
            self.box.bias.copy_(torch.tensor([0.5, 0.5, side, side]))

    def forward(self, images: Tensor) -> Tensor:
        s8 = self.stage8(self.stem(images))
        s16 = self.stage16(s8)
        s32 = self.stage32(s16)
        top = self.from64(self.stage64(s32))
        d32 = self.at32(torch.cat([s32, self.up(top)], 1))
        d16 = self.at16(torch.cat([s16, self.up(d32)], 1))
        d8 = self.head(self.at8(torch.cat([s8, self.up(d16)], 1)))
        points = int(d8.shape[2]) * int(d8.shape[3])  # int: a constant in the exported graph
        return torch.cat([self.box(d8).reshape(-1, 4, points), self.cls(d8).reshape(-1, CLASSES, points)], 1)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model: nn.Module, size: int = 640) -> int:
    """Multiply-adds of all convolutions for one picture of `size` x `size`."""
    total = 0

    def count(module: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += module.weight[0].numel() * out[0].numel()

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d)]
    was = model.training
    with torch.no_grad():
        model.eval()(torch.zeros(1, 1, size, size))
    model.train(was)
    for hook in hooks:
        hook.remove()
    return total
