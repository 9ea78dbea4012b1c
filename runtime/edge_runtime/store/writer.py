"""The one thread that writes: what comes is committed in groups, and what cannot be committed waits in memory, loudly.

Nobody hears of an event before it is committed: outputs read it from the database.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_runtime.errors import EdgelineError, StoreError
from edge_runtime.store.chain import START, Anchor
from edge_runtime.store.entries import Batch, Entry
from edge_runtime.store.head import write_head
from edge_runtime.store.opening import DiskError, OpenedStore

__all__ = ["Waiting", "Writer"]

_GROUP_S = 0.02  # an event waits so long for others to be committed with it; 0.1 s is promised for all of it
_SENT_S = 1.0  # how far outputs have sent is written with the next events, or after so long
_HEAD_S = 30.0
_LOOK_S = 0.5  # how often whoever waits for room looks whether it should end
_RETRY_S = (0.1, 5.0)  # the first wait after a failure, doubled up to the last
_MOST_WAITING = 20_000  # entries in memory; beyond that whoever brings more waits


@dataclass(frozen=True)
class Waiting:
    """What is not committed yet: entries, since when commits fail (time.monotonic; None: they do not) and why."""

    entries: int
    since: float | None
    why: str


class Writer:
    """Commits what many threads bring, in the order in which they brought it."""

    def __init__(
        self,
        store: OpenedStore | Callable[[], OpenedStore],
        notice: Callable[[str], None],
        most_waiting: int = _MOST_WAITING,
        stop: Callable[[], bool] = lambda: False,
        most_bytes: int = 1 << 62,
    ) -> None:
        """`notice` is told when commits begin to fail, and when they succeed again. The store is closed by `close`.

        A `store` that is still to be opened, since its disk takes nothing yet (DiskError), is tried again like commits.
        `stop` true: whoever waits for room in memory is turned away. `most_bytes` of entries are kept, the newest.
        """
        self._opening = store if callable(store) else None
        self._store = None if callable(store) else store
        self._notice, self._most, self._stop = notice, most_waiting, stop
        self._most_bytes = most_bytes
        lock = threading.Lock()
        # Who waits for a commit is not woken by each entry: a thread that wakes for nothing costs a verdict's while.
        self._come, self._changed = threading.Condition(lock), threading.Condition(lock)
        self._entries: list[Entry] = []
        self._removed: list[str] = []
        self._sent: dict[str, int] = {}
        self._in_hand = 0  # entries that the thread is about to commit
        self._taken = self._done = 0  # entries that were brought, and of those that were committed
        self._first = 0.0  # when the first of the entries came
        self._head = START if self._store is None else self._store.ledger.head
        self._head_written, self._last_head = START, float("-inf")
        self._failing: tuple[float, str] | None = None
        self._broken: BaseException | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="edgeline-store", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> int:
        """Take an entry; waits while too many do. Returns its ticket (see `stored`).

        Raises StoreError once the writer has ended, or is to end.
        """
        with self._changed:
            while len(self._entries) >= self._most and self._broken is None and not self._closing:
                if self._stop():
                    raise StoreError(f"the store takes no more: {len(self._entries)} records wait in memory already")
                self._changed.wait(_LOOK_S)
            self._check()
            if not self._entries:
                self._first = time.monotonic()
                self._come.notify()  # what comes after it is found with it
            self._entries.append(entry)
            self._taken += 1
            return self._taken

    def stored(self, ticket: int, timeout: float) -> bool:
        """Wait, at most so long, until the entry of that ticket is on the disk."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= ticket or self._closing, timeout)
            return self._done >= ticket

    def sent(self, output: str, seq: int) -> None:
        """Note up to which entry an output has sent."""
        with self._changed:
            self._sent[output] = max(seq, self._sent.get(output, 0))

    def removed(self, event_id: str) -> None:
        """Note that an event's picture was removed."""
        with self._changed:
            self._removed.append(event_id)

    def write_down(self, board: str) -> None:
        """Leave word in the lock in which file this process says how it goes, if the disk takes it."""
        if self._store is not None:
            with contextlib.suppress(OSError):
                self._store.lock.write_down(board)

    @property
    def open(self) -> bool:
        """Whether the store is: before, there is nothing that could be read."""
        return self._store is not None

    @property
    def head(self) -> Anchor:
        """Up to where the chain is on the disk."""
        with self._changed:
            return self._head

    def committed(self, after: int, timeout: float) -> int:
        """Wait until entries behind `after` are on the disk, at most so long, and return the last that is."""
        with self._changed:
            self._changed.wait_for(lambda: self._head.seq > after or self._closing, timeout)
            return self._head.seq

    @property
    def waiting(self) -> Waiting:
        """What is not committed, and why."""
        with self._changed:
            since, why = self._failing or (None, "")
            return Waiting(len(self._entries) + self._in_hand, since, why)

    def drain(self, patience: float) -> int:
        """Wait until everything is committed, or nothing more has been for `patience` seconds; returns what is left."""
        with self._changed:
            while left := len(self._entries) + self._in_hand:
                before = self._head
                self._changed.wait_for(functools.partial(self._moved, before), patience)
                if self._head == before:
                    return left
            return 0

    def _moved(self, before: Anchor) -> bool:
        return self._head != before or self._broken is not None

    def close(self, patience: float = 10.0) -> None:
        """Commit what is left and close the store; again does nothing. Raises StoreError when records are lost."""
        left = self.drain(patience)
        with self._changed:
            self._closing = True
            self._come.notify()
            self._changed.notify_all()
        self._thread.join()
        if self._store is not None:
            self._store.close()
        lost, self._entries = len(self._entries) + self._in_hand if left else 0, []
        self._in_hand = 0
        if lost:
            why = (self._failing or (0.0, str(self._broken)))[1]
            raise StoreError(f"{lost} records could not be written and are lost: {why}; free some space")

    def _check(self) -> None:
        if self._broken is not None:
            raise StoreError(f"the store's writer has failed: {self._broken}") from self._broken
        if self._closing:
            raise StoreError("the store is closed")

    def _work(self) -> None:
        try:
            while (batch := self._next()) is not None and (store := self._commit(batch)) is not None:
                if (trimming := store.ledger.trimming(self._most_bytes)) is not None:
                    self._commit(trimming)
                self._write_head(store, _HEAD_S)
            if self._store is not None:
                self._write_head(self._store, 0.0)
        except BaseException as error:  # noqa: BLE001  # told to whoever brings the next entry
            with self._changed:
                self._broken, self._failing = error, None  # nothing is tried any more
                self._changed.notify_all()

    def _next(self) -> Batch | None:
        """Wait for something to commit, and for what comes soon after; None: nothing is there, nothing will come."""
        with self._changed:
            while not self._closing:
                if self._entries:
                    left = self._first + _GROUP_S - time.monotonic()
                    if left <= 0:
                        break
                    self._come.wait(left)
                elif not self._come.wait(_SENT_S) and (self._sent or self._removed):
                    break
            batch = Batch(tuple(self._entries), dict(self._sent), tuple(self._removed))
            self._in_hand = len(self._entries)
            self._entries, self._sent, self._removed = [], {}, []
            if self._in_hand >= self._most:  # somebody may wait for room
                self._changed.notify_all()
            return batch if batch or not self._closing else None

    def _commit(self, batch: Batch) -> OpenedStore | None:
        """Commit a batch, again and again until it is; None: the writer was closed meanwhile, and it stays in hand."""
        wait, most = _RETRY_S
        while True:
            try:
                store = self._opened()
                head = store.ledger.append(batch)
            except (sqlite3.OperationalError, OSError, DiskError) as error:
                if not self._failed(error, wait):
                    return None
                wait = min(2 * wait, most)
            else:
                break
        with self._changed:
            failing, self._failing = self._failing, None
            waited = self._in_hand + len(self._entries)
            self._done += self._in_hand
            self._head, self._in_hand = head, 0
            self._changed.notify_all()
        if failing is not None:
            self._notice(f"verdicts are stored again, {waited} that waited in memory among them")
        return store

    def _opened(self) -> OpenedStore:
        """Return the store, which is opened now where it was not. Raises DiskError, and what else `opening` does."""
        if self._store is None:
            if self._opening is None:
                raise StoreError("the store is closed")
            self._store = self._opening()
        return self._store

    def _failed(self, error: Exception, wait: float) -> bool:
        """Say that commits fail, and wait; False: the writer is to end."""
        why = " ".join(str(error).split())
        first = self._failing is None
        with self._changed:
            self._failing = (time.monotonic() if self._failing is None else self._failing[0], why)
        if first:
            self._notice(f"VERDICTS ARE NOT STORED, they wait in memory and are not published: {why}")
        with self._changed:
            return not self._changed.wait_for(lambda: self._closing, wait)

    def _write_head(self, store: OpenedStore, every: float) -> None:
        """Write down where the chain is, at most every so many seconds: a hint for later, that need not succeed."""
        head, now = store.ledger.head, time.monotonic()
        if head == self._head_written or now - self._last_head < every:
            return
        with contextlib.suppress(EdgelineError):
            write_head(store.folder.head, head)
            self._head_written = head
        self._last_head = now
