"""Which rows of the table a model's inputs and outputs fit, and which come nearest where none does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_export.model.families.family import Family, Match, Miss, Out, Pixels, Reading, Shown
from edge_export.model.families.loose import loosely
from edge_export.model.families.shapes import Unlike, known_sizes, lay
from edge_export.model.families.ultralytics_metadata import authors_pixels
from edge_export.model.graph_io import Output
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = ["Recognised", "fit", "recognise"]


@dataclass(frozen=True)
class Recognised:
    """The rows that fit, those that the file itself names first, and the nearest that do not."""

    readings: tuple[Reading, ...]
    nearest: tuple[Miss, ...]


def recognise(shown: Shown, families: Iterable[Family], nearest: int = 3) -> Recognised:
    """Lay every row over a model; where none fits, loosely (loose.py)."""
    rows = tuple(families)
    readings, misses = [], []
    for family in rows:
        found = fit(shown, family)
        if isinstance(found, Miss):
            misses.append(found)
        else:
            readings.append(found)
    readings = readings or list(loosely(shown, rows, fit))
    readings.sort(key=lambda reading: not reading.told)
    best = sorted((miss for miss in misses if miss.near > 0), key=lambda miss: -miss.near)[:nearest]
    return Recognised(tuple(readings), tuple(best))


def fit(shown: Shown, family: Family) -> Reading | Miss:
    """Lay one row over a model."""
    found = _lay_all(family, shown)
    if isinstance(found, Unlike):
        return Miss(family, found.reason, found.near)
    outputs, sizes = found
    match = Match(shown, outputs, sizes)
    if reason := family.when(match):
        return Miss(family, reason, 0.95)
    image = shown.image
    if image is not None and not (image.width and image.height) and family.size is not None:
        image = dataclasses.replace(image, width=family.size[0], height=family.size[1])
    try:
        told, post = family.told(match), family.read(match)
    except ValueError as error:  # the sizes are none that the runtime reads
        return Miss(family, str(error), 0.9)
    pixels, unsure = _pixels(match, family, post)
    preprocess = pixels.preprocess(image) if image is not None else None
    return Reading(family, match, told, preprocess, post, unsure, family.limits(match) or family.thresholds)


def _pixels(match: Match, family: Family, post: Postprocess) -> tuple[Pixels, str]:
    """What a model of this row takes, and what nothing tells of that.

    Metadata of Ultralytics beside outputs that are not theirs: whoever changed those left the network as it was.
    """
    author = None if family.ultralytics or not isinstance(post, Detect) else authors_pixels(match.shown)
    return (author, "") if author is not None else (family.pixels, family.unsure or family.doubt(match))


def _lay_all(family: Family, shown: Shown) -> tuple[tuple[Output, ...], dict[str, int]] | Unlike:
    patterns, outputs = family.outputs, shown.outputs
    if len(outputs) < len(patterns) or (len(outputs) > len(patterns) and not family.extra):
        reason = f"the model has {_count(len(outputs))}, this family {_count(len(patterns))}"
        return Unlike(reason, 0.2 if len(outputs) > len(patterns) else 0.05)
    sizes = {**known_sizes(shown, family.strides), **family.sizes(shown)}
    found = _assign(patterns, tuple(enumerate(outputs)), sizes)
    if isinstance(found, Unlike):
        return found
    chosen, sizes = found
    for pattern, output in zip(patterns, chosen, strict=True):  # what a later output bound may not fit an earlier one
        bound = lay(pattern, output, sizes, outputs.index(output))
        if isinstance(bound, Unlike):
            return bound
        sizes = bound
    return chosen, sizes


def _count(number: int) -> str:
    return "1 output" if number == 1 else f"{number} outputs"


def _assign(
    patterns: tuple[Out, ...], left: tuple[tuple[int, Output], ...], sizes: Mapping[str, int]
) -> tuple[tuple[Output, ...], dict[str, int]] | Unlike:
    """Give each pattern an output of its own, in the model's order where several would do."""
    if not patterns:
        return (), dict(sizes)
    best = Unlike("", -1.0)
    for place, (position, output) in enumerate(left):
        bound = lay(patterns[0], output, sizes, position)
        if isinstance(bound, dict):
            rest = _assign(patterns[1:], left[:place] + left[place + 1 :], bound)
            if not isinstance(rest, Unlike):
                return (output, *rest[0]), rest[1]
            bound = Unlike(rest.reason, (1 + rest.near * (len(patterns) - 1)) / len(patterns))
        else:
            bound = Unlike(bound.reason, bound.near / len(patterns))
        if bound.near > best.near:
            best = bound
    return best
