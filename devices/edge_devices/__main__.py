"""`python -m edge_devices`: what was found out about this machine, and why it goes by which profile."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_devices.bandwidth import brief_speed
from edge_devices.commands import ask
from edge_devices.detection import VARIABLE, Detection, choose
from edge_devices.isa import cannot_run, doubt, installed_onnxruntime
from edge_devices.machine import Core, Machine, Zone
from edge_devices.probe import look_at
from edge_devices.profile_toml import ProfileError
from edge_devices.profiles import known_profiles, profile_of
from edge_devices.recording import record, unpack
from edge_devices.tree import Tree

# Of a hundred flags those that decide how fast a network runs, as /proc/cpuinfo names them.
_TOLD = (
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"),
    *("sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found; return 0, or 2 for a profile or a file that cannot be used."""
    options = _options(arguments)
    try:
        found = _recorded(options) if options.tree else _here(options)
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or 'this machine'}: {error.strerror or error}; give another path\n")
        return 2
    except (ProfileError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write((json.dumps(_plain(found), indent=2) if options.json else "\n".join(_lines(found))) + "\n")
    return 0


def _here(options: argparse.Namespace) -> Detection:
    tree = Tree()
    machine = look_at(tree, options.file.resolve().parent if options.file else None, ask)
    if options.file:
        speed = brief_speed(options.file)
        machine = dataclasses.replace(machine, storage=dataclasses.replace(machine.storage, read_bytes_per_s=speed))
    if options.record:
        head = f"# Recorded by python -m edge_devices on {platform.platform()}.\n"
        options.record.write_text(head + record(tree), encoding="utf-8")
    wanted = options.device or os.environ.get(VARIABLE) or None
    return _chosen(machine, wanted)


def _recorded(options: argparse.Namespace) -> Detection:
    with tempfile.TemporaryDirectory() as folder:
        unpack(options.tree.read_text(encoding="utf-8"), Path(folder))
        machine = look_at(Tree(Path(folder)))
    return _chosen(machine, options.device)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edge_devices", description=__doc__)
    parser.add_argument(
        *("--profile", "--device"),
        dest="device",
        metavar="NAME",
        help="go by this profile (default: $EDGELINE_DEVICE, else it is found out)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help="read this file for half a second to see how fast its disk is"
    )
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write what was read of /proc, /sys and /etc into a text file"
    )
    parser.add_argument("--tree", type=Path, metavar="FILE", help="look at such a recording instead of this machine")
    return parser.parse_args(arguments)


def _lines(found: Detection) -> list[str]:
    machine = found.machine
    rows = [
        ("profile", f"{found.profile.name} ({found.profile.id})"),
        ("because", f"{found.why} [{found.how}]"),
        ("board", machine.board),
        ("device tree", ", ".join(machine.compatible)),
        ("L4T", machine.l4t),
        ("processor", f"{machine.cpu}, {machine.architecture}".strip(", ")),
        ("instruction sets", " ".join(name for name in _TOLD if name in machine.isa)),
        ("cores", _cores(machine)),
        ("memory", f"{machine.memory_bytes / 1e6:,.0f} MB" if machine.memory_bytes else ""),
        ("storage", _storage(machine)),
        ("temperature", "; ".join(_zone(zone) for zone in machine.zones)),
        ("held down by", ", ".join(machine.throttled)),
        ("since boot", ", ".join(machine.throttled_before)),
        ("power mode", machine.power_mode),
        ("container", "yes" if machine.container else "no"),
        ("onnxruntime", _onnxruntime(machine)),
    ]
    return [f"{name:17}{value}" for name, value in rows if value]


def _cores(machine: Machine) -> str:
    """Cores of one kind and clock together: "4x cortex-a76 2400 MHz (4-7), ..."; and how many may be used at once."""
    groups: dict[tuple[str, int], list[Core]] = {}
    for core in machine.cores:
        groups.setdefault((core.kind, core.mhz), []).append(core)
    parts = []
    for (kind, mhz), group in groups.items():
        clock = f" {mhz} MHz" if mhz else ""
        parts.append(f"{len(group)}x {kind or 'core'}{clock} ({', '.join(str(core.number) for core in group)})")
    return f"{'; '.join(parts)}; {machine.usable_cores} at once"


def _storage(machine: Machine) -> str:
    disk = machine.storage
    speed = f", read at {disk.read_bytes_per_s / 1e6:.0f} MB/s" if disk.read_bytes_per_s else ""
    return f"{disk.kind} ({disk.device}){speed}" if disk.device else ""


def _zone(zone: Zone) -> str:
    now = "" if zone.celsius is None else f" {zone.celsius:.1f} C"
    trips = ", ".join(f"{trip.kind} at {trip.celsius:.0f}" for trip in zone.trips)
    return f"{zone.name}{now}" + (f" ({trips})" if trips else "")


def _onnxruntime(machine: Machine) -> str:
    """What is installed here, and whether it runs on that machine."""
    version = installed_onnxruntime()
    if version is None:
        return "not installed"
    why = doubt(machine, version)
    return cannot_run(machine, version) or (f"{version}, to be tried: {why}" if why else version)


def _plain(found: Detection) -> dict[str, Any]:
    machine = {**dataclasses.asdict(found.machine), "isa": sorted(found.machine.isa)}
    return {"profile": found.profile.id, "how": found.how, "why": found.why, "machine": machine}


def _chosen(machine: Machine, wanted: str | None) -> Detection:
    if wanted:
        profile_of(wanted)  # its error says where the names are
    profile, how, why = choose(machine, known_profiles(), wanted or None)
    return Detection(profile, machine, how, why)


if __name__ == "__main__":
    sys.exit(main())
