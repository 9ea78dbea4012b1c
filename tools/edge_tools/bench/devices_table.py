"""What `edge-bench --devices` prints: every device profile that is known here, for people and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from edge_devices.profile import Cluster, Profile
from edge_devices.profiles import config_folder
from edge_runtime.files.schema import to_json

__all__ = ["devices_json", "devices_table"]

_WIDTH = 100
_LONGEST_CORES = 24  # as "12x cortex-a78ae 2.2 GHz"; what is longer goes below
_INDENT = " " * 6
_HEAD = ("device", "cores", "memory", "ISA", "tried in order")

# What decides how int8 and FP16 run, by the kernel's names; everything else of an ISA stays out of the table.
_ISA = {
    "asimd": "neon",
    "asimddp": "dotprod",
    "asimdhp": "fp16",
    "i8mm": "i8mm",
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx_vnni": "vnni",
    "avx512_vnni": "vnni",
    "amx_int8": "amx",
}
_PROVIDERS = {"Tensorrt": "TensorRT", "Xnnpack": "XNNPACK"}


def devices_table(profiles: Mapping[str, Profile], here: str | None) -> str:
    """Return one entry per profile, 100 columns wide; `here` is the id of the one that this machine was found to be."""
    rows = [_row(profile) for profile in profiles.values()]
    widths = [max(len(row[i]) for row in (_HEAD, *rows)) for i in range(len(_HEAD))]
    lines = [_line(" ", _HEAD, widths)]
    for profile, row in zip(profiles.values(), rows, strict=True):
        lines.append(_line("*" if profile.id == here else " ", row, widths))
        for note in _notes(profile, row):
            lines += textwrap.wrap(
                note,
                _WIDTH,
                initial_indent=_INDENT,
                subsequent_indent=_INDENT + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    lines += ["", *([f"* this machine ({here})."] if here in profiles else [])]
    lines += textwrap.wrap(
        "Priors are what others measured or a data sheet promises (each with its source in the profile, or with "
        "--json); edge-tune measures this board and replaces them.",
        _WIDTH,
    )
    lines.append(f"Your own profiles: {config_folder() / 'devices'}/*.toml, ahead of ours of the same name.")
    return "\n".join(lines) + "\n"


def devices_json(profiles: Mapping[str, Profile], here: str | None) -> dict[str, Any]:
    """Return {"here": id or None, "devices": [every field of each profile, priors with their sources]}."""
    return {"here": here, "devices": [to_json(profile) for profile in profiles.values()]}


def _row(profile: Profile) -> tuple[str, ...]:
    cores = _cores(profile.clusters)
    return (
        profile.id,
        cores if len(cores) <= _LONGEST_CORES else f"{profile.cores} cores",
        _memory(profile.memory_mb),
        _isa(profile),
        ", ".join([*(_provider(choice.name) for choice in profile.providers), "CPU"]),
    )


def _line(mark: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"{mark} {'  '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))}".rstrip()


def _notes(profile: Profile, row: Sequence[str]) -> list[str]:
    notes = []
    cores = _cores(profile.clusters)
    if cores != row[1]:
        notes.append(f"cores: {cores}")
    if priors := _priors(profile):
        notes.append(f"priors: {priors}")
    if profile.file:
        notes.append(f"yours: {profile.file}")
    return notes


def _cores(clusters: Sequence[Cluster]) -> str:
    kinds = [f"{cluster.count}x {cluster.core} {cluster.mhz / 1000:.1f}" for cluster in clusters]
    return f"{' + '.join(kinds)} GHz" if kinds else "as found"


def _memory(sizes_mb: Sequence[int]) -> str:
    if not sizes_mb:
        return "as found"
    if sizes_mb[-1] < 1024:
        return f"{sizes_mb[-1]} MB"
    ends = dict.fromkeys(f"{size / 1024:g}" for size in (sizes_mb[0], sizes_mb[-1]))
    return f"{'-'.join(ends)} GB"


def _isa(profile: Profile) -> str:
    names = dict.fromkeys(_ISA[name] for name in (*profile.isa, *profile.match.isa_any) if name in _ISA)
    if "dotprod" in names:
        names.pop("neon", None)  # every 64 bit Arm has it: worth a word only where there is nothing better
    return " ".join(names) or "as found"


def _provider(name: str) -> str:
    short = name.removesuffix("ExecutionProvider")
    return _PROVIDERS.get(short, short)


def _priors(profile: Profile) -> str:
    parts = []
    if profile.memory_gb_per_s is not None:
        parts.append(f"RAM {profile.memory_gb_per_s.value:g} GB/s")
    for figures, unit in ((profile.storage_read_mb_per_s, "MB/s"), (profile.latency_ms, "ms")):
        if figures:
            parts.append(f"{', '.join(f'{name} {prior.value:g}' for name, prior in figures.items())} {unit}")
    return "; ".join(parts)
