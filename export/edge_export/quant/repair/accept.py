"""When a repair runs at all, and whether it stays: it is measured before and after, and undone without a gain."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from edge_export.quant.arrived import arrived_quantized
from edge_export.quant.repair.sqnr import sqnr_of
from edge_export.run import one_line
from edge_export.state import Draft, Progress, Sqnr
from edge_runtime.bundle.manifest import Stage
from edge_runtime.errors import EdgelineError

__all__ = ["Change", "repaired"]

# The first step of every certificate: ranges as they were searched, nothing repaired, everything int8.
START = "all int8, ranges searched"
# Returns the changed draft and what was done in words; None where there is nothing to change.
Change = Callable[[Draft, Progress], "tuple[Draft, str] | None"]


def repaired(
    draft: Draft,
    progress: Progress,
    name: str,
    efforts: Collection[str],
    change: Change,
    judge: Callable[[Draft], Sqnr] | None = None,
) -> Draft:
    """Return the changed draft where that gained on held-back samples, else `draft`; a stage says which. `judge` is
    what must gain, where that is not the ratio with all layers int8.

    Nothing happens, and no stage is added, where the repair is not for this effort or does not apply: int8 is not
    asked for, the model arrived quantized, nothing was calibrated. A repair that fails is reported, not raised.
    """
    options = draft.options
    if options.quantize != "int8" or options.effort not in efforts or draft.params is None:
        return draft
    if arrived_quantized(draft.model):
        return draft
    try:
        changed = change(draft, progress)
        if changed is None:
            return draft
        after, words = changed
        draft, old = _started(draft)
        new = sqnr_of(after)
        was, is_now = (judge(draft), judge(after)) if judge else (old, new)
    except (EdgelineError, OSError, np.linalg.LinAlgError) as error:
        stage = Stage(name, None, None, False, f"not done: {one_line(error, 160)}")
        progress.note(f"{name}: {stage.note}")
        return replace(draft, stages=(*draft.stages, stage))
    kept = is_now.gained(was)
    note = f"{words}: {is_now.gain(was):+.2f} dB" + ("" if kept else ", undone")
    progress.note(f"{name}: {note}")
    result = replace(after, sqnr=new) if kept else draft
    return replace(result, stages=(*draft.stages, Stage(name, round(new.worst_db, 2), None, kept, note)))


def _started(draft: Draft) -> tuple[Draft, Sqnr]:
    """Return the draft with the stage that the first repair is held against, and its ratio there."""
    if draft.sqnr is not None:
        return draft, draft.sqnr
    start = sqnr_of(draft)
    stage = Stage(START, round(start.worst_db, 2), None, True, "before any repair")
    return replace(draft, sqnr=start, stages=(*draft.stages, stage)), start
