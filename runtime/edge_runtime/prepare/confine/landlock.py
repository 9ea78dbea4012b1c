"""Landlock: which files this process and what it starts may read and write from now on (Linux 5.13 and newer).

The kernel's documentation of landlock(7) gives the numbers. Rights that a kernel does not know yet are not asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["restrict_files"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _DEVICE = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE
_READ = _EXECUTE | _READ_FILE | _READ_DIR
# Of each version of the interface: all rights to files, all rights to connect.
_KNOWN = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 4: 1 << 15}
_NEWEST = 1 << 16
_TCP = 0b11  # to bind and to connect, from version 4 on
_O_PATH = getattr(os, "O_PATH", 0)


def restrict_files(read: Sequence[Path], write: Sequence[Path]) -> bool:
    """Let only what lies in (or is) these paths be read and run, and only the latter be written; TCP not at all.

    Paths that are not there are left out. Wants no_new_privileges() before. False where the kernel cannot.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    if version < 1:
        return False
    every = _KNOWN.get(version, _NEWEST) - 1
    held = struct.pack("=QQ", every, _TCP) if version > 3 else struct.pack("=Q", every)
    ruleset = libc.syscall(_CREATE, held, ctypes.c_size_t(len(held)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        rules = [(path, _READ & every) for path in read] + [(path, every) for path in write]
        for path, rights in rules:
            _allow(libc, ruleset, path, rights)
        return bool(libc.syscall(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    with contextlib.suppress(OSError):  # one that is not there needs no right
        descriptor = os.open(path, _O_PATH | os.O_CLOEXEC)
        try:
            if not path.is_dir():
                rights &= _OF_FILES
            rule = struct.pack("=Qi", rights, descriptor)
            libc.syscall(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
        finally:
            os.close(descriptor)
