"""How much memory this process may still take: the system's, and its cgroup's."""

from __future__ import annotations

from pathlib import Path

__all__ = ["available_memory"]

_UNLIMITED = 1 << 60  # cgroup v1 writes "no limit" as a number near 2**63
_DIGITS = 19


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that can be taken before something else has to go; None where the system does not tell.

    The smaller of MemAvailable and what the memory cgroup's limit leaves beside the pages that its processes own; page
    cache gives way. `root` is the root of the tree that /proc and /sys are read from, so that recorded trees can be
    given.
    """
    found = [size for size in (_system(root), _cgroup(root)) if size is not None]
    return max(min(found), 0) if found else None


def _system(root: Path) -> int | None:
    fields = _fields(root / "proc/meminfo", ":")
    return None if "MemAvailable" not in fields else fields["MemAvailable"] << 10


def _cgroup(root: Path) -> int | None:
    """The least room that a group leaves: a limit holds for all groups within."""
    rooms = []
    for folder, limit_name, owned in _groups(root):
        limit = _number(folder / limit_name)
        if limit is not None and limit < _UNLIMITED:
            stat = _fields(folder / "memory.stat", " ")
            rooms.append(limit - sum(stat.get(name, 0) for name in owned))
    return min(rooms, default=None)


def _groups(root: Path) -> list[tuple[Path, str, tuple[str, ...]]]:
    """This process's memory groups, innermost first, with their limit's file and memory.stat's names of owned pages.

    In a container /proc/self/cgroup may name a path of the host that is not there: then the mount itself is the group.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    groups = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            groups += _chain(root / "sys/fs/cgroup", path, "memory.max", ("anon", "shmem", "kernel"))
        elif "memory" in controllers.split(","):
            groups += _chain(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes", ("total_rss", "total_shmem"))
    return groups


def _chain(mount: Path, path: str, limit: str, owned: tuple[str, ...]) -> list[tuple[Path, str, tuple[str, ...]]]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    folders = [mount.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]
    return [(folder, limit, owned) for folder in folders]


def _fields(path: Path, separator: str) -> dict[str, int]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, value = line.partition(separator)
        number = _integer(value.split()[0]) if value.split() else None
        if number is not None:
            found[name] = number
    return found


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return _integer(text)


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
