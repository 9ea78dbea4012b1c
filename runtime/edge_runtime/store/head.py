"""How far the chain had come, written down beside the database: entries that vanish at its end are missed."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edge_runtime.files.atomic import write_text
from edge_runtime.store.chain import Anchor

__all__ = ["read_head", "write_head"]

_HASH = re.compile(r"[0-9a-f]{64}")


def read_head(path: Path) -> Anchor | None:
    """Return what was written down last; None: nothing was, or a power cut left no JSON."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        seq, digest = found["seq"], found["hash"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = isinstance(seq, int) and seq >= 0 and isinstance(digest, str) and _HASH.fullmatch(digest) is not None
    return Anchor(seq, digest) if known else None


def write_head(path: Path, head: Anchor) -> None:
    """Write it down, whole or not at all; only what was committed may be. Raises OutputError."""
    write_text(path, json.dumps({"seq": head.seq, "hash": head.hash}) + "\n")
