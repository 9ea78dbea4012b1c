"""What is known of a model beside its graph: from flags, from the file's own metadata, from guesses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Union

from edge_runtime.bundle.facts import Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Postprocess
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["KnownFacts", "image_shape", "merge"]


@dataclass(frozen=True)
class KnownFacts:
    """Model facts; None is "not known". `origin` says of each known field where it was found.

    `notes` are sentences for the user: what was chosen where the source left a choice, what was ignored and
    why.
    """

    name: Union[str, None] = None
    version: Union[str, None] = None
    preprocess: Union[Preprocess, None] = None
    postprocess: Union[Postprocess, None] = None
    labels: Union[tuple[str, ...], None] = None
    thresholds: Union[Thresholds, None] = None
    verdict: Union[VerdictRule, None] = None
    notes: tuple[str, ...] = ()
    origin: dict[str, str] = field(default_factory=dict)

    def known(self) -> tuple[str, ...]:
        """Names of the fields that are known, notes and origin aside."""
        names = (f.name for f in dataclasses.fields(self) if f.name not in ("notes", "origin"))
        return tuple(name for name in names if getattr(self, name) is not None)

    def found_in(self, origin: str) -> KnownFacts:
        """The same facts, every known field marked as found in `origin`."""
        return dataclasses.replace(self, origin=dict.fromkeys(self.known(), origin))


def merge(first: KnownFacts, second: KnownFacts) -> KnownFacts:
    """Join two sets of facts: per field the first that knows wins; notes of both are kept, once each."""
    values = {
        name: getattr(first, name) if getattr(first, name) is not None else getattr(second, name)
        for name in ("name", "version", "preprocess", "postprocess", "labels", "thresholds", "verdict")
    }
    origin = {**second.origin, **first.origin}
    notes = tuple(dict.fromkeys(first.notes + second.notes))
    return KnownFacts(**values, notes=notes, origin=origin)


def image_shape(facts: KnownFacts, shape: tuple[int | str | None, ...]) -> tuple[int | str, ...] | None:
    """Fill an image input's free dimensions from the pre-processing; None when it is no such input or not
    known.

    `shape` has None or a name for a free dimension; a free batch becomes 1, which leaves it free for `clean`.
    """
    pre = facts.preprocess
    if pre is None or len(shape) != 4:
        return None
    channels = 1 if pre.colour == "gray" else 3
    full = (1, channels, pre.height, pre.width) if pre.layout == "nchw" else (1, pre.height, pre.width, channels)
    free = [not isinstance(dim, int) for dim in shape]
    if not any(free) or any(not free[i] and shape[i] != full[i] for i in range(1, 4)):
        return None
    return tuple(full[i] if free[i] else _number(shape[i]) for i in range(4))


def _number(dim: int | str | None) -> int:
    return dim if isinstance(dim, int) else 1
