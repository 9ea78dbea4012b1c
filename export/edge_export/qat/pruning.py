"""Masks: which weights of a QatModel are zero. They are 0 in the exported file too: 0 quantizes to 0."""

from __future__ import annotations

import torch

from edge_export.qat.model import QatModel

__all__ = ["prune", "sparsity_of"]


def prune(qat: QatModel, share: float, smallest: int = 0) -> None:
    """Mask the `share` of smallest magnitudes in each int8 node's weights that have at least `smallest` values."""
    for _, weight, quantizer in qat.prunable():
        count = round(share * weight.numel())
        if weight.numel() < smallest:
            continue
        # A weight that was masked before stays so: its value is frozen, and would come back at random.
        magnitude = (weight.detach() * quantizer.mask).abs().reshape(-1)
        mask = torch.ones_like(magnitude)
        mask[torch.argsort(magnitude, stable=True)[:count]] = 0.0
        quantizer.mask.copy_(mask.reshape(weight.shape) * quantizer.mask)


def sparsity_of(qat: QatModel) -> float:
    """Return the share of zeros among the int8 weights, as they are exported."""
    arrays = qat.initializers()
    names = qat.int8_values()
    total = sum(arrays[name].size for name in names)
    return sum(int((arrays[name] == 0).sum()) for name in names) / max(1, total)
