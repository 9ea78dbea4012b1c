"""What the processor is: its name, its instruction sets, what kind each core is, and what it cannot do."""

from __future__ import annotations

import functools
import platform
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_devices.tree import Tree, integer

__all__ = ["Cpuinfo", "architecture_of", "core_kind", "cpuinfo", "processor_name", "saturates_int8", "wants_signed"]

_MOST_CPUINFO = 4 << 20  # a server of some hundred cores has 1 MB
_X86, _ARM = ("x86_64", "i686", "i386"), ("aarch64", "arm64", "armv7l", "armv8l", "armv6l")
# MIDR_EL1's implementer and part: arch/arm64/include/asm/cputype.h of Linux, ARM's technical reference manuals.
_KINDS: Mapping[tuple[int, int], str] = {
    (0x41, 0xC07): "cortex-a7",
    (0x41, 0xC08): "cortex-a8",
    (0x41, 0xC09): "cortex-a9",
    (0x41, 0xC0E): "cortex-a17",
    (0x41, 0xC0F): "cortex-a15",
    (0x41, 0xD01): "cortex-a32",
    (0x41, 0xD02): "cortex-a34",
    (0x41, 0xD03): "cortex-a53",
    (0x41, 0xD04): "cortex-a35",
    (0x41, 0xD05): "cortex-a55",
    (0x41, 0xD06): "cortex-a65",
    (0x41, 0xD07): "cortex-a57",
    (0x41, 0xD08): "cortex-a72",
    (0x41, 0xD09): "cortex-a73",
    (0x41, 0xD0A): "cortex-a75",
    (0x41, 0xD0B): "cortex-a76",
    (0x41, 0xD0C): "neoverse-n1",
    (0x41, 0xD0D): "cortex-a77",
    (0x41, 0xD0E): "cortex-a76ae",
    (0x41, 0xD40): "neoverse-v1",
    (0x41, 0xD41): "cortex-a78",
    (0x41, 0xD42): "cortex-a78ae",
    (0x41, 0xD43): "cortex-a65ae",
    (0x41, 0xD44): "cortex-x1",
    (0x41, 0xD46): "cortex-a510",
    (0x41, 0xD47): "cortex-a710",
    (0x41, 0xD48): "cortex-x2",
    (0x41, 0xD49): "neoverse-n2",
    (0x41, 0xD4A): "neoverse-e1",
    (0x41, 0xD4B): "cortex-a78c",
    (0x41, 0xD4D): "cortex-a715",
    (0x41, 0xD4E): "cortex-x3",
    (0x41, 0xD4F): "neoverse-v2",
    (0x41, 0xD80): "cortex-a520",
    (0x41, 0xD81): "cortex-a720",
    (0x41, 0xD82): "cortex-x4",
    (0x41, 0xD83): "neoverse-v3ae",
    (0x41, 0xD84): "neoverse-v3",
    (0x4E, 0x000): "denver",
    (0x4E, 0x003): "denver2",
    (0x4E, 0x004): "carmel",
}
# /proc/self/auxv's AT_HWCAP (16) and AT_HWCAP2 (26) bits of arm64: arch/arm64/include/uapi/asm/hwcap.h.
_HWCAP: Mapping[int, Mapping[int, str]] = {
    16: {1: "asimd", 8: "atomics", 9: "fphp", 10: "asimdhp", 12: "asimdrdm", 20: "asimddp", 22: "sve"},
    26: {1: "sve2", 9: "svei8mm", 13: "i8mm", 14: "bf16", 23: "sme"},
}


@dataclass(frozen=True)
class Cpuinfo:
    """/proc/cpuinfo: the processor's name, the instruction sets that all cores have, each core's implementer and part.

    `listed`: the numbers of the processors in it, which are those that are switched on.
    """

    name: str = ""
    isa: frozenset[str] = frozenset()
    parts: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    listed: tuple[int, ...] = ()


def architecture_of(tree: Tree) -> str:
    """Return what platform.machine() says, for this machine, of the programs that this Python can load.

    Of a recorded tree: what its /proc/cpuinfo looks like; "" where that is not to be told.
    """
    if tree.is_this_machine:
        machine = platform.machine()
        machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(machine, machine)  # Windows and macOS
        narrow = {"aarch64": "armv7l", "x86_64": "i686"}  # 32-bit Python under a 64-bit kernel
        return machine if sys.maxsize > 1 << 32 else narrow.get(machine, machine)
    names = {line.partition(":")[0].strip() for line in tree.lines("proc/cpuinfo", _MOST_CPUINFO)}
    if "flags" in names:
        return "x86_64" if "lm" in _isa(tree.lines("proc/cpuinfo", _MOST_CPUINFO)) else "i686"
    if "Features" in names:
        return "aarch64" if "asimd" in _isa(tree.lines("proc/cpuinfo", _MOST_CPUINFO)) else "armv7l"
    return ""


