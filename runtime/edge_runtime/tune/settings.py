"""The one place that says how a bundle is run on this machine: threads, lanes, spinning, cores, batch, provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_devices import usable_cores
from edge_devices.machine import Machine
from edge_devices.profile import Profile
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.tune.choice import Choice, Goal
from edge_runtime.tune.label import label
from edge_runtime.tune.space import big_cores
from edge_runtime.tune.store import Found, read_tuned

if TYPE_CHECKING:
    from edge_runtime.tune.tuned import Tuned

__all__ = ["Chosen", "settings_for"]


@dataclass(frozen=True)
class Chosen:
    """How to run, and why, in one line. `tuned`: the profile that says so, None where this bundle has none.

    `refused`: profiles that are there and do not hold here, a line each.
    """

    choice: Choice
    why: str
    tuned: Tuned | None = None
    refused: tuple[str, ...] = ()


def settings_for(
    bundle_sha256: str,
    machine: Machine | None = None,
    profile: Profile | None = None,
    goal: Goal = "latency",
    found: Found | None = None,
    *,
    served: bool = False,
) -> Chosen:
    """Return the settings for one bundle: as edge-tune measured, else as the board's profile says, else the default.

    `found`: what read_tuned found, where the caller has read it already. `served`: a profile may say that several runs
    go on at a time. Never raises for files that are damaged.
    """
    found = read_tuned(bundle_sha256) if found is None else found
    tuned = found.tuned
    if tuned is not None:
        choice = tuned.latency if goal == "latency" else tuned.throughput
        when = tuned.provenance.created_utc[:10]
        return Chosen(choice, f"{label(choice)}, as edge-tune measured for {goal} on {when}", tuned, found.refused)
    cores = usable_cores() if machine is None else machine.usable_cores
    if profile is not None:
        choice = _by_profile(profile, machine, cores, served and goal == "throughput")
        return Chosen(choice, f"{label(choice)}, as the profile {profile.id} says", None, found.refused)
    choice = Choice(cores, 1, 1, False, (), CPU)
    return Chosen(choice, f"{label(choice)}, the default", None, found.refused)


def _by_profile(profile: Profile, machine: Machine | None, cores: int, many: bool) -> Choice:
    """Take the profile's threads (0: one for each big core), kept on the big cores where there are small ones too.

    As a run each, where the profile says that more images come of that and `many` are wanted.
    """
    known = () if machine is None else machine.cores
    big = big_cores(known)
    threads = min(profile.threads or len(big) or cores, cores)
    small_too = 0 < len(big) < len(known)
    there = big if small_too and threads <= len(big) else ()
    if many and profile.one_thread_lanes:
        return Choice(1, threads, 1, False, there, CPU)
    return Choice(threads, 1, 1, profile.spinning and threads > 1, there, CPU)
