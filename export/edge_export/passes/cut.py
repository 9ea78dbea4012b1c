"""Cut the graph in blocks whose chain gives the whole model's answer."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_export.blocks.chain import ChainCheck
from edge_export.blocks.cut_points import choose_cut_points, target_bytes, weight_sizes
from edge_export.blocks.sequence import Sequence, make_sequence
from edge_export.run import value_facts
from edge_export.state import Cut, Draft, Feeds, Progress, ValueFact
from edge_runtime.errors import DataError, ModelError

__all__ = ["cut_blocks"]

_TRIES = 5


def cut_blocks(draft: Draft, progress: Progress) -> Draft:
    """Fill `cuts`, each with what enters and leaves it, and `values`, the types of everything that crosses.

    A cut that changes the answer under onnxruntime's full optimizer by more than FP32's rounding (it split a fusion)
    is moved, and left out where no other point is right. With the optimizer off the chain must be exact to the last
    bit, or this pass fails.
    """
    sequence = make_sequence(draft.model)
    sizes = weight_sizes(draft.model)
    target = draft.options.block_bytes or target_bytes(sum(sizes.values()))
    if not sequence.main or sum(sizes.values()) <= 0.6 * target:
        return replace(draft, cuts=_cuts(sequence, ()))
    feeds = _feeds(draft)
    made = [name for node in sequence.main for name in node.output if name]
    facts = value_facts(draft.model, feeds[0], made)
    with tempfile.TemporaryDirectory(prefix="edgeline-cut-") as folder:
        optimized = ChainCheck(draft.model, feeds, Path(folder), optimize=True)
        points, notes = _right_points(sequence, sizes, facts, target, optimized)
        cuts = _cuts(sequence, points)
        with progress.step("check blocks", 1) as advance:
            if points and not ChainCheck(draft.model, feeds, Path(folder), optimize=False).same(cuts, facts):
                raise ModelError("the blocks do not give the whole model's answer: please report this model")
            advance()
    return replace(draft, cuts=cuts, values=facts, notes=(*draft.notes, *notes))


def _right_points(
    sequence: Sequence, sizes: dict[str, int], facts: dict[str, ValueFact], target: int, check: ChainCheck
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    points: tuple[int, ...] = ()
    banned: set[int] = set()
    right: set[int] = set()  # when each is the only cut
    for _ in range(_TRIES):
        points = choose_cut_points(sequence, sizes, facts, target, banned)
        wrong = _wrong(sequence, points, facts, check, right)
        if not wrong:
            return points, ()
        banned |= wrong
    # Bigger blocks that are right are worth more than blocks of the wished size.
    kept = tuple(point for point in points if point not in banned)
    points = () if _wrong(sequence, kept, facts, check, right) else kept
    return points, (f"cut in {len(points) + 1} blocks: every other place would split a fusion of onnxruntime",)


def _wrong(
    sequence: Sequence, points: tuple[int, ...], facts: dict[str, ValueFact], check: ChainCheck, right: set[int]
) -> set[int]:
    """Return the points at which a single cut changes the outputs; empty when all together change nothing.

    Places that are found to change nothing join `right`, and are not tried alone again.
    """
    if not points or check.same(_cuts(sequence, points), facts):
        return set()
    right |= {point for point in points if point not in right and check.same(_cuts(sequence, (point,)), facts)}
    return set(points) - right or set(points)


def _cuts(sequence: Sequence, points: tuple[int, ...]) -> tuple[Cut, ...]:
    edges = [0, *points, len(sequence.main)]
    return tuple(sequence.block(start, stop) for start, stop in itertools.pairwise(edges))


def _feeds(draft: Draft) -> list[Feeds]:
    """Return two samples, and both as one batch where every input's batch is free."""
    feeds = list(draft.samples(2))
    if not feeds:
        raise DataError("the calibration set is empty; give at least one sample")
    free = draft.model_facts().batch is None
    shapes = {tuple(feed[spec.name].shape for spec in draft.inputs) for feed in feeds}
    if len(feeds) == 2 and free and len(shapes) == 1:
        feeds.append({name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]})
    return feeds