def cpuinfo(tree: Tree, architecture: str) -> Cpuinfo:
    """Read /proc/cpuinfo. Under an emulator of another architecture it is the host's: then it tells nothing.

    The instruction sets of an arm64 program are in its /proc/self/auxv too, which emulators get right.
    """
    lines = tree.lines("proc/cpuinfo", _MOST_CPUINFO)
    names = {line.partition(":")[0].strip() for line in lines}
    if ("flags" in names and architecture in _ARM) or ("Features" in names and architecture in _X86):
        lines = []
    isa = _isa(lines)
    if not isa and architecture == "aarch64":
        isa = _auxv(tree)
    listed = _parts(lines)
    parts = {number: part for number, part in listed.items() if part != (-1, -1)}
    return Cpuinfo(_name(lines, parts.values()), isa, parts, tuple(sorted(listed)))


def core_kind(implementer: int, part: int) -> str:
    """Return a core's name ("cortex-a72"), "" for one that is not known."""
    return _KINDS.get((implementer, part), "")


def processor_name(root: Path = Path("/")) -> str:
    """Return the processor's name as the system tells it, else its architecture."""
    tree = Tree(root)
    return cpuinfo(tree, architecture_of(tree)).name or platform.machine()


@functools.cache
def saturates_int8(root: Path = Path("/")) -> bool:
    """Tell whether this is an x86 without VNNI, which adds pairs of uint8 x int8 products in 16 bits: large ones are
    cut off, and a layer's answer is then plainly wrong. False where nobody tells (not Linux, not x86).
    """
    tree = Tree(root)
    architecture = architecture_of(tree)
    isa = cpuinfo(tree, architecture).isa
    return architecture in _X86 and bool(isa) and not {"avx512_vnni", "avx_vnni"} & isa


def wants_signed(root: Path = Path("/")) -> bool:
    """Tell whether onnxruntime's int8 layers do less work here with int8 than with uint8 inputs: on 64-bit ARM that has
    the dot product of int8 (Cortex-A76: 5 to 8 % fewer instructions a frame; without, Cortex-A72: up to 10 % more).

    On x86 one factor has to be uint8. False where nobody tells.
    """
    tree = Tree(root)
    architecture = architecture_of(tree)
    return architecture == "aarch64" and "asimddp" in cpuinfo(tree, architecture).isa


def _isa(lines: list[str]) -> frozenset[str]:
    """The instruction sets of all processors: what only the big cores have, nobody may use."""
    sets = {line.partition(":")[2] for line in lines if line.partition(":")[0].strip() in ("flags", "Features")}
    found = [frozenset(words.split()) for words in sets]
    return frozenset.intersection(*found) if found else frozenset()


def _name(lines: list[str], parts: Iterable[tuple[int, int]]) -> str:
    """The processor's name. ARM's kernels have none: then the board's (Raspberry Pi), else the kinds of its cores.

    "Hardware" comes last: on every Raspberry Pi it is the processor of the first one.
    """
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        if value.strip():
            found.setdefault(key.strip(), value.strip()[:200])
    name = found.get("model name", "")
    kinds = sorted({core_kind(*part) for part in parts} - {""})
    plain = "" if name.startswith("ARMv") else name
    return plain or found.get("Model", "") or " + ".join(kinds) or found.get("Hardware", "") or name


def _parts(lines: list[str]) -> dict[int, tuple[int, int]]:
    """The implementer and part of each processor, (-1, -1) where it does not say."""
    found: dict[int, tuple[int, int]] = {}
    number, implementer = -1, -1
    for line in lines:
        key, _, value = line.partition(":")
        name, value = key.strip(), value.strip()
        if name == "processor":
            number = -1 if (given := integer(value)) is None else given
            implementer = -1
            if number >= 0:
                found[number] = (-1, -1)
        elif name == "CPU implementer":
            implementer = _hex(value)
        elif name == "CPU part" and number in found and implementer >= 0 and _hex(value) >= 0:
            found[number] = (implementer, _hex(value))
    return found


def _hex(text: str) -> int:
    try:
        return int(text[:10], 16)
    except ValueError:
        return -1


def _auxv(tree: Tree) -> frozenset[str]:
    data = tree.data("proc/self/auxv", 4096)
    words = struct.iter_unpack("=QQ", data[: len(data) // 16 * 16])
    return frozenset(name for kind, value in words for bit, name in _HWCAP.get(kind, {}).items() if value >> bit & 1)
