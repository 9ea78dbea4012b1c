"""What kind of disk lies below a folder: the mount it is in, that mount's block device, and what the device is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_devices.machine import Storage, StorageKind
from edge_devices.tree import Tree

__all__ = ["Mount", "mounts", "storage_below"]

_MOUNTINFO = "proc/self/mountinfo"
_MOST_BYTES = 1 << 20
_DEEPEST = 8
_ESCAPED = re.compile(r"\\([0-7]{3})")
# In a container the root is an overlay of folders of the host. What Docker, Podman and Kubernetes mount beside it from
# their own folder tells at least which disk that folder is on.
_BESIDE = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")


@dataclass(frozen=True)
class Mount:
    """A line of /proc/self/mountinfo (man 5 proc): "major:minor", where, of what kind, what of, its own options."""

    device: str
    point: str
    kind: str
    source: str
    options: str


def storage_below(tree: Tree, folder: str) -> Storage:
    """Return the device and kind of a folder's disk; "unknown" where it cannot be followed to one."""
    return _of_mount(tree, mounts(tree), folder, _DEEPEST)


def mounts(tree: Tree) -> list[Mount]:
    """Return what is mounted, in the order in which it was."""
    found = []
    for line in tree.lines(_MOUNTINFO, _MOST_BYTES):
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) >= 6 and len(right) >= 2:
            point, source = _unescaped(left[4]), _unescaped(right[1])
            found.append(Mount(left[2], point, right[0], source, right[2] if len(right) > 2 else ""))
    return found


def _of_mount(tree: Tree, mounted: list[Mount], folder: str, depth: int) -> Storage:
    mount = _holding(mounted, folder)
    if mount is None or depth == 0:
        return Storage()
    if mount.kind == "overlay":
        for place in (*_layers(mount.options), *_BESIDE):
            below = _holding(mounted, place)
            if below is not None and below.kind != "overlay":
                found = _of_mount(tree, mounted, place, depth - 1)
                if found.kind != "unknown":
                    return found
        return Storage("overlay")
    for link in (f"sys/dev/block/{mount.device}", f"sys/class/block/{mount.source.removeprefix('/dev/')}"):
        disk = tree.resolved(link) if ".." not in link else ""
        if disk:
            return _of_disk(tree, mounted, disk, depth)
    return Storage(mount.kind)


def _of_disk(tree: Tree, mounted: list[Mount], disk: str, depth: int) -> Storage:
    if tree.exists(f"{disk}/partition"):
        disk = disk.rpartition("/")[0]
    name = disk.rpartition("/")[2]
    parts = tree.names(f"{disk}/slaves")  # of a logical volume, an encrypted disk, a RAID
    backing = tree.text(f"{disk}/loop/backing_file", 4096)
    if depth and parts:
        below = tree.resolved(f"sys/class/block/{parts[0]}") or tree.resolved(f"{disk}/slaves/{parts[0]}")
        return _of_disk(tree, mounted, below, depth - 1) if below else Storage(name)
    if depth and backing.startswith("/"):
        return _of_mount(tree, mounted, backing, depth - 1)
    return Storage(name, _kind(tree, disk, name))


def _kind(tree: Tree, disk: str, name: str) -> StorageKind:
    if name.startswith("mmcblk"):
        card = tree.text(f"{disk}/device/type", 64) or tree.text(f"{disk.rpartition('/block/')[0]}/type", 64)
        kinds: dict[str, StorageKind] = {"SD": "sd", "MMC": "emmc"}
        return kinds.get(card, "unknown")
    if name.startswith("nvme"):
        return "nvme"
    if name.startswith(("vd", "xvd", "zram", "ram")) or "/virtio" in disk or _pretends(tree, disk):
        return "virtual"
    if "/usb" in disk:
        return "usb"
    if name.startswith(("sd", "hd")):
        turns: dict[str, StorageKind] = {"0": "ssd", "1": "hdd"}
        return turns.get(tree.text(f"{disk}/queue/rotational", 64), "unknown")
    return "unknown"


def _pretends(tree: Tree, disk: str) -> bool:
    maker = f"{tree.text(f'{disk}/device/vendor', 64)} {tree.text(f'{disk}/device/model', 64)}".lower()
    return any(word in maker for word in ("qemu", "vmware", "virtual", "vbox"))


def _holding(mounted: list[Mount], folder: str) -> Mount | None:
    """The mount that a folder is in: the longest above it; of several there the last, which hides the others."""
    found = None
    for mount in mounted:
        above = mount.point.rstrip("/") + "/"
        if f"{folder}/".startswith(above) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _layers(options: str) -> list[str]:
    """The folders that an overlay is made of; what is read lies in the lower ones, as a rule."""
    given = dict(option.partition("=")[::2] for option in options.split(","))
    return [folder for name in ("lowerdir", "upperdir") for folder in given.get(name, "").split(":") if folder]


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
