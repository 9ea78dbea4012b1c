"""What is known of a model beside its graph: from flags, from the file's own metadata, from guesses."""

from __future__ import annotations

from edge_export.state import KnownFacts

__all__ = ["image_shape", "merge"]


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
