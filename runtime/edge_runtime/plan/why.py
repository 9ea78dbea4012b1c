"""Why a block is held as it is, in words that come from the numbers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_runtime.files.sizes import format_size
from edge_runtime.plan.costs import FORMS, RELOADED, RESIDENT, Assignments, FormCosts
from edge_runtime.plan.footprint import rate

__all__ = ["reasons"]


def reasons(costs: FormCosts, chosen: Assignments, room: float) -> list[str]:
    """Return a few words for each block of one candidate; `room` is the memory that it leaves free, in bytes."""
    micro, forms = int(chosen.micro[0]), chosen.forms[0].tolist()
    rated = rate(costs, chosen)
    # Every block as if it stayed resident, to see what that would take and save.
    count = len(forms)
    others = np.repeat(chosen.forms, count, axis=0)
    np.fill_diagonal(others, RESIDENT)
    resident = rate(costs, Assignments(np.repeat(chosen.micro, count), others))
    more, saved = resident.total - rated.total[0], rated.latency[0] - resident.latency
    return [
        _resident(costs, micro, k)
        if form == RESIDENT
        else _loaded(costs, micro, k, form, int(more[k]), float(saved[k]), float(rated.latency[0]), room)
        for k, form in enumerate(forms)
    ]


def _resident(costs: FormCosts, micro: int, k: int) -> str:
    compute, load = costs.compute[micro, k], costs.load[k]
    loaded = [f for f in range(1, len(FORMS)) if math.isfinite(compute[f])]
    if not loaded:
        return "too few weights to move" if costs.little[k] else "only form that gave the right answer"
    best = min(loaded, key=lambda f: float(compute[f] + load[f]))
    if compute[best] - compute[RESIDENT] > load[best]:
        return _slower(compute, best, RESIDENT)
    return f"fits: saves {load[best]:.1f} ms of loading a run"


def _loaded(
    costs: FormCosts, micro: int, k: int, form: int, more: int, saved: float, latency: float, room: float
) -> str:
    compute = costs.compute[micro, k]
    there = [f for f in range(len(FORMS)) if math.isfinite(compute[f])]
    if there == [form]:
        return "only form that gave the right answer"
    other = next((f for f in there if f not in (RESIDENT, form)), form)
    if form == RELOADED and compute[other] - compute[form] > 0.1 * compute[form]:
        return _slower(compute, other, form)
    if RESIDENT not in there:
        return f"lighter than {FORMS[other]}"
    if saved <= 0.005 * latency:
        return "loading hides behind computing"
    if more > room:
        return f"resident: {format_size(more - room)} too much for {saved:.1f} ms"
    return f"resident: {format_size(max(more, 0))} more saves only {saved:.1f} ms"


def _slower(compute: npt.NDArray[np.float64], other: int, form: int) -> str:
    return f"{FORMS[other]} computes in {compute[other]:.1f} ms, not {compute[form]:.1f}"
