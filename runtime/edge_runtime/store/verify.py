"""Whether a store is as it was written: every entry, in its order, to its end, and every picture that is kept."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_runtime.store.chain import START, Anchor, Break, Link, breaks
from edge_runtime.store.entries import Event
from edge_runtime.store.head import read_head
from edge_runtime.store.reading import Reader

__all__ = ["Verified", "verify_log"]


@dataclass(frozen=True)
class Verified:
    """What a check found: how many entries and pictures there are, where the chain ends, what is wrong.

    `gone`: kept pictures whose files are not there. `ended`: it was written down how far the chain had come.
    """

    entries: int
    pictures: int
    head: Anchor
    breaks: tuple[Break, ...]
    gone: tuple[str, ...]
    ended: bool


def verify_log(reader: Reader, published: Anchor | None = None) -> Verified:
    """Check a store. `published`: an entry's number and hash as an output told them; the chain must still have it."""
    written = read_head(reader.folder.head)  # first: what is committed meanwhile only comes behind it
    with reader.snapshot():
        return _verified(reader, written, published)


def _verified(reader: Reader, written: Anchor | None, published: Anchor | None) -> Verified:
    start = reader.start()
    walk = _Walk(reader)
    found = list(breaks(walk.links(), written, start))
    found += walk.odd
    if published is not None and reader.hash_of(published.seq) != published.hash:
        found.append(Break(published.seq, f"entry {published.seq} is not the one that was published"))
    found += _counted(reader, walk, start.seq > 0)
    gone: list[str] = []
    found += _pictures(reader, walk.pictures, start.seq > 0, gone)
    found.sort(key=lambda one: one.seq)
    entries = max(walk.last.seq - start.seq, 0)
    return Verified(entries, len(walk.pictures), walk.last, tuple(found), tuple(gone), written is not None)


class _Walk:
    """Goes once through all entries, and remembers what is asked for afterwards."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.last = START
        self.odd: list[Break] = []
        self.pictures: dict[str, tuple[int, str]] = {}  # event id: the number of the picture's entry, its digest
        self.events: Counter[tuple[str, str]] = Counter()  # by station and verdict

    def links(self) -> Iterator[Link]:
        for link, columns in self._reader.links():
            self.last = Anchor(link.seq, link.hash)
            if not self._read(link, columns):
                self.odd.append(Break(link.seq, f"entry {link.seq} is found by other words than it holds"))
            yield link

    def _read(self, link: Link, columns: Sequence[str | None]) -> bool:
        try:
            body = json.loads(link.body)
            if link.kind != "event":
                if link.kind == "picture":
                    self.pictures[body["event_id"]] = (link.seq, body["sha256"])
                return not any(columns)
            event = Event.of(body)
        except (ValueError, KeyError, TypeError):
            return False
        self.events[event.station, event.verdict] += 1
        return tuple(columns) == (event.event_id, event.station, event.part, event.verdict)


def _counted(reader: Reader, walk: _Walk, trimmed: bool) -> Iterator[Break]:
    """What other tables know of entries that are not there: a chain alone does not tell that its end was cut off."""
    for (station, verdict), count in reader.counts().items():
        there = walk.events[station, verdict]
        if there > count or (there < count and not trimmed):
            what = f"{count} events of {station} were {verdict}, and {there} are there"
            yield Break(walk.last.seq, what)
    for queue in reader.outputs():
        if queue.sent > walk.last.seq:
            yield Break(walk.last.seq, f"{queue.name} was told of entry {queue.sent}, which is missing")


def _pictures(reader: Reader, chained: dict[str, tuple[int, str]], trimmed: bool, gone: list[str]) -> Iterator[Break]:
    """What is wrong with the pictures that are kept. (Those that the quota removed are no fault.)

    `trimmed`: entries were taken out, and a picture may have outlived its own. Files that are not there go to `gone`.
    """
    for kept in reader.pictures():
        seq, digest = chained.get(kept.event_id, (0, kept.digest if trimmed else ""))
        path = reader.folder.pictures / kept.place
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:  # removed a moment ago, or by hand: the next start notes it
            gone.append(kept.place)
            continue
        except OSError as error:
            yield Break(seq, f"picture {kept.place} cannot be read: {error.strerror}")
            continue
        if found != digest:
            yield Break(seq, f"picture {kept.place} was altered")
