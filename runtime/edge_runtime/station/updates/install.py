"""An update from beginning to end: brought, checked, judged, tried, on the disk, switched to.

Whatever is killed in between, `current` leads to a whole version, and `settle` (switching.py) makes the rest as if
nothing had been.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_devices.interpreter import python_environment, python_module
from edge_runtime import errors
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.signature import read_signature
from edge_runtime.bundle.trust import USUAL, Trust, TrustPolicy, check_same, check_trust, judge
from edge_runtime.bundle.trusted import trusted_keys
from edge_runtime.errors import EdgelineError, ModelError, TrustError, UsageError
from edge_runtime.station.updates.bring import Update, bring
from edge_runtime.station.updates.state import read_state
from edge_runtime.station.updates.switching import begin, settle_held
from edge_runtime.station.updates.versions import Versions

__all__ = ["Wishes", "install"]

_TRYING_S = 1800.0  # a first use prepares the bundle, for minutes on a small board


@dataclass(frozen=True)
class Wishes:
    """What an update may be. `keep`: how many versions are kept beside the one that runs and the one before.

    `machine`: flags of edge-run that say how it is tried. `other_model`: it may be of another model than what runs.
    """

    policy: TrustPolicy = USUAL
    keep: int = 2
    machine: Sequence[str] = ()
    other_model: bool = False


def install(folder: Versions, update: Update, wishes: Wishes, say: Callable[[str], None]) -> int:
    """Bring a version, try it, and have `current` lead to it; returns its number.

    Raises what is wrong with it by the classes of errors.py, and then nothing has changed.
    """
    folder.make()
    with folder.updating():
        folder.clean()
        settle_held(folder)
        _prune(folder, wishes.keep)
        try:
            return _install(folder, update, wishes, say)
        finally:
            folder.clean()


def _install(folder: Versions, update: Update, wishes: Wishes, say: Callable[[str], None]) -> int:
    bring(update, folder.staging)
    bundle = read_bundle(folder.staging)
    trust = check_trust(folder.staging, bundle.sha256, wishes.policy)
    check_same(trust, bundle)
    now = folder.number()
    if now is not None:
        running = read_bundle(folder.version(now), check_hashes=False)
        if running.sha256 == bundle.sha256:
            say(f"{update.shown} is what runs: version {now} ({trust})")
            return now
        if running.manifest.model.name != bundle.manifest.model.name and not wishes.other_model:
            raise UsageError(
                f"{update.shown} is of the model {bundle.manifest.model.name!r}, {running.manifest.model.name!r} runs "
                f"in {folder.root}; give --other-model if that is meant"
            )
        if not wishes.policy.allow_downgrade:
            _check_newer(folder, now, running.sha256, trust)
    say(f"{update.shown}: {trust}; every file is as it was written")
    _try(folder, wishes)
    state = read_state(folder.state)
    number = 1 + max([0, *folder.numbers(), *(ending.version for ending in state.endings)])
    folder.keep(number)
    begin(folder, number, bundle.sha256, wishes.policy.allow_downgrade)
    say(f"current is version {number}" + ("" if now is None else f", before it was {now}"))
    return number


def _check_newer(folder: Versions, now: int, sha256: str, trust: Trust) -> None:
    """A signed bundle is not older than the one that runs. Raises TrustError."""
    running = judge(read_signature(folder.version(now)), sha256, trusted_keys(), folder.version(now))
    if trust.signed and running.signed and trust.model == running.model and trust.version < running.version:
        raise TrustError(
            f"this is version {trust.version} of {trust.model!r}, version {running.version} runs; give "
            "--allow-downgrade to go back"
        )


def _try(folder: Versions, wishes: Wishes) -> None:
    """Have the staged bundle answer for its golden samples, in a process of its own. Raises what that ends with."""
    flags = ["--verify", "--json", *wishes.machine]
    if wishes.policy.require_signed is not None:
        flags.append("--require-signed" if wishes.policy.require_signed else "--allow-unsigned")
    if wishes.policy.allow_downgrade:
        flags.append("--allow-downgrade")
    command = python_module("edge_runtime.cli.run", str(folder.staging.absolute()), *flags)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_TRYING_S,
            env=python_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"the new version did not answer for its golden samples in {_TRYING_S:.0f} s") from error
    except OSError as error:
        raise EdgelineError(f"cannot start {command[0]}, which tries the new version: {error.strerror}") from error
    if done.returncode < 0:
        raise ModelError(f"the new version ended the process that tried it ({signal.Signals(-done.returncode).name})")
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise _class_of(done.returncode)(
            f"the new version does not run here: {' '.join(said).removeprefix('error: ')[:1000]}"
        )


def _class_of(code: int) -> type[EdgelineError]:
    """The class of errors that a command ends with."""
    kinds: list[type[EdgelineError]] = [getattr(errors, name) for name in errors.__all__]
    return next((kind for kind in kinds if kind.exit_code == code), EdgelineError)


def _prune(folder: Versions, keep: int) -> None:
    state, now = read_state(folder.state), folder.number()
    needed = {now, state.before if state.trial is None else state.trial.before}
    others = [number for number in folder.numbers() if number not in needed]
    for number in others[: max(len(others) - keep, 0)]:
        folder.remove(number)
