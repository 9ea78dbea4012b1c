"""Versions on probation while stations run them: confirmed once they have judged for a while, returned from if not.

A start is counted before anything of the version is opened and taken back when it ends in order: a version that ends
the process, hangs it until the watchdog does, or takes the machine down is found out at the third start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from edge_runtime.errors import (
    BundleError,
    EngineError,
    MemoryLimitError,
    ModelError,
    OutputError,
    TrustError,
    UpdateError,
    UsageError,
    VerificationError,
)
from edge_runtime.files.boot import boot_id
from edge_runtime.station.figures import Figures
from edge_runtime.station.updates.settings import Updates
from edge_runtime.station.updates.state import Trial, read_state, write_state
from edge_runtime.station.updates.switching import confirm, return_from, settle
from edge_runtime.station.updates.versions import Versions, versions_of

__all__ = ["Probation", "trial_of"]

_MOST_FALLS = 2
_STARTS = itertools.count()
_LEAST_SEEN = 10  # parts, however few are to be judged
# What may be the bundle's fault; a camera, a disk or a receiver is not.
_BLAMED = (BundleError, EngineError, MemoryLimitError, ModelError, TrustError, UsageError, VerificationError)
Say = Callable[[str], None]


def trial_of(bundle: Path) -> Trial | None:
    """The trial that a bundle of a folder of versions is on; None for none."""
    folder = Versions(bundle.parent.parent)
    if bundle.parent.name != "versions" or not bundle.name.isdigit() or not folder.state.exists():
        return None
    trial = read_state(folder.state).trial
    return trial if trial is not None and trial.version == int(bundle.name) else None


class Probation:
    """Of what the stations of one recipe run, for one thread."""

    def __init__(self, links: Mapping[str, Path], wanted: Updates, say: Say) -> None:
        """`links`: of each station the link that its recipe names."""
        self._wanted, self._say = wanted, say
        self._stations: dict[Versions, list[str]] = {}
        for name, link in links.items():
            if (folder := versions_of(link)) is not None:
                self._stations.setdefault(folder, []).append(name)
        self._trials: dict[Versions, Trial] = {}
        self._begun: float | None = None
        self._start = f"{_this_process()} {next(_STARTS)}"  # a process has two for a while: a reload

    def begin(self) -> None:
        """Put right what a kill left, and count this start; a version with too many is returned from.

        Then `current` may lead elsewhere than before. A disk that cannot be written counts nothing.
        """
        for folder in self._stations:
            with self._told(folder):
                settle(folder)
                trial = read_state(folder.state).trial
                if trial is None:
                    continue
                falls = len({start.rpartition(" ")[0] for start in trial.starts if not _lives(start)})
                if falls >= _MOST_FALLS:
                    why = f"it was started {falls} times and ended in order none of them"
                    self._return(folder, trial, why)
                    continue
                self._trials[folder] = trial
                self._count(folder, trial, begins=True)

    def look(self, figures: Mapping[str, Figures], ready: bool) -> list[dict[str, object]]:
        """Confirm what has been at work for long enough; returns what is to be noted of that.

        Raises VerificationError for one that saw parts and judged none: `failed` then returns from it.
        """
        if not self._trials or not ready:
            return []
        self._begun = time.monotonic() if self._begun is None else self._begun
        seconds = time.monotonic() - self._begun
        noted: list[dict[str, object]] = []
        for folder, trial in list(self._trials.items()):
            ours = [figures[name] for name in self._stations[folder]]
            parts, silent = sum(one.judged() for one in ours), [one.silent() for one in ours]
            count = sum(number for number, _ in silent)
            if not parts and count >= max(self._wanted.parts, _LEAST_SEEN):
                reason = max(silent)[1]
                raise VerificationError(
                    f"version {trial.version} of {folder.root} saw {count} parts and judged none: {reason}"
                )
            if parts < self._wanted.parts or seconds < self._wanted.time:
                continue
            del self._trials[folder]
            why = f"{parts} parts judged in {seconds:.0f} s"
            with self._told(folder), contextlib.suppress(UpdateError):  # confirmed or returned from by hand
                confirm(folder, why, trial.version)
                self._say(f"version {trial.version} of {folder.root} is confirmed: {why}")
                noted.append({"bundle": str(folder.version(trial.version)), "how": "confirmed", "why": why})
        return noted

    def failed(self, error: BaseException) -> bool:
        """Return from what is on probation where an error may be its fault; whether `current` leads elsewhere now."""
        if not isinstance(error, _BLAMED):
            return False
        trials, self._trials = self._trials, {}
        why = " ".join(str(error).split())[:1000]
        returned = [self._return(folder, trial, why) for folder, trial in trials.items()]
        return any(returned)

    def refused(self, error: BaseException) -> None:
        """Return from what was switched to meanwhile and does not fit these stations' recipe."""
        for folder in self._stations if isinstance(error, _BLAMED) else ():
            if (trial := read_state(folder.state).trial) is not None:
                self._return(folder, trial, " ".join(str(error).split())[:1000])

    def end(self) -> None:
        """The stations have ended in order: this start does not count."""
        for folder, trial in self._trials.items():
            with self._told(folder):
                self._count(folder, trial, begins=False)
        self._trials = {}

    def _return(self, folder: Versions, trial: Trial, why: str) -> bool:
        with self._told(folder):
            if return_from(folder, trial.version, why):
                self._say(
                    f"version {trial.version} of {folder.root} is RETURNED FROM, version {trial.before} goes on: {why}"
                )
                return True
        return False

    def _count(self, folder: Versions, trial: Trial, begins: bool) -> None:
        with folder.changing():
            state = read_state(folder.state)
            if state.trial is not None and state.trial.version == trial.version:
                others = tuple(start for start in state.trial.starts if start != self._start)
                starts = (*others, self._start) if begins else others
                counted = dataclasses.replace(state.trial, starts=starts)
                write_state(folder.state, dataclasses.replace(state, trial=counted))

    @contextlib.contextmanager
    def _told(self, folder: Versions) -> Iterator[None]:
        """A folder that cannot be written is told, and is no reason not to judge parts."""
        try:
            yield
        except (OutputError, UpdateError) as error:
            self._say(f"what is known of the updates of {folder.root} cannot be kept: {error}")


def _this_process() -> str:
    """What tells this process from all others, those before the machine started too."""
    return f"{boot_id()} {os.getpid()}"


def _lives(start: str) -> bool:
    """Whether a start's process is at work: another recipe's stations may run the same version."""
    boot, _, number = start.rpartition(" ")[0].rpartition(" ")
    return boot == str(boot_id()) and Path(f"/proc/{number}").exists()
