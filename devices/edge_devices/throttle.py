"""Whether something holds the clocks down now, or did since boot, as far as the board tells.

Raspberry Pi: the firmware's bits (raspberrypi.com, documentation of vcgencmd get_throttled). Jetson: the over-current
counters of soctherm (NVIDIA, Jetson Linux developer guide, "Platform Power and Performance") and the cooling devices of
Linux's thermal framework. x86: thermal_throttle's counters (Documentation/ABI/testing/sysfs-devices-system-cpu).
"""

from __future__ import annotations

import re

from edge_devices.commands import Runner
from edge_devices.tree import Tree

__all__ = ["firmware_bits", "throttling"]

_HOT = "temperature limit"
# Bit -> what it means; 16 bits higher: that this was so at any time since boot.
_PI_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: _HOT}
_PI_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_OVER_CURRENT = {1: "under-voltage", 2: "average over-current", 3: "instantaneous over-current"}
# Cooling devices that cool by slowing down; a fan does not.
_SLOWING = re.compile("cpufreq|devfreq|throttl|balanced|^Processor$|^intel_powerclamp$", re.IGNORECASE)
_CPU = "sys/devices/system/cpu"
_MOST = 1024


def throttling(tree: Tree, board: str, ask: Runner) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return why the clocks are held down now, and why they were since boot, as words."""
    now, before = firmware_bits(_firmware(tree, board, ask))
    if _cooled(tree):
        now.append(_HOT)
    before += _over_current(tree)
    if _counted(tree):
        before.append(_HOT)
    return tuple(dict.fromkeys(now)), tuple(dict.fromkeys(before))


def firmware_bits(text: str) -> tuple[list[str], list[str]]:
    """Return what a Raspberry Pi's bits mean, now and before: "throttled=0x50005" as vcgencmd, "50005" as sysfs."""
    digits = text.strip().rpartition("=")[2].lower().removeprefix("0x")[:16]
    bits = int(digits, 16) if re.fullmatch("[0-9a-f]+", digits) else 0
    now = [word for bit, word in _PI_BITS.items() if bits >> bit & 1]
    return now, [word for bit, word in _PI_BITS.items() if bits >> (bit + 16) & 1]


def _firmware(tree: Tree, board: str, ask: Runner) -> str:
    found = tree.text(_PI_FILE, 64)
    if found or "Raspberry Pi" not in board:
        return found
    base = "sys/devices/platform"  # a Raspberry Pi 5's is soc@107c000000:firmware
    for soc in [base, *(f"{base}/{name}" for name in tree.names(base, "soc*"))]:
        for firmware in tree.names(soc, "*firmware*"):
            found = tree.text(f"{soc}/{firmware}/get_throttled", 64)
            if found:
                return found
    return ask(["vcgencmd", "get_throttled"])


def _cooled(tree: Tree) -> bool:
    base = "sys/class/thermal"
    for name in tree.names(base, "cooling_device[0-9]*")[:_MOST]:
        slows = _SLOWING.search(tree.text(f"{base}/{name}/type", 256))
        if slows and (tree.number(f"{base}/{name}/cur_state") or 0) > 0:
            return True
    return False


def _over_current(tree: Tree) -> list[str]:
    base = "sys/class/hwmon"
    for name in tree.names(base, "hwmon[0-9]*")[:_MOST]:
        if tree.text(f"{base}/{name}/name", 256) == "soctherm_oc":
            counted = {n: tree.number(f"{base}/{name}/oc{n}_event_cnt") for n in _OVER_CURRENT}
            return [_OVER_CURRENT[n] for n, events in counted.items() if events]
    return []


def _counted(tree: Tree) -> bool:
    for name in tree.names(_CPU, "cpu[0-9]*")[:_MOST]:
        for kind in ("core", "package"):
            if (tree.number(f"{_CPU}/{name}/thermal_throttle/{kind}_throttle_count") or 0) > 0:
                return True
    return False
