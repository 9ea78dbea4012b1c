"""The manifest's own hash: every other file's is in the manifest, and the manifest's is in its last line.

The digest is the SHA-256 of the file's bytes with the 64 digits of the digest itself read as zeros.
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["UNSEALED", "seal", "sealed"]

UNSEALED = "0" * 64
_DIGEST = re.compile(rb'"digest"\s*:\s*"([0-9a-f]{64})"')


def seal(payload: bytes) -> bytes:
    """Return a manifest's bytes with its digest filled in; the payload holds `"digest": UNSEALED` once."""
    found = _places(payload)
    if len(found) != 1:
        raise ValueError(f"expected one digest in the manifest, found {len(found)}")
    return payload[: found[0]] + _digest(payload, found[0]) + payload[found[0] + 64 :]


def sealed(payload: bytes) -> bool:
    """Tell whether the bytes are those that were sealed."""
    found = _places(payload)
    return len(found) == 1 and payload[found[0] : found[0] + 64] == _digest(payload, found[0])


def _places(payload: bytes) -> list[int]:
    return [match.start(1) for match in _DIGEST.finditer(payload)]


def _digest(payload: bytes, place: int) -> bytes:
    blank = payload[:place] + UNSEALED.encode() + payload[place + 64 :]
    return hashlib.sha256(blank).hexdigest().encode()
