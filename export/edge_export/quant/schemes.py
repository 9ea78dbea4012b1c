"""Every precision that a node with weights can have: the one table. A new one is a row here and its quantizer.

A row's name is the word in manifests and reports; edge_runtime.bundle.manifest lists the words that a bundle may hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_export.graph import Graph
from edge_export.quant.fp16 import write_fp16
from edge_export.quant.int4 import int4_able, write_int4
from edge_export.quant.int8 import int8_able, int8_weights_able, write_int8, write_int8_weights
from edge_export.quant.select import Compute
from edge_export.quant.writer import GraphWriter
from edge_export.state import Mix
from edge_runtime.bundle.manifest import Precision

__all__ = ["SCHEMES", "Scheme", "integer_nodes", "is_narrow", "scheme_of"]


@dataclass(frozen=True)
class Scheme:
    """One precision. `meaning` is what reports say of it, `bits` what a weight takes without its scales.

    `integers`: it computes in integers, so its activations need calibrated ranges; others compute in floats. `able`
    tells whether a node can have it, `write` gives it to one.
    """

    name: Precision
    meaning: str
    bits: int
    integers: bool
    able: Callable[[Graph, Compute], bool]
    write: Callable[[GraphWriter, Compute], None]


def _always(graph: Graph, item: Compute) -> bool:
    return True


def _as_it_is(writer: GraphWriter, item: Compute) -> None:
    pass


_FP16_BITS = 16

# In the order in which they are written and reports count them.
SCHEMES: tuple[Scheme, ...] = (
    Scheme("int8", "computes in integers", 8, True, int8_able, write_int8),
    Scheme("int8-weights", "int8 weights, computes in floats", 8, False, int8_weights_able, write_int8_weights),
    Scheme("int4-weights", "int4 weights, computes in floats", 4, False, int4_able, write_int4),
    Scheme("fp16", "FP16 weights", _FP16_BITS, False, _always, write_fp16),
    Scheme("fp32", "FP32 weights", 32, False, _always, _as_it_is),
)


def scheme_of(name: Precision) -> Scheme:
    """Return the row of a precision."""
    return next(scheme for scheme in SCHEMES if scheme.name == name)


def is_narrow(name: Precision) -> bool:
    """Tell whether weights are stored in fewer bits than FP16 has: they are rounded to a few steps."""
    return scheme_of(name).bits < _FP16_BITS


def integer_nodes(mix: Mix) -> frozenset[str]:
    """Return the nodes that compute in integers."""
    return mix.named(*(scheme.name for scheme in SCHEMES if scheme.integers))
