"""Whether the installed onnxruntime can be imported here at all, found out without importing it into this process.

A wheel that was built for newer processors ends the process with SIGILL in the middle of the import: no exception, no
word to the user. What is known for sure is in a table; what is not, a child process can try once.

The table is from reports and from our own runs: the aarch64 wheels 1.20.1, 1.21.0, 1.21.1, 1.22.0, 1.22.1, 1.23.2,
1.24.4, 1.25.1, 1.26.0, 1.27.0, 1.28.0, 1.29.0, 1.30.0, 1.31.0 and 1.31.1 of PyPI were imported and ran an int8 network
under qemu-user 7.2 as Cortex-A53, A57, A72 and A76, each with all cores on and with some of them off.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_devices.interpreter import python_code, python_environment
from edge_devices.machine import Machine
from edge_devices.probe import processor
from edge_devices.tree import Tree

__all__ = ["cannot_run", "doubt", "imports_safely", "installed_onnxruntime", "this_processor"]

# The names that onnxruntime is installed by, as its folder of metadata says them: "onnxruntime_gpu-1.23.0.dist-info".
# Others that begin like it (onnxruntime_extensions, onnxruntime_genai) are other packages.
_NAMES = "gpu|openvino|training|directml|qnn|rocm|migraphx|cann|vitisai|windowsml|noopenmp|dnnl|acl|armnn"
_INSTALLED = re.compile(rf"onnxruntime(?:_(?:{_NAMES}))?-([0-9][^-/]{{0,40}})(?:-[^/]{{1,40}})?\.(?:dist|egg)-info")
_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})(?:\.([0-9]{1,6}))?")
_SECONDS = 120.0  # a slow board with a cold card must get through
Version = tuple[int, int, int]


@dataclass(frozen=True)
class _Crash:
    """Versions (first and last) whose wheels for an architecture end with SIGILL where `needs` is missing."""

    architecture: str
    first: Version
    last: Version
    needs: str
    advice: str


_CRASHES = (
    # microsoft/onnxruntime#23957, #24112, #24512 (Raspberry Pi 4 and others). Seen here: what runs while the library is
    # loaded has an FP16 `fmov v1.4h` in it, SIGILL as A53, A57 and A72; it runs as A76, and 1.21.1 on all of them.
    _Crash("aarch64", (1, 21, 0), (1, 21, 0), "asimdhp", "pip install 'onnxruntime>=1.27'"),
)
# What ran on all four cores above: plain ARMv8.0 is enough. Before 1.27 the wheels write past a list and are aborted
# where a processor's number is not less than how many are on (#24092, #24221, #25103; 1.20.1 to 1.26.0 seen here), and
# 1.22.0 was aborted on a Raspberry Pi Zero 2 W for a reason that nobody found (#25290, #25472). A newer one is in doubt
# until it ran here: one release for ARM was killed on most of its boards.
_SAFE_ARM: tuple[Version, Version] = ((1, 27, 0), (1, 31, 1))
# On x86-64 none was ever reported to be killed, whichever release: 1.31.1's library loads as a first 64-bit AMD. But
# numpy 2.4 beside it wants x86-64-v2, which these two stand for.
_X86_NEEDS = ("sse4_2", "ssse3")


def installed_onnxruntime() -> str | None:
    """Return the version of the onnxruntime that is installed, under whichever name; None if none is.

    importlib.metadata tells the same and takes 7 MB for it, which count against a memory limit.
    """
    for place in sys.path:
        try:
            names = sorted(os.listdir(place or "."))  # noqa: PTH208
        except OSError:  # a zip file, a folder that is gone
            continue
        for name in names:
            found = _INSTALLED.fullmatch(name)
            if found:
                return found[1]
    return None


def this_processor(root: Path = Path("/")) -> Machine:
    """Return what `cannot_run` and `doubt` want to know of this machine: it takes a millisecond."""
    return processor(Tree(root))


def cannot_run(machine: Machine, onnxruntime_version: str) -> str | None:
    """Return why this onnxruntime would crash on the machine, as a sentence with what to do; None if none is known."""
    version = _parsed(onnxruntime_version)
    for crash in _CRASHES:
        if version is None or machine.architecture != crash.architecture or not machine.isa:
            continue
        if crash.first <= version <= crash.last and crash.needs not in machine.isa:
            return (
                f"onnxruntime {onnxruntime_version} is built for processors with {crash.needs} and would be killed on "
                f"this one ({_called(machine)}) with an illegal instruction: {crash.advice}"
            )
    return None


def doubt(machine: Machine, onnxruntime_version: str) -> str | None:
    """Return why it is in doubt that this onnxruntime imports on such a machine, as words; None where nothing says so.

    Where it is in doubt, `imports_safely` can try.
    """
    version = _parsed(onnxruntime_version)
    if version is None:
        return "a version that nobody knows"
    if not machine.isa:
        return "nothing tells what this processor has"
    if machine.architecture == "x86_64":
        missing = [name for name in _X86_NEEDS if name not in machine.isa]
        return f"this processor has no {missing[0]}" if missing else None
    if machine.architecture != "aarch64":
        return f"there are no releases for {machine.architecture}"
    # An emulator may show its host's processors: then no core has a kind, and onnxruntime is misled as well (1.28.0 to
    # 1.31.1 under qemu-user end with SIGSEGV on an x86 host's /proc/cpuinfo, and run with a board's own).
    if not machine.cores or not all(core.kind for core in machine.cores):
        return "this processor says of its cores what no ARM core is"
    if not machine.online or max(machine.online) >= len(machine.online):
        return "some cores are off, which releases have stumbled over"
    if version < _SAFE_ARM[0]:
        return "releases before 1.27 have crashed on ARM boards"
    if version > _SAFE_ARM[1]:
        return "newer than what was seen to run on ARM, where one release was killed on most boards"
    return None


def imports_safely(seconds: float = _SECONDS) -> str | None:
    """Import onnxruntime in a child process; return why that failed as a sentence, None if it did not.

    Only a death of the child counts as a failure: an exception is for the real import to show.
    """
    try:
        done = subprocess.run(
            python_code("import onnxruntime"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=seconds,
            check=False,
            env=python_environment(),
        )
    except subprocess.TimeoutExpired:
        return f"onnxruntime is not imported after {seconds:.0f} s: see what `python -c 'import onnxruntime'` does here"
    except OSError:  # no process to be had: then nobody knows
        return None
    number = -done.returncode if done.returncode < 0 else done.returncode - 128
    if number <= 0:
        return None
    return f"onnxruntime {_death(number, done.stderr)}"


def _death(number: int, errors: bytes) -> str:
    version = installed_onnxruntime() or ""
    words = [line.strip() for line in errors[-4000:].decode("utf-8", "replace").splitlines() if line.strip()]
    said = f" ({words[-1][:200]})" if words else ""
    if number == getattr(signal, "SIGILL", 4):
        return (
            f"{version} uses instructions that this processor does not have and is killed while it is imported: "
            f"install another version, or one that is built for this board{said}"
        )
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{version} is killed by {name} while it is imported: install another version, 'onnxruntime>=1.27'{said}"


def _parsed(text: str) -> Version | None:
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _called(machine: Machine) -> str:
    kinds = sorted({core.kind for core in machine.cores if core.kind})
    return ", ".join(kinds) or machine.cpu or machine.architecture
