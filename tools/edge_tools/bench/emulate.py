"""`--as BOARD`: which limits make a workstation as small as a board, and the words that go with every figure then.

Memory, storage speed and the number of cores are the board's; the arithmetic stays this processor's. A process is left
the board's memory less what its firmware, kernel and a system without a desktop take: 256 MiB, but never more than
half (Raspberry Pi OS Lite leaves 700 to 750 MiB of 1 GiB). Storage reads as fast as the profile says of the slowest
kind that the board takes. Clocks, caches and memory bandwidth cannot be confined.
"""

from __future__ import annotations

import difflib
import platform
from collections.abc import Mapping

from edge_devices.profile import Prior, Profile
from edge_runtime.errors import UsageError
from edge_runtime.files.sizes import format_size, parse_size
from edge_tools.bench.cases import Emulated

__all__ = ["arithmetic", "emulate", "find_board"]

_MIB = 1 << 20
_SYSTEM_BYTES = 256 * _MIB
_FAMILIES: Mapping[str, str] = {
    "x86_64": "x86",
    "amd64": "x86",
    "i686": "x86",
    "i386": "x86",
    "aarch64": "ARM",
    "arm64": "ARM",
    "armv7l": "ARM",
}


def arithmetic(architecture: str) -> str:
    """Return what platform.machine() says as a family: "x86", "ARM", or the name itself."""
    return _FAMILIES.get(architecture.lower(), architecture)


def find_board(text: str, profiles: Mapping[str, Profile]) -> tuple[Profile, str, str]:
    """Return the profile that "BOARD[:MEMORY][:STORAGE]" names, and the other two parts ("" where not given).

    Raises UsageError with the nearest names for a board that nobody knows.
    """
    name, *parts = [part.strip() for part in text.split(":")]
    profile = profiles.get(name.lower())
    if profile is None:
        near = difflib.get_close_matches(name.lower(), profiles, n=3, cutoff=0.4)
        advice = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(f"--as {text}: no board of that name; {advice}`edge-bench --devices` lists them all")
    memory = storage = ""
    for part in parts:
        if part in profile.storage_read_mb_per_s and not storage:
            storage = part
        elif part[:1].isdigit() and not memory:
            memory = part
        else:
            kinds = ", ".join(profile.storage_read_mb_per_s) or "none known"
            raise UsageError(
                f"--as {text}: expected {profile.id}[:MEMORY][:STORAGE], found {part!r}; memory: {_sizes(profile)}; "
                f"storage: {kinds}"
            )
    return profile, memory, storage


def emulate(
    profile: Profile,
    memory: str,
    storage: str,
    host_cores: float,
    host_memory_bytes: int,
    architecture: str | None = None,
    read_bytes_per_s: int | None = None,
) -> Emulated:
    """Return the limits of a board on this host. Raises UsageError for what it is not sold with.

    `host_cores` are those that this process may use, or --cpus; `architecture` is this machine's, as
    platform.machine() names it; `read_bytes_per_s` is taken in place of the profile's figure.
    """
    memory_bytes = _memory(profile, memory)
    if not profile.cores:
        raise UsageError(f"--as {profile.id}: the profile names no cores; give --confine and --cpus instead of --as")
    limit = memory_bytes - min(_SYSTEM_BYTES, memory_bytes // 2)
    if limit > host_memory_bytes:
        raise UsageError(
            f"--as {profile.id}: it leaves a process {format_size(limit)}, more than this machine's "
            f"{format_size(host_memory_bytes)}; choose less memory ({_sizes(profile)}) or a larger machine"
        )
    kind = storage or min(
        profile.storage_read_mb_per_s, key=lambda each: profile.storage_read_mb_per_s[each].value, default=""
    )
    cores = min(host_cores, profile.cores)
    here = arithmetic(platform.machine() if architecture is None else architecture)
    label = f"emulated limits, {here} arithmetic"
    notes = [_arithmetic_note(profile, here)]
    if cores < profile.cores:
        label += f", on {cores:g} of {profile.cores} cores"
        notes.append(
            f"This machine gives {cores:g} of the board's {profile.cores} cores: with all of them it would be faster."
        )
    rate = profile.storage_read_mb_per_s[kind] if kind else None
    sources = [f"board: {profile.source}"]
    if read_bytes_per_s is not None:
        kind = "storage"
        sources.append(f"storage at {read_bytes_per_s / 1e6:g} MB/s: --storage-mb-per-s")
    elif rate is None:
        notes.append("The profile knows no storage speed: storage is not slowed down.")
    else:
        sources.append(f"{kind} at {rate.value:g} MB/s: {rate.source}")
    sources.append(
        f"limit: {memory_bytes // _MIB} MiB less {(memory_bytes - limit) // _MIB} MiB for firmware, kernel and system"
    )
    return Emulated(
        board=profile.id,
        name=profile.name,
        label=label,
        memory_bytes=memory_bytes,
        limit_bytes=limit,
        storage=kind,
        storage_bytes_per_s=_rate(rate) if read_bytes_per_s is None else read_bytes_per_s,
        cores=cores,
        board_cores=profile.cores,
        sources=tuple(sources),
        notes=tuple(notes),
    )


def _memory(profile: Profile, text: str) -> int:
    """Return the bytes of one of the sizes that a board is sold with, the smallest where none is named."""
    if not profile.memory_mb:
        raise UsageError(f"--as {profile.id}: the profile names no memory size; give --memory-limit instead of --as")
    if not text:
        return min(profile.memory_mb) * _MIB
    asked = parse_size(text)
    for size in profile.memory_mb:
        # "4GB" is what a seller calls 4096 MiB.
        if asked in (size * _MIB, size * 10**6, round(size * 10**9 / 1024)):
            return size * _MIB
    raise UsageError(f"--as {profile.id}:{text}: not sold with that much memory; it is sold with {_sizes(profile)}")


def _rate(prior: Prior | None) -> int | None:
    return None if prior is None else round(prior.value * 1e6)


def _sizes(profile: Profile) -> str:
    return ", ".join(f"{size / 1024:g}GB" if size % 512 == 0 else f"{size}MB" for size in sorted(profile.memory_mb))


def _arithmetic_note(profile: Profile, here: str) -> str:
    there = arithmetic(profile.architecture)
    other = f" ({there})" if there != here else ""
    return (
        f"The arithmetic is this machine's ({here}), not the {profile.name}'s{other}: times and images/s are not what "
        "the board reaches. Whether it fits, what streaming costs against the limit, and ratios between rows are what "
        "this shows."
    )
