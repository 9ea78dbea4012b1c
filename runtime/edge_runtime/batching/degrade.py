"""What is given up, in which order, rather than falling behind: a ladder that the user declares, climbed slowly.

The controller is pure: from where it stands and how the last second went it says where to stand and why. One step is
given up after `strained_ms` of strain; one is taken back after `calm_ms` of calm, and only when the load would leave
room for it. A step that had to be given up again soon after it was taken back was taken back too early: the calm
that is asked for doubles each time, so that it does not swing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edge_runtime.batching.vocabulary import Priority

__all__ = ["Ladder", "Load", "Rung", "Step", "next_rung"]


@dataclass(frozen=True)
class Step:
    """Sources of this priority are looked at less often: how much less is the server's business.

    `relief`: the part of the work that is left with it, 0..1.
    """

    priority: Priority
    relief: float


@dataclass(frozen=True)
class Ladder:
    """`steps` in the order in which they are given up, and when: see Load for what the limits are of."""

    steps: tuple[Step, ...]
    utilisation: float = 0.97
    miss_rate: float = 0.02
    queue: float = 2.0
    room: float = 0.85
    strained_ms: float = 1000.0
    calm_ms: float = 10_000.0
    longest_calm_ms: float = 300_000.0


@dataclass(frozen=True)
class Load:
    """The last second or so: the part of the time that the lanes worked, the part of the requests that were not
    answered in time, and how many batches wait for each lane."""

    now_ms: float
    utilisation: float
    miss_rate: float
    queue: float


@dataclass(frozen=True)
class Rung:
    """So many `steps` are given up. `since_ms`: how long strain or calm has lasted; `calm_ms` what is asked for."""

    steps: int = 0
    mood: Literal["strained", "calm", "neither"] = "neither"
    since_ms: float = 0.0
    calm_ms: float = 0.0
    eased_ms: float = float("-inf")


def next_rung(ladder: Ladder, rung: Rung, load: Load) -> tuple[Rung, str]:
    """Return where to stand now and, if that is elsewhere, why in a sentence; "" while nothing changes."""
    why = _strain(ladder, load)
    mood: Literal["strained", "calm", "neither"] = "strained" if why else "neither"
    if not why and rung.steps and load.utilisation / _relief(ladder, rung) <= ladder.room and load.miss_rate == 0:
        mood = "calm"
    if mood != rung.mood:
        rung = replace(rung, mood=mood, since_ms=load.now_ms)
    lasted = load.now_ms - rung.since_ms
    calm_ms = max(rung.calm_ms, ladder.calm_ms)
    if mood == "strained" and rung.steps < len(ladder.steps) and lasted >= ladder.strained_ms:
        hasty = load.now_ms - rung.eased_ms < 2 * calm_ms
        asked = min(2 * calm_ms, ladder.longest_calm_ms) if hasty else ladder.calm_ms
        step = ladder.steps[rung.steps]
        worse = Rung(rung.steps + 1, "neither", load.now_ms, asked, float("-inf"))
        return worse, f"sources to {step.priority}: {why} for {lasted / 1000:.1f} s"
    if mood == "calm" and lasted >= calm_ms:
        step = ladder.steps[rung.steps - 1]
        better = Rung(rung.steps - 1, "neither", load.now_ms, calm_ms, load.now_ms)
        return (
            better,
            f"sources as before: {100 * load.utilisation:.0f} % of the time used for {lasted / 1000:.1f} s",
        )
    return rung, ""


def _strain(ladder: Ladder, load: Load) -> str:
    if load.miss_rate > ladder.miss_rate:
        return f"{100 * load.miss_rate:.1f} % of the answers late or missing"
    if load.queue > ladder.queue:
        return f"{load.queue:.1f} batches wait for each lane"
    if load.utilisation > ladder.utilisation and load.queue > ladder.queue / 2:
        return f"{100 * load.utilisation:.0f} % of the time used and {load.queue:.1f} batches waiting"
    return ""


def _relief(ladder: Ladder, rung: Rung) -> float:
    """Return the part of the work that is left by the last step: without it there would be so much more."""
    return max(ladder.steps[rung.steps - 1].relief, 0.05)
