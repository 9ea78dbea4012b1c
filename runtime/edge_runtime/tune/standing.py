"""What this process stands on: the board's profile, and the settings that a bundle is run with there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_devices import Detection, ProfileError, detect
from edge_devices.profile import ProviderChoice
from edge_runtime.errors import UsageError
from edge_runtime.ort.providers.choose import CPU, known_device, provider_named
from edge_runtime.ort.session import SessionOptions
from edge_runtime.tune.choice import Choice, Goal
from edge_runtime.tune.label import label
from edge_runtime.tune.settings import Chosen, settings_for
from edge_runtime.tune.store import Found

__all__ = ["Asked", "Standing", "find_board", "stand"]

# Lanes for each core that can help at all: beyond it a start takes minutes, and every batch waits for the others.
_LANES_PER_CORE = 4


@dataclass(frozen=True)
class Asked:
    """What the user said of the machine; None, "" and "auto": nothing. Whatever was said wins over what is found out.

    `goal`: one image soon, or most images per second. `served`: of several sources, or of one for months, so that what
    a start measures for runs beside each other is soon won back. `limited`: within a memory limit, where one batch runs
    at a time, block by block, and what was tuned for the whole model does not hold.
    """

    device: str = "auto"
    threads: int | None = None
    lanes: int | None = None
    batch: int | None = None
    profile: str | None = None
    require_provider: str = ""
    goal: Goal = "latency"
    served: bool = False
    limited: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError for a device or a provider that nobody knows, before anything is opened for it."""
        known_device(self.device)
        if self.require_provider:
            provider_named(self.require_provider)


@dataclass(frozen=True)
class Standing:
    """The board that was found, the settings for the bundle on it and why, and the session's options they come to.

    `batch` None: nobody said and nothing was measured.
    """

    board: Detection
    chosen: Chosen
    session: SessionOptions
    batch: int | None

    def lines(self) -> list[str]:
        """Return what was found and chosen as lines for people."""
        fewer = "; fewer while other work has the cores and that is faster" if self.session.steps_back else ""
        return [f"device: {self.board.why}", f"settings: {self.chosen.why}{fewer}", *self.chosen.refused]


def find_board(profile: str | None = None) -> Detection:
    """Find out which board this is (None: by $EDGELINE_DEVICE or the probes). Raises UsageError for an unknown name."""
    try:
        return detect(profile)
    except ProfileError as error:
        raise UsageError(str(error)) from error


def stand(bundle_sha256: str, asked: Asked) -> Standing:
    """Decide how a bundle is run here: flags, else what edge-tune measured, else the board's profile, else a default.

    Raises UsageError for a profile that is not known or damaged, and for more lanes than the cores can serve.
    """
    board = find_board(asked.profile)
    most = _LANES_PER_CORE * board.machine.usable_cores
    if asked.lanes is not None and asked.lanes > most:
        raise UsageError(
            f"--lanes {asked.lanes} are too many for the cores that may be used here, "
            f"{board.machine.usable_cores}; give at most {most}"
        )
    by_hand = asked.threads is not None or asked.lanes is not None
    # Threads and lanes were measured together: where one is given, or cannot be had, the other does not hold.
    alone = asked.limited or by_hand
    goal: Goal = "latency" if alone else asked.goal
    found = Found() if alone else None
    chosen = settings_for(bundle_sha256, board.machine, board.profile, goal, found, served=asked.served)
    choice = chosen.choice
    lanes = 1 if asked.limited else asked.lanes or choice.lanes
    threads = asked.threads or (max(board.machine.usable_cores // lanes, 1) if asked.lanes else choice.threads)
    if by_hand:
        chosen = replace(chosen, why=_by_hand(replace(choice, threads=threads, lanes=lanes), asked))
    session = SessionOptions(
        device=_device(asked, chosen),
        threads=threads,
        lanes=lanes,
        # Lanes that wait busily would take each other's cores.
        spinning=choice.spinning and (not by_hand or (lanes == 1 and 1 < threads <= board.machine.usable_cores)),
        cores=() if by_hand else choice.cores,
        providers=_providers(board.profile.providers, choice, chosen.tuned is not None),
        require_provider=asked.require_provider,
        steps_back=asked.threads is None and lanes == 1 and threads > 1 and not asked.limited,
    )
    tuned_batch = choice.batch if chosen.tuned is not None else None
    if asked.batch is not None and tuned_batch not in (None, asked.batch):
        chosen = replace(chosen, why=f"{chosen.why}; batches of {asked.batch}, as asked")
    return Standing(board, chosen, session, asked.batch or tuned_batch)


def _by_hand(choice: Choice, asked: Asked) -> str:
    """Say what runs where flags decided it, and not what the profile would have said."""
    bare = replace(choice, spinning=False, cores=(), batch=1)
    one = "; within a memory limit there is one lane" if asked.limited and (asked.lanes or 1) > 1 else ""
    said = "" if one and asked.threads is None else ", as asked"
    return f"{label(bare)}{said}{one}"


def _device(asked: Asked, chosen: Chosen) -> str:
    """The CPU by name where it was measured to be the best; what else there is is then not tried."""
    if asked.device == "auto" and chosen.tuned is not None and chosen.choice.provider == CPU:
        return "auto" if asked.require_provider else "cpu"
    return asked.device


def _providers(listed: tuple[ProviderChoice, ...], choice: Choice, tuned: bool) -> tuple[ProviderChoice, ...]:
    """The profile's list, led by the provider that was measured to be the best."""
    if not tuned or choice.provider == CPU:
        return listed
    first = next((one for one in listed if one.name == choice.provider), ProviderChoice(choice.provider))
    return (first, *(one for one in listed if one.name != choice.provider))
