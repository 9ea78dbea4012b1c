"""Whether what lies in a folder can have been put there by another user: nothing of that is used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["is_ours", "strange_owner"]


def is_ours(status: os.stat_result) -> bool:
    """Whether a file or folder is ours or root's, and can be written by nobody else.

    By the group only where it is the user's own, as on systems that give everyone one.
    """
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH:
        return False
    return not status.st_mode & stat.S_IWGRP or status.st_gid == status.st_uid


def strange_owner(path: Path) -> str:
    """Say why a file or folder is not to be relied on: it is another user's, or others can write it; "" if it may be.

    Raises OSError.
    """
    status = path.stat()
    if is_ours(status):
        return ""
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user (uid {status.st_uid})"
    if stat.S_ISDIR(status.st_mode):
        return f"others can write into {path}: chmod go-w it"
    return f"others can write {path}: chmod go-w it"
