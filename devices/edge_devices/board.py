"""What the board calls itself: its device tree, a PC's DMI, and NVIDIA's release file on a Jetson."""

from __future__ import annotations

import re

from edge_devices.tree import Tree

__all__ = ["board_name", "compatible", "l4t_release"]

_DEVICE_TREES = ("proc/device-tree", "sys/firmware/devicetree/base")
_DMI = "sys/class/dmi/id"
# What makers of mainboards leave in: that is no name.
_EMPTY_WORDS = ("to be filled", "default string", "system product", "system manufacturer", "not applicable", "o.e.m.")
_LONGEST = 200
_MOST_NAMES = 64
# "# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic, EABI: aarch64, DATE: ..."
_RELEASE = re.compile(r"#\s*R([0-9]{1,4})\s*\(release\),\s*REVISION:\s*([0-9]{1,4}(?:\.[0-9]{1,4})*)")


def board_name(tree: Tree) -> str:
    """Return the device tree's model, else DMI's maker and product; "" where there is neither."""
    for base in _DEVICE_TREES:
        found = _plain(tree.text(f"{base}/model", 4096))
        if found:
            return found
    words = [_plain(tree.text(f"{_DMI}/{name}", 4096)) for name in ("sys_vendor", "product_name", "board_name")]
    maker, product, board = ("" if any(word in text.lower() for word in _EMPTY_WORDS) else text for text in words)
    name = product or board
    return name if not maker or name.lower().startswith(maker.lower()) else f"{maker} {name}".strip()


def compatible(tree: Tree) -> tuple[str, ...]:
    """Return the device tree's list of what the board is, the most exact first ("nvidia,p3767-0003", ...)."""
    for base in _DEVICE_TREES:
        names = tree.text(f"{base}/compatible", 4096).split("\0")
        found = tuple(name for name in map(_plain, names) if name)
        if found:
            return found[:_MOST_NAMES]
    return ()


def l4t_release(tree: Tree) -> str:
    """Return NVIDIA's Linux release as "36.4.7", "" without one."""
    found = _RELEASE.search(tree.text("etc/nv_tegra_release", 4096))
    return f"{found[1]}.{found[2]}" if found else ""


def _plain(text: str) -> str:
    """One line of printable characters."""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:_LONGEST]
