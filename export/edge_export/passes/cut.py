"""Cut the graph in blocks whose chain gives the whole model's answer, to the last bit where onnxruntime allows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edge_export.blocks.models import block_models, run_chain
from edge_export.blocks.places import choose_places, target_bytes, weight_sizes
from edge_export.blocks.sequence import Sequence, make_sequence
from edge_export.draft import Cut, Draft, Feeds, Progress, ValueFact
from edge_export.ort import open_session, run, value_facts
from edge_runtime.errors import DataError, ModelError

__all__ = ["cut_blocks"]

_TRIES = 5


def cut_blocks(draft: Draft, progress: Progress) -> Draft:
    """Fill `cuts`, each with what enters and leaves it, and `values`, the types of everything that crosses.

    A cut that changes the answer under onnxruntime's full optimizer (it split a fusion) is moved. With the
    optimizer off the chain must be exact whatever the cuts, or this pass fails.
    """
    sequence = make_sequence(draft.model)
    if not sequence.main:
        return replace(draft, cuts=(sequence.block(0, 0),))
    feeds = next(draft.samples(1), None)
    if feeds is None:
        raise DataError("the calibration set is empty; give at least one sample")
    made = [name for node in sequence.main for name in node.output if name]
    sizes = weight_sizes(draft.model)
    target = draft.options.block_bytes or target_bytes(sum(sizes.values()))
    facts = value_facts(draft.model, feeds, made) if sum(sizes.values()) > 0.6 * target else {}
    places: tuple[int, ...] = ()
    inexact: list[int] = []
    banned: set[int] = set()
    with progress.step("cut", _TRIES) as advance:
        for _ in range(_TRIES):
            places = choose_places(sequence, sizes, facts, target, banned)
            inexact = _inexact(draft, sequence, places, facts, feeds)
            advance()
            if not inexact:
                break
            banned |= set(inexact)
    notes = draft.notes
    if inexact:
        # Bigger blocks that are right are worth more than blocks of the wished size.
        kept = tuple(place for place in places if place not in inexact)
        places = () if _inexact(draft, sequence, kept, facts, feeds) else kept
        notes = (*notes, f"cut in {len(places) + 1} blocks: every other place would split a fusion of onnxruntime")
    cuts = _cuts(sequence, places)
    _check_plain(draft, cuts, facts, feeds)
    return replace(draft, cuts=cuts, values=facts, notes=notes)


def _cuts(sequence: Sequence, places: tuple[int, ...]) -> tuple[Cut, ...]:
    edges = [0, *places, len(sequence.main)]
    return tuple(sequence.block(start, stop) for start, stop in itertools.pairwise(edges))


def _inexact(
    draft: Draft, sequence: Sequence, places: tuple[int, ...], facts: Mapping[str, ValueFact], feeds: Feeds
) -> list[int]:
    """Return the places at which a single cut changes the model's outputs; [] when all together change nothing."""
    if not places:
        return []
    whole = run(open_session(draft.model), feeds)
    if _exact(draft, _cuts(sequence, places), facts, feeds, whole, optimize=True):
        return []
    wrong = [
        place for place in places if not _exact(draft, _cuts(sequence, (place,)), facts, feeds, whole, optimize=True)
    ]
    return wrong or list(places)


def _exact(
    draft: Draft,
    cuts: tuple[Cut, ...],
    facts: Mapping[str, ValueFact],
    feeds: Feeds,
    whole: Feeds,
    optimize: bool,
) -> bool:
    chained = run_chain(block_models(draft.model, cuts, facts), feeds, list(whole), optimize)
    return all(_same(whole[name], chained[name]) for name in whole)


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return str(a) == str(b)


def _check_plain(draft: Draft, cuts: tuple[Cut, ...], facts: Mapping[str, ValueFact], feeds: Feeds) -> None:
    if len(cuts) < 2:
        return
    whole = run(open_session(draft.model, optimize=False), feeds)
    if not _exact(draft, cuts, facts, feeds, whole, optimize=False):
        raise ModelError("the blocks do not give the whole model's answer: please report this model")
