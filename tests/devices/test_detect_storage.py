"""The disk below a folder, on small trees: mounts, partitions, overlays, loops, logical volumes."""

import os

import pytest

from edge_devices.storage import mounts, storage_below
from edge_devices.tree import Tree

SD = "sys/devices/platform/mmc/mmc0:1/block/mmcblk0"
CARD = {f"{SD}/mmcblk0p2/partition": "2", "sys/devices/platform/mmc/mmc0:1/type": "SD"}
CARD_LINK = {"sys/dev/block/179:2": f"../../../{SD}/mmcblk0p2"}


@pytest.fixture
def tree(tmp_path):
    def write(files, links=()):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        for name, target in dict(links).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).symlink_to(target)
        return Tree(tmp_path)

    return write


def line(device, point, kind="ext4", source="/dev/x", options="rw"):
    return f"1 1 {device} / {point} rw,relatime shared:1 - {kind} {source} {options}\n"


@pytest.mark.parametrize(
    ("path", "files", "device", "kind"),
    [
        ("platform/mmc/mmc0:1/block/mmcblk0", {"../../type": "SD"}, "mmcblk0", "sd"),
        ("platform/mmc/mmc0:1/block/mmcblk0", {"../../type": "MMC"}, "mmcblk0", "emmc"),
        ("platform/mmc/mmc0:1/block/mmcblk0", {}, "mmcblk0", "unknown"),
        ("pci0/nvme/nvme0/nvme0n1", {}, "nvme0n1", "nvme"),
        ("pci0/ata1/block/sda", {"queue/rotational": "0"}, "sda", "ssd"),
        ("pci0/ata1/block/sda", {"queue/rotational": "1"}, "sda", "hdd"),
        ("pci0/usb2/2-1/block/sda", {"queue/rotational": "1"}, "sda", "usb"),
        ("pci0/virtio1/block/vda", {}, "vda", "virtual"),
        ("pci0/ata1/block/sda", {"device/vendor": "ATA", "device/model": "QEMU HARDDISK"}, "sda", "virtual"),
        ("virtual/block/zram0", {}, "zram0", "virtual"),
        ("platform/mtd/mtdblock0", {}, "mtdblock0", "unknown"),
    ],
)
def test_a_disk_is_known_by_its_device(tree, path, files, device, kind):
    found = {f"sys/devices/{path}/size": "1", "proc/self/mountinfo": line("8:1", "/")}
    found |= {os.path.normpath(f"sys/devices/{path}/{name}"): text for name, text in files.items()}
    storage = storage_below(tree(found, {"sys/dev/block/8:1": f"../../devices/{path}"}), "/home/pi")
    assert (storage.device, storage.kind) == (device, kind)


def test_the_longest_mount_above_a_folder_counts_and_of_two_there_the_last(tree):
    points = {"8:1": "/", "8:2": "/data", "179:2": "/data", "8:3": "/data/more", "8:4": "/dat"}
    text = "".join(line(device, point) for device, point in points.items())
    found = tree({"proc/self/mountinfo": text, **CARD}, CARD_LINK)
    assert storage_below(found, "/data/models").kind == "sd"
    assert storage_below(found, "/data").kind == "sd"
    assert storage_below(found, "/database").kind == "unknown"


@pytest.mark.parametrize(("kind", "source"), [("tmpfs", "tmpfs"), ("nfs4", "server:/share"), ("9p", "../../etc")])
def test_a_mount_that_is_no_disk_is_unknown(tree, kind, source):
    storage = storage_below(tree({"proc/self/mountinfo": line("0:40", "/", kind, source)}), "/")
    assert (storage.device, storage.kind) == (kind, "unknown")


def test_a_mount_with_a_device_of_its_own_is_found_by_its_source(tree):
    """btrfs: its major number is 0."""
    files = {
        "proc/self/mountinfo": line("0:30", "/", "btrfs", "/dev/nvme0n1p3"),
        "sys/devices/n/nvme0n1/nvme0n1p3/partition": "3",
    }
    found = tree(files, {"sys/class/block/nvme0n1p3": "../../devices/n/nvme0n1/nvme0n1p3"})
    assert storage_below(found, "/").kind == "nvme"


def test_an_overlay_is_followed_to_the_disk_of_its_layers(tree):
    """Raspberry Pi OS with its overlay file system: the card is mounted read-only below it."""
    text = line("0:30", "/", "overlay", "overlay", "rw,lowerdir=/media/root-ro,upperdir=/media/rw/up,workdir=/w")
    text += line("0:31", "/media/rw", "tmpfs", "tmpfs") + line("179:2", "/media/root-ro")
    found = tree({"proc/self/mountinfo": text, **CARD}, CARD_LINK)
    assert storage_below(found, "/home/pi").kind == "sd"
    assert storage_below(found, "/media/rw").device == "tmpfs"


def test_an_overlay_that_leads_nowhere_is_unknown(tree):
    text = line("0:30", "/", "overlay", "overlay", "rw,lowerdir=/var/a,upperdir=/var/b")
    assert storage_below(tree({"proc/self/mountinfo": text}), "/").kind == "unknown"


def test_a_file_that_is_mounted_is_on_the_disk_of_its_file(tree):
    text = line("179:2", "/") + line("7:0", "/models", "squashfs", "/dev/loop0")
    files = {
        "proc/self/mountinfo": text,
        "sys/devices/virtual/block/loop0/loop/backing_file": "/srv/models.img",
        **CARD,
    }
    links = {**CARD_LINK, "sys/dev/block/7:0": "../../devices/virtual/block/loop0"}
    assert storage_below(tree(files, links), "/models").kind == "sd"


def test_a_loop_device_on_itself_ends(tree):
    files = {"proc/self/mountinfo": line("7:0", "/"), "sys/devices/loop0/loop/backing_file": "/img"}
    assert storage_below(tree(files, {"sys/dev/block/7:0": "../../devices/loop0"}), "/").kind == "unknown"


def test_a_mount_point_with_a_space_is_read(tree):
    assert mounts(tree({"proc/self/mountinfo": line("8:1", "/media/my\\040disk")}))[0].point == "/media/my disk"
