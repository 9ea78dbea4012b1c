"""Which device profile this machine goes by: what the user says, else what the probes found, else a safe default."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_devices.machine import Machine
from edge_devices.probe import look
from edge_devices.profile import Match, Profile
from edge_devices.profile_toml import ProfileError
from edge_devices.profiles import known_profiles, profile_of
from edge_devices.toml_table import close_to

__all__ = ["VARIABLE", "Detection", "How", "choose", "detect"]

_LOG = logging.getLogger(__name__)

How = Literal["override", "probe", "default"]
VARIABLE = "EDGELINE_DEVICE"

# Boards that a profile lists for another board's sake: the same processor in another shape.
_RELATIVES = frozenset(
    {
        "raspberrypi,400",
        "raspberrypi,4-compute-module",
        "raspberrypi,500",
        "raspberrypi,5-compute-module",
        "raspberrypi,3-model-a-plus",
    }
)
# A board that no profile names goes by the board of its processor. Orin modules differ in how many cores they have.
_BY_PROCESSOR: Mapping[str, str] = {
    "brcm,bcm2837": "raspberrypi,3-model-b-plus",
    "brcm,bcm2711": "raspberrypi,4-model-b",
    "brcm,bcm2712": "raspberrypi,5-model-b",
    "nvidia,tegra210": "nvidia,jetson-nano",
    "nvidia,tegra194": "nvidia,p3509-0000+p3668-0000",
}
_ORIN = "nvidia,tegra234"
_ORIN_BY_CORES = ((6, "nvidia,p3767-0003"), (8, "nvidia,p3767-0000"), (12, "nvidia,p3701-0000"))
_PLAINEST = Profile(
    id="plain",
    name="Unknown machine",
    architecture="",
    source="no measurement: what is safe everywhere",
    match=Match(),
    clusters=(),
    isa=(),
    memory_mb=(),
)


@dataclass(frozen=True)
class Detection:
    """The profile that this machine goes by, the machine, how that was decided, and why, as one line for people."""

    profile: Profile
    machine: Machine
    how: How
    why: str


def detect(override: str | None = None, root: Path = Path("/"), config: Path | None = None) -> Detection:
    """Decide which profile this machine goes by: `override` (None: $EDGELINE_DEVICE) -> probes -> a logged default.

    Raises ProfileError for an override that is no profile's id, and for a profile of the user's that cannot be used.
    The machine itself never makes it raise.
    """
    wanted = os.environ.get(VARIABLE, "") if override is None else override
    if wanted:
        profile_of(wanted, config)
    machine = look(root)
    profile, how, why = choose(machine, known_profiles(config), wanted or None)
    if how == "default":
        _LOG.warning("device: %s; edge-run --profile NAME or %s=NAME chooses another", why, VARIABLE)
    return Detection(profile, machine, how, why)


def choose(machine: Machine, profiles: Mapping[str, Profile], override: str | None = None) -> tuple[Profile, How, str]:
    """Return the profile for a machine, how that was decided, and why. A user's own wins over a shipped one.

    In turn: the override; a board that a profile names in the device tree's list, the most exact name first; one whose
    model string a profile knows (makers of carrier boards write anything in there, so it comes second); one with a
    processor that a board of ours has; a generic profile for the architecture and the instruction sets; the default.
    Raises ProfileError for an override that is no profile's id.
    """
    if override is not None:
        if override not in profiles:
            raise ProfileError(f"there is no device profile {override!a}{close_to(override, list(profiles))}")
        return profiles[override], "override", f"{profiles[override].name} was asked for"
    ordered = sorted(profiles.values(), key=lambda profile: (not profile.file, profile.id))
    named = _by_name(machine, ordered)
    if named is not None:
        return named
    generic = [one for one in ordered if not one.match.compatible and not one.match.model]
    fitting = [one for one in generic if one.architecture == machine.architecture and _fits(one.match, machine)]
    best = max(fitting, key=_exactness, default=None)
    if best is not None and _exactness(best) > (0, 0):
        return best, "probe", f"{best.name}: {_evidence(best.match, machine)}"
    if best is not None:
        return best, "default", f"{_called(machine)} is no board that Edgeline knows, it goes by {best.name!r}"
    same = [one for one in generic if one.architecture == machine.architecture]
    plain = min(same, key=_demands, default=_PLAINEST)
    return plain, "default", f"{_called(machine)} says too little about itself, it goes by {plain.name!r}"


def _by_name(machine: Machine, ordered: list[Profile]) -> tuple[Profile, How, str] | None:
    for name in _names(machine.compatible):
        found = _of_compatible(ordered, name)
        if found is not None:
            kin = ", a near relative with the same processor" if name in _RELATIVES else ""
            return found, "probe", f"{_called(machine)} is {name} in its device tree: {found.name}{kin}"
    known = [(len(part), one) for one in ordered for part in one.match.model if part.lower() in machine.board.lower()]
    if known:
        found = max(known, key=lambda pair: pair[0])[1]
        return found, "probe", f"it calls itself {machine.board!r}: {found.name}"
    for chip in machine.compatible:
        found = _of_compatible(ordered, _standing_for(chip, machine))
        if found is not None:
            why = f"{_called(machine)} is no board that Edgeline knows; it has the processor ({chip}) of {found.name}"
            return found, "probe", why
    return None


def _names(compatible: Iterable[str]) -> list[str]:
    """The names of a device tree, a carrier with a module ("nvidia,p3768-0000+p3767-0003") also as the module alone."""
    found: list[str] = []
    for name in compatible:
        maker, comma, rest = name.partition(",")
        found.append(name)
        if comma and "+" in rest:
            found.append(f"{maker},{rest.rpartition('+')[2]}")
    return found


def _of_compatible(ordered: list[Profile], name: str) -> Profile | None:
    """The first profile that names exactly this, else one that names the beginning of it ("...-0003" of "-super")."""
    for one in ordered:
        if name in one.match.compatible:
            return one
    for one in ordered:
        if any(name.startswith(f"{known}-") for known in one.match.compatible):
            return one
    return None


def _standing_for(chip: str, machine: Machine) -> str:
    if chip != _ORIN:
        return _BY_PROCESSOR.get(chip, "")
    count = len(machine.online) or len(machine.cores)
    return next((module for cores, module in _ORIN_BY_CORES if count <= cores), _ORIN_BY_CORES[-1][1])


def _fits(match: Match, machine: Machine) -> bool:
    if (match.isa or match.isa_any or match.isa_not) and not machine.isa:
        return False
    if match.isa_any and not machine.isa.intersection(match.isa_any):
        return False
    if match.cpu and not any(part.lower() in machine.cpu.lower() for part in match.cpu):
        return False
    return machine.isa.issuperset(match.isa) and machine.isa.isdisjoint(match.isa_not)


def _exactness(profile: Profile) -> tuple[int, int]:
    match = profile.match
    return len(match.cpu) and 1, len(match.isa) + bool(match.isa_any) + len(match.isa_not)


def _demands(profile: Profile) -> tuple[int, int]:
    """What a profile takes a machine to have; that it is without something is no demand."""
    return len(profile.match.cpu), len(profile.match.isa) + bool(profile.match.isa_any)


def _evidence(match: Match, machine: Machine) -> str:
    if match.cpu:
        return f"the processor is {machine.cpu!r}"
    has = sorted(machine.isa.intersection((*match.isa, *match.isa_any)))
    lacks = sorted(match.isa_not)
    parts = ["the processor has " + ", ".join(has)] * bool(has) + ["it has no " + ", no ".join(lacks)] * bool(lacks)
    return "; ".join(parts)


def _called(machine: Machine) -> str:
    return machine.board or machine.cpu or machine.architecture or "this machine"
