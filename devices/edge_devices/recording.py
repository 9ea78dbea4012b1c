r"""A board's tree as one text file: what the probes read of a machine, to be sent with a bug report and kept as a test.

    # lines about where this is from
    == proc/cpuinfo
    the file's lines
    == sys/dev/block/179:2 -> ../../devices/platform/...

NUL is written as \0, other bytes that are no plain text as \xNN, a backslash as \\. A backslash at the end of the last
line says that the file has no newline there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from edge_devices.storage import storage_below
from edge_devices.tree import Tree

__all__ = ["pack", "parse", "record", "unpack"]

_HEAD = "== "
_ARROW = " -> "
_MOST_FILES = 20_000
_ESCAPED = re.compile(r"\\(?:x([0-9a-f]{2})|0|\\)")
_PLAIN = frozenset(b"\t") | frozenset(range(0x20, 0x7F)) - frozenset(b"\\")
# What says who the user is and the probes do not want: serial numbers, other people's servers.
_SECRET_LINES = re.compile(rb"^(Serial[ \t]*:).*$", re.MULTILINE)
_STATUS_LINES = re.compile(rb"^Cpus_allowed_list:.*$", re.MULTILINE)
_FOREIGN = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "sshfs")


def record(tree: Tree) -> str:
    """Return what was read of a tree so far as text, without serial numbers and network mounts."""
    tree.data("proc/self/status")  # this process's affinity, which is asked of the scheduler here
    storage_below(tree, "/")  # the disk that is meant when somebody looks at the recording
    files = {path: _discreet(path, data) for path, data in tree.read.items() if path != "proc/self/auxv"}
    return pack(files, tree.links)


def pack(files: Mapping[str, bytes], links: Mapping[str, str]) -> str:
    """Return files (path below the root -> bytes) and links (path -> target) as the text of a tree."""
    parts = [f"{_HEAD}{path}\n{_encoded(files[path])}" for path in sorted(files)]
    return "".join(parts + [f"{_HEAD}{path}{_ARROW}{links[path]}\n" for path in sorted(links)])


def parse(text: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the files and links of a tree's text. Raises ValueError for one that has too many."""
    files: dict[str, list[str]] = {}
    links: dict[str, str] = {}
    lines: list[str] = []  # what comes before the first file is about where the tree is from
    for line in text.splitlines(keepends=True):
        if not line.startswith(_HEAD):
            lines.append(line)
            continue
        path, arrow, target = line.removeprefix(_HEAD).rstrip("\r\n").partition(_ARROW)
        lines = []
        if arrow:
            links[path] = target
        else:
            files[path] = lines
    if len(files) + len(links) > _MOST_FILES:
        raise ValueError(f"a tree of at most {_MOST_FILES} files was expected, {len(files) + len(links)} found")
    return {path: _decoded("".join(content)) for path, content in files.items()}, links


def unpack(text: str, folder: Path) -> None:
    """Write a tree's files and links below a folder. Raises ValueError for a path that leads out of it, and OSError."""
    files, links = parse(text)
    base = folder.resolve()
    for path, data in files.items():
        place = _below(base, base / path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    for path, target in links.items():  # after the files, so that none is written through a link
        place = _below(base, base / path)
        _below(base, place.parent / target)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def _below(base: Path, place: Path) -> Path:
    plain = Path(os.path.abspath(place))  # noqa: PTH100
    if base not in plain.parents:
        raise ValueError(f"{str(place)!r} leads out of the tree")
    return plain


def _encoded(data: bytes) -> str:
    if not data:
        return ""
    escapes = {ord("\n"): "\n", 0: "\\0", ord("\\"): "\\\\"}
    text = "".join(chr(byte) if byte in _PLAIN else escapes.get(byte, f"\\x{byte:02x}") for byte in data)
    text = re.sub("^== ", r"\\x3d= ", text, flags=re.MULTILINE)
    return text if text.endswith("\n") else f"{text}\\\n"


def _decoded(text: str) -> bytes:
    def byte(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else {"\\0": "\0", "\\\\": "\\"}[found[0]]

    ends = re.search(r"(?<!\\)(?:\\\\)*\\\n\Z", text)
    return _ESCAPED.sub(byte, text[:-2] if ends else text).encode("latin-1", "replace")


def _discreet(path: str, data: bytes) -> bytes:
    if path == "proc/cpuinfo":
        return _SECRET_LINES.sub(rb"\1 0", data)
    if path == "proc/self/status":
        return b"\n".join(_STATUS_LINES.findall(data)) + b"\n"
    if path == "proc/self/mountinfo":
        kept = [line for line in data.splitlines(keepends=True) if not _is_foreign(line)]
        return b"".join(kept)
    return data


def _is_foreign(line: bytes) -> bool:
    kind = line.partition(b" - ")[2].split(b" ")[0].decode("latin-1")
    return kind.startswith(_FOREIGN)
