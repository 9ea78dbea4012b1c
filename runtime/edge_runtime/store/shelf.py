"""Which pictures are kept: the pure policy. What it decides is carried out by pictures.py.

There is a quota of bytes, and one of bytes written a day, which is what an SD card lives by. What matters less makes
room for what matters more, the oldest first: OK, then NO_READ, WARN, NG. Of a day's writes OK may take half and NO_READ
three quarters, so that an NG late in the day is still kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_runtime.store.entries import PartVerdict

__all__ = ["LEAST_FIRST", "Admission", "Quota", "Shelved", "admit", "make_room", "sampled"]

LEAST_FIRST: tuple[PartVerdict, ...] = ("OK", "NO_READ", "WARN", "NG")
_OF_A_DAY: Mapping[PartVerdict, float] = {"OK": 0.5, "NO_READ": 0.75, "WARN": 0.9, "NG": 1.0}


@dataclass(frozen=True)
class Quota:
    """Bytes of all pictures together, and bytes of pictures written on one day (UTC)."""

    size: int
    day: int


@dataclass(frozen=True)
class Shelved:
    """A picture that is kept."""

    event_id: str
    size: int


@dataclass(frozen=True)
class Admission:
    """Whether a new picture is kept, and what is removed for it; `why` it is not, else ""."""

    why: str = ""
    remove: tuple[Shelved, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether it is."""
        return not self.why


Shelves = Mapping[PartVerdict, Iterable[Shelved]]  # of each verdict the pictures that are kept, oldest first


def sampled(count: int, every: int) -> bool:
    """Whether the Nth part that is OK (from 0) is one whose picture is kept: each `every`th from the first; 0: none."""
    return every > 0 and count % every == 0


def admit(verdict: PartVerdict, size: int, shelves: Shelves, total: int, written: int, quota: Quota) -> Admission:
    """Decide about a picture of `size` bytes; `total` bytes are kept, `written` of them today."""
    if written + size > quota.day * _OF_A_DAY[verdict]:
        return Admission("what may be written on one day is used up")
    least = LEAST_FIRST[: LEAST_FIRST.index(verdict) + 1]
    if size > quota.size:
        return Admission("it is larger than the quota")
    needed = total + size - quota.size
    found = make_room(needed, shelves, least)
    if sum(one.size for one in found) < needed:
        return Admission("the quota is full of what matters more")
    return Admission("", found)


def make_room(needed: int, shelves: Shelves, verdicts: tuple[PartVerdict, ...] = LEAST_FIRST) -> tuple[Shelved, ...]:
    """Return what is removed so that `needed` bytes are free, of these verdicts only; all, where it takes more."""
    found: list[Shelved] = []
    candidates = itertools.chain.from_iterable(shelves.get(verdict, ()) for verdict in verdicts)
    while needed > 0 and (one := next(candidates, None)) is not None:  # no more is looked at than has to be
        found.append(one)
        needed -= one.size
    return tuple(found)
