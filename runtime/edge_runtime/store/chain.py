"""The chain of hashes: each entry's hash covers its own text and the hash of the one before it.

    hash = SHA-256 of "PREVIOUS\nSEQ KIND\nBODY" as UTF-8, in hex; before the first stands GENESIS.

BODY is the canonical JSON that is stored, so nothing is ever written anew to be checked. An entry that is changed,
taken out or put in breaks the chain at its place. Whoever rewrites everything after it has a whole chain with another
head: that is why the head is also kept in a file of its own (head.py), and published with each event.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_runtime.store.entries import Kind

__all__ = ["GENESIS", "START", "Anchor", "Break", "Link", "breaks", "canonical", "link_hash"]

GENESIS = "0" * 64


@dataclass(frozen=True)
class Anchor:
    """A place in the chain: the number of the last entry up to it (0: none yet) and its hash."""

    seq: int
    hash: str


START = Anchor(0, GENESIS)


@dataclass(frozen=True)
class Link:
    """An entry as it lies in the store."""

    seq: int
    kind: Kind
    body: str
    hash: str


@dataclass(frozen=True)
class Break:
    """Something that is not as it was written: at which entry, and what it is."""

    seq: int
    what: str


def canonical(value: Mapping[str, Any]) -> str:
    """Return JSON in the one form that is hashed: sorted keys, no spaces. NaN, unknown to JSON, is a ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def link_hash(previous: str, seq: int, kind: Kind, body: str) -> str:
    """Return the hash of an entry that stands behind the one with the hash `previous`."""
    return hashlib.sha256(f"{previous}\n{seq} {kind}\n{body}".encode()).hexdigest()


def breaks(links: Iterable[Link], head: Anchor | None = None, start: Anchor = START) -> Iterator[Break]:
    """Yield what is wrong with a chain behind `start`; `head` is where it must have come to, or passed.

    Each change is told once: what comes behind it is held against what stands there.
    """
    last = start
    reached = head is None or head == START
    for link in links:
        if link.seq != last.seq + 1:
            what = f"entries {last.seq + 1} to {link.seq - 1} are missing"
            yield Break(link.seq, what if link.seq > last.seq else f"entry {link.seq} stands behind entry {last.seq}")
        elif link.hash != link_hash(last.hash, link.seq, link.kind, link.body):
            yield Break(link.seq, f"entry {link.seq} was altered, or does not belong behind entry {last.seq}")
        last = Anchor(link.seq, link.hash)
        if head is not None and last.seq == head.seq:
            reached = True
            if last != head:
                yield Break(last.seq, f"entry {last.seq} is another than the one that was last written down elsewhere")
    if not reached and head is not None:
        yield Break(last.seq, f"entries {last.seq + 1} to {head.seq} are missing at the end")
