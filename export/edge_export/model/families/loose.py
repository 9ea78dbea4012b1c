"""Rows of the table laid over models that differ a little from what is published: one output more, other names of
outputs, no batch dimension. Tried where no row fits as it is.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Union

from edge_export.model.families.family import Family, Match, Miss, Out, Reading, Shown
from edge_export.model.families.shapes import known_sizes, lay
from edge_export.model.graph_io import Output
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Postprocess, Segment
from edge_runtime.vision.postprocess.readers.table import READERS

__all__ = ["OTHER_NAMES", "loosely"]

Fit = Callable[[Shown, Family], Union[Reading, Miss]]
# How it begins that a reading's outputs have other names than its family's.
OTHER_NAMES = "its outputs are not called as those of"


def loosely(shown: Shown, families: Iterable[Family], fit: Fit) -> tuple[Reading, ...]:
    """The readings of all kinds of looseness; pictures choose among them."""
    rows = tuple(families)
    return tuple(
        reading for readings in (_with_more, _without_batch, _unnamed) for reading in readings(shown, rows, fit)
    )


def _with_more(shown: Shown, rows: Iterable[Family], fit: Fit) -> Iterator[Reading]:
    """A row whose outputs are there, one that is not read besides; only where nothing else could be one of its own."""
    found = []
    for row in rows:
        if row.extra or len(shown.outputs) != len(row.outputs) + 1:
            continue
        reading = fit(shown, dataclasses.replace(row, extra=True))
        if isinstance(reading, Reading) and _is_only_way(row, reading.match):
            found.append(_naming_outputs(reading))
    objects = [reading for reading in found if isinstance(reading.postprocess, Detect)]
    if objects:
        return iter(objects)
    # Of one model's outputs scores of the whole picture and of its pixels are both likely: then nothing is told.
    return iter(found if len({reading.match.names for reading in found}) == 1 else ())


def _unnamed(shown: Shown, rows: Iterable[Family], fit: Fit) -> Iterator[Reading]:
    """A row of several outputs by shapes and types alone: what it takes is not told then."""
    for row in rows:
        if len(row.outputs) < 2 or len(row.outputs) > len(shown.outputs) or not any(out.name for out in row.outputs):
            continue
        bare = tuple(dataclasses.replace(out, name="") for out in row.outputs)
        unnamed = dataclasses.replace(row, outputs=bare, told=_nowhere)
        reading = fit(shown, unnamed)
        if isinstance(reading, Reading) and _is_only_way(unnamed, reading.match):
            why = reading.unsure or f"{OTHER_NAMES} {row.name}, which takes such pixels (--family)"
            yield dataclasses.replace(_naming_outputs(reading), unsure=why)


def _without_batch(shown: Shown, rows: Iterable[Family], fit: Fit) -> Iterator[Reading]:
    """A row of finished boxes whose outputs hold one picture's, without a dimension for the batch."""
    for row in rows:
        if all(out.shape[:1] == ("N",) and "K" in out.shape for out in row.outputs):
            bare = tuple(dataclasses.replace(out, shape=out.shape[1:]) for out in row.outputs)
            reading = fit(shown, dataclasses.replace(row, outputs=bare))
            post = reading.postprocess if isinstance(reading, Reading) else None
            if isinstance(reading, Reading) and isinstance(post, Detect) and READERS[post.format].ranks:
                yield reading


def _is_only_way(row: Family, match: Match) -> bool:
    """Whether no other output has the shape and type of one that is read, and no two of those could change places."""
    shown, patterns, chosen = match.shown, row.outputs, match.outputs
    sizes = {**known_sizes(shown, row.strides), **row.sizes(shown)}

    def fits(pattern: Out, output: Output) -> bool:
        return isinstance(lay(pattern, output, sizes, 0), dict)

    spare = [output for output in shown.outputs if output not in chosen]
    if any(fits(pattern, output) for pattern in patterns for output in spare):
        return False
    pairs = itertools.combinations(zip(patterns, chosen, strict=True), 2)
    return not any(fits(one, b) and fits(other, a) for (one, a), (other, b) in pairs)


def _naming_outputs(reading: Reading) -> Reading:
    """The reading with its outputs by name: by their place they may be others."""
    post: Postprocess = reading.postprocess
    names = reading.match.names
    if isinstance(post, Detect) and not post.outputs:
        post = dataclasses.replace(post, outputs=names)
    elif isinstance(post, (Classify, Segment)) and not post.output:
        post = dataclasses.replace(post, output=names[0])
    return reading if isinstance(post, Anomaly) else dataclasses.replace(reading, postprocess=post)


def _nowhere(_match: Match) -> str:
    return ""
