"""What computes in the contest: cost tables of different kinds, and how they are scaled to a load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.vocabulary import BatchCost, CostTable
from edge_tools.batching_bench.simulate import Service

__all__ = ["SERVICES", "capacity", "scaled"]


def _table(*rows: tuple[int, int, float]) -> CostTable:
    return CostTable(tuple(sorted((BatchCost(*row) for row in rows), key=lambda cost: (cost.lanes, cost.batch))))


_VIT_BLOCKS, _VIT_READ_MS, _VIT_COMPUTE_MS = 25, 347 / 25 / 300 * 1000, 138 / 25

SERVICES: Mapping[str, Service] = {
    # MobileNetV2 int8, two cores with VNNI, onnxruntime 1.31.1: 2.0 ms, 1.75 ms an image at batch 4; two runs of one
    # thread each at a time give 1.76 ms an image.
    "cpu": Service("cpu", _table((1, 1, 2.0), (4, 1, 7.0), (16, 1, 27.5), (1, 2, 3.52), (4, 2, 13.8)), 2),
    # An accelerator: half of a small batch is overhead; two streams at a time gain little.
    "gpu": Service(
        "gpu",
        _table(*((b, lanes, (5 + 0.6 * b) * (1, 1.85)[lanes - 1]) for b in (1, 2, 4, 8, 16, 32) for lanes in (1, 2))),
        2,
    ),
    # Batching gains nothing at all, a second lane neither.
    "flat": Service("flat", _table(*((b, lanes, 10.0 * b * lanes) for b in (1, 16) for lanes in (1, 2))), 2),
    # ViT-B FP32 in 25 blocks of 13.9 MB, all read anew for each batch at 300 MB/s (eMMC), 138 ms of computing an image.
    # While a block computes the next is read, so that a large batch is hardly dearer than a small one.
    "streamed": Service(
        "streamed",
        _table(*((b, 1, sum([max(_VIT_READ_MS, _VIT_COMPUTE_MS * b)] * _VIT_BLOCKS)) for b in (1, 2, 4, 8, 16))),
        1,
    ),
}


def capacity(service: Service, most: int) -> tuple[float, float]:
    """Return the most images per millisecond with batches of at most `most`, and how long such a batch takes."""
    costs = BatchCosts(service.table)
    rates = {lanes: costs.rate(costs.best_batch(lanes, most), lanes) for lanes in range(1, service.lanes + 1)}
    lanes = max(rates, key=lambda n: (rates[n], -n))
    return rates[lanes], costs.ms(costs.best_batch(lanes, most), lanes)


def scaled(service: Service, factor: float) -> Service:
    """Return the same service, `factor` times as slow."""
    costs = tuple(replace(cost, ms=cost.ms * factor) for cost in service.table.costs)
    return replace(service, table=CostTable(costs))
