"""How many threads a model runs with while other work comes and goes. Pure: no clock, no threads, no system.

Threads of one run wait for each other at every layer; where others hold their cores, more of them can be slower than
one. When that is so depends on model, machine and load, so nothing is reckoned: where other work is seen, another
number is tried in turns with the one in use, and the faster one stays. What is seen only says when to try.

A run of months is cut into windows (of run time, `State.window_ms`). Against flapping: between two changes lie DWELL
windows, and a change that is soon undone makes windows twice as long. Trials that were lost are paid out of a purse
into which SHARE of the run time flows: but for one trial more than PURSE_MS they never cost more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["DWELL", "PURSE_MS", "SHARE", "WINDOW_MS", "State", "Window", "decide"]

WINDOW_MS = 100.0
DWELL = 8
SHARE, PURSE_MS = 0.01, 500.0

# Other work is there: it has so much of the cores that the threads would use, or puts the calling thread off its core
# so often in a second of run. (On an idle machine that happens a few times; beside others at every turn of theirs.)
_TAKEN, _SWITCHES = 0.3, 30.0
_SLOW = 1.5  # of the best time, where the system tells neither
# Circumstances have changed since the last trial: so many cores more or less, so many times the time of a run.
_OTHER_ROOM, _OTHER_PACE = 0.5, 1.7
_AGAIN, _AGAIN_DOUBLED = 40, 4  # windows to the next trial under the same circumstances; how often that doubles
# Both were measured in so many windows: ratios that need no more of them. Close ones do, and cost nothing.
_DECISIVE = {2: 1.4, 4: 1.2, 8: 1.1}
_LAST = 12
_AT_HOME = 1.1  # all threads by so much faster where the cores are free, where little is left to chance
_GAIN = 0.96  # of the time, which another number has to bring; going home where the cores are free it may cost as much
_SOON, _LONG, _MOST_PATIENCE = 20, 100, 8  # windows after the last change


@dataclass(frozen=True)
class Window:
    """Runs one after another with so many threads: `ms` they took, `best_ms` the same runs took when they were fastest.

    `room`: cores that other work left meanwhile, used or not; `switches`: how often in a second of run the calling
    thread was put off its core. None where the system does not tell.
    """

    threads: int
    ms: float
    best_ms: float
    room: float | None = None
    switches: float | None = None


@dataclass(frozen=True)
class State:
    """What is known. `home`: the threads where nothing disturbs; `settled`: those that were decided for.

    `trial`: windows of a trial, of `candidate` (0: there is none) and `settled` in turns. `patience`: how many times as
    long as at first windows are. `quiet`, `waited`: windows since the last change and the last trial; `lost`: trials in
    a row that changed nothing; `seen`: a window of the last trial; `purse_ms`: what trials may cost now.
    """

    home: int
    settled: int
    candidate: int = 0
    trial: tuple[Window, ...] = ()
    patience: int = 1
    quiet: int = DWELL
    waited: int = DWELL
    lost: int = 0
    seen: Window | None = None
    purse_ms: float = PURSE_MS

    @property
    def threads(self) -> int:
        """The threads to use now."""
        return self.candidate if self.candidate and len(self.trial) % 2 == 0 else self.settled

    @property
    def window_ms(self) -> float:
        """Run time of a window."""
        return WINDOW_MS * self.patience


def decide(state: State, window: Window) -> State:
    """Learn of a window with `state.threads`, of about `state.window_ms`; one of other threads says nothing."""
    if window.threads != state.threads:
        return state
    state = replace(state, purse_ms=min(state.purse_ms + SHARE * window.ms, PURSE_MS))
    if state.candidate:
        return _tried(replace(state, trial=(*state.trial, window)))
    quiet = state.quiet + 1
    patience = max(state.patience // 2, 1) if quiet % _LONG == 0 else state.patience
    state = replace(state, quiet=quiet, waited=state.waited + 1, patience=patience)
    if not _worth_a_trial(state, window):
        return state
    # What was just seen may be half of before: the trial begins with the candidate, and compares what comes after.
    return replace(state, candidate=_candidate(state, window))


def _worth_a_trial(state: State, window: Window) -> bool:
    crowded = _crowded(state, window)
    if state.quiet < DWELL or (state.settled == state.home and not crowded):
        return False
    # Half of the purse is kept for what is nearly sure to be won: other work has come, or has gone.
    came_or_went = state.seen is None or _crowded(state, state.seen) != crowded
    if state.purse_ms <= (0.0 if came_or_went else PURSE_MS / 2):
        return False
    changed = came_or_went or _changed(state.seen, window)
    return state.waited >= (DWELL if changed else _AGAIN << min(state.lost, _AGAIN_DOUBLED))


def _crowded(state: State, window: Window) -> bool:
    """Whether other work is on the cores that all threads would use."""
    if window.room is None and window.switches is None:
        return _pace([window]) >= _SLOW
    taken = window.room is not None and window.room <= state.home - _TAKEN
    return taken or (window.switches or 0.0) >= _SWITCHES


def _changed(before: Window | None, now: Window) -> bool:
    """Whether other work is not what it was. (More of it may speak for either: more threads get more turns.)"""
    if before is None:
        return True
    if before.room is not None and now.room is not None and abs(before.room - now.room) >= _OTHER_ROOM:
        return True
    ratio = _pace([now]) / _pace([before])
    return before.threads == now.threads and not 1 / _OTHER_PACE < ratio < _OTHER_PACE


def _candidate(state: State, window: Window) -> int:
    """The number to try: all where the cores are free, else as many as there is room for, one, all, in turn."""
    one = [1] if state.home == 2 or window.room is None else [max(1, min(round(window.room), state.home)), 1]
    wanted = [*one, state.home] if _crowded(state, window) else [state.home, *one]
    others = [threads for threads in dict.fromkeys(wanted) if threads != state.settled]
    return others[state.lost % len(others)]


def _tried(state: State) -> State:
    """End the trial if its windows say enough."""
    count = len(state.trial)
    if count % 2:
        return state
    tried, settled = state.trial[::2], state.trial[1::2]
    ratio = _pace(tried) / _pace(settled)
    homeward = state.candidate == state.home and not _crowded(state, settled[-1])
    decisive = _DECISIVE.get(count, _DECISIVE[8])
    if count < _LAST and 1 / (_AT_HOME if homeward else decisive) < ratio < decisive:
        return state
    ended = replace(state, candidate=0, trial=(), waited=0)
    if ratio > (1 / _GAIN if homeward else _GAIN):
        cost = sum(window.ms for window in tried) * max(0.0, 1 - 1 / ratio)
        return replace(ended, lost=state.lost + 1, seen=settled[-1], purse_ms=state.purse_ms - cost)
    soon = state.quiet < _SOON
    return replace(
        ended,
        settled=state.candidate,
        patience=min(2 * state.patience, _MOST_PATIENCE) if soon else state.patience,
        quiet=0,
        lost=0,
        seen=tried[-1],
    )


def _pace(windows: Sequence[Window]) -> float:
    """How many times as long as at best the runs took."""
    return sum(window.ms for window in windows) / sum(window.best_ms for window in windows)
