"""`current` and what is known of it change together: on probation, confirmed, returned from, gone back from by hand.

Each change is written down before `current` is switched and once more after it, so that `settle` can end what a kill or
a power cut came into.
"""

from __future__ import annotations

import dataclasses

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.signature import read_signature
from edge_runtime.bundle.trust import Trust, judge
from edge_runtime.bundle.trusted import let_run_again, note_version, trusted_keys
from edge_runtime.errors import UpdateError
from edge_runtime.station.updates.state import Trial, now_text, read_state, write_state
from edge_runtime.station.updates.versions import Versions

__all__ = ["begin", "confirm", "go_back", "return_from", "settle", "settle_held"]


def begin(folder: Versions, number: int, sha256: str, downgrade: bool) -> None:
    """Switch to a version that is on the disk: on probation, where there is one to return to."""
    with folder.changing():
        now, state = folder.number(), read_state(folder.state)
        if state.trial is not None:  # one that is on probation is no version to return to
            now = state.trial.before
            state = state.ended("returned", f"version {number} came before it was confirmed", state.before)
        if now is not None:
            state = dataclasses.replace(state, trial=Trial(number, now, sha256, now_text(), downgrade=downgrade))
        write_state(folder.state, state)
        folder.switch(number)


def settle(folder: Versions) -> None:
    """Put right what a kill or a power cut left, unless an update is under way. Raises OutputError, UpdateError."""
    try:
        with folder.updating():
            folder.clean()
    except UpdateError:
        pass  # whose folders are in use
    settle_held(folder)


def settle_held(folder: Versions) -> None:
    """`settle`, for who holds the right to update."""
    with folder.changing():
        state, now = read_state(folder.state), folder.number()
        trial = state.trial
        if trial is None:
            return
        if trial.returning:
            if now == trial.version:
                folder.switch(trial.before)
            write_state(folder.state, state.ended("returned", trial.returning, None))
        elif now != trial.version:
            write_state(folder.state, state.ended("interrupted", "it was not switched to", state.before))


def return_from(folder: Versions, version: int, why: str) -> bool:
    """Go back from a version that is on probation; False: it is not (any more). Raises OutputError."""
    with folder.changing():
        state = read_state(folder.state)
        if state.trial is None or state.trial.version != version:
            return False
        trial = dataclasses.replace(state.trial, returning=why)
        write_state(folder.state, dataclasses.replace(state, trial=trial))
        folder.switch(trial.before)
        write_state(folder.state, state.ended("returned", why, None))
    return True


def confirm(folder: Versions, why: str, version: int | None = None) -> int:
    """Confirm the version that is on probation (`version`, if it is that one), and return its number.

    Raises UpdateError where none is.
    """
    with folder.changing():
        state = read_state(folder.state)
        trial = state.trial
        if trial is None or version not in (None, trial.version):
            raise UpdateError(
                f"no version of {folder.root} is on probation; edge-station update --status says what runs"
            )
        write_state(folder.state, state.ended("confirmed", why, trial.before))
    said = _trust(folder, trial.version)
    if said.signed:
        if trial.downgrade:
            let_run_again(said.model, said.version)
        note_version(said.model, said.version)
    return trial.version


def go_back(folder: Versions, to: int | None, why: str) -> int:
    """Have `current` lead to the version before, or to `to`; returns its number. Raises UpdateError for none."""
    state, now = read_state(folder.state), folder.number()
    if to is not None and to == now and state.trial is None:
        return to
    if state.trial is not None and to in (None, state.trial.before):
        return_from(folder, state.trial.version, why)
        return state.trial.before
    target = state.before if to is None else to
    if target is None or target == now or target not in folder.numbers():
        there = ", ".join(map(str, folder.numbers())) or "none"
        raise UpdateError(
            f"{folder.root} has no version {target or 'before this one'} to go back to; there are {there}"
        )
    read_bundle(folder.version(target))
    with folder.changing():
        said = _trust(folder, target)
        if said.signed:  # who goes back by hand means it
            let_run_again(said.model, said.version)
        state = read_state(folder.state)
        if state.trial is None and now is not None:
            state = dataclasses.replace(state, trial=Trial(now, target, _trust(folder, now).sha256, now_text()))
            state = state.ended("went back", why, None)
        else:
            state = state.ended("returned", why, None)
        folder.switch(target)
        write_state(folder.state, state)
    return target


def _trust(folder: Versions, number: int) -> Trust:
    bundle = read_bundle(folder.version(number), check_hashes=False)
    return judge(read_signature(bundle.path), bundle.sha256, trusted_keys(), bundle.path)
