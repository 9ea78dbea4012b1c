"""Which node of a model has which precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from edge_runtime.bundle.manifest import Precision

__all__ = ["Mix"]


@dataclass(frozen=True)
class Mix:
    """`nodes` are pairs of a node with weights and its precision; one without a pair is left as it came: "fp32".

    `barred` are nodes without weights that stay float although they lie between int8 ones. `halves` are initializers
    of other nodes (a table of embeddings, an LSTM's) that are stored as FP16. What each precision is, and how it is
    written, stands in edge_export.quant.schemes. Two mixes that say the same are equal.
    """

    nodes: frozenset[tuple[str, Precision]] = field(default=frozenset())
    barred: frozenset[str] = frozenset()
    halves: frozenset[str] = frozenset()

    @classmethod
    def of(cls, precision: Precision, names: Iterable[str], barred: Iterable[str] = ()) -> Mix:
        """Return the mix in which the nodes `names` have one precision, and all others are left as they came."""
        return cls(barred=frozenset(barred)).given(precision, names)

    def given(self, precision: Precision, names: Iterable[str]) -> Mix:
        """Return the mix with another precision for some nodes."""
        changed = frozenset(names)
        nodes = frozenset(pair for pair in self.nodes if pair[0] not in changed)
        added = frozenset() if precision == "fp32" else frozenset((name, precision) for name in changed)
        return replace(self, nodes=nodes | added)

    def precision(self, name: str) -> Precision:
        """Return a node's precision."""
        return self._by_name.get(name, "fp32")

    def named(self, *precisions: Precision) -> frozenset[str]:
        """Return the nodes that have one of these precisions, none of them "fp32"."""
        return frozenset(name for name, precision in self.nodes if precision in precisions)

    @property
    def changes_nothing(self) -> bool:
        """True where the graph is left as it came."""
        return not self.nodes and not self.halves

    @cached_property
    def _by_name(self) -> dict[str, Precision]:
        return dict(self.nodes)
