"""The power mode that somebody has chosen: a Jetson's nvpmodel, else the governor of the clocks."""

from __future__ import annotations

import re

from edge_devices.commands import Runner
from edge_devices.tree import Tree

__all__ = ["power_mode"]

_STATUS, _MODES = "var/lib/nvpmodel/status", "etc/nvpmodel.conf"
_MODE = re.compile(r"pmode:([0-9]{1,6})")
_NAMED = re.compile(r"^<\s*POWER_MODEL\s+ID=([0-9]{1,6})\s+NAME=(\S{1,64})\s*>", re.MULTILINE)
_ANSWER = re.compile(r"NV Power Mode:\s*(\S{1,64})")
_GOVERNOR = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"


def power_mode(tree: Tree, l4t: str, ask: Runner) -> str:
    """Return the mode's name ("25W", "MAXN"; its number where the table of names is missing), or the governor's."""
    status = _MODE.search(tree.text(_STATUS, 4096))
    if status:
        names: dict[int, str] = {int(number): name for number, name in _NAMED.findall(tree.text(_MODES))}
        return names.get(int(status[1]), f"mode {int(status[1])}")
    answer = _ANSWER.search(ask(["nvpmodel", "-q"])) if l4t else None
    return str(answer[1]) if answer else tree.text(_GOVERNOR, 64)
