"""A run's store: what writes it, and what reads it as soon as it is open, which a disk may keep waiting."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge_runtime.inspect.stop import Stop
from edge_runtime.outputs.feeding import Feeder
from edge_runtime.outputs.open import Wanted
from edge_runtime.station.recipe.recipe import Recipe
from edge_runtime.store.opening import DiskError, OpenedStore, open_store
from edge_runtime.store.pictures import PictureKeeper
from edge_runtime.store.reading import open_reader
from edge_runtime.store.writer import Writer

__all__ = ["StoreReaders", "open_writer"]

Say = Callable[[str], None]


def open_writer(
    recipe: Recipe, wanted: Sequence[Wanted], stop: Stop, say: Say, known: bool
) -> tuple[Writer, Mapping[str, int]]:
    """Return the store's writer, and up to which entry each output has sent, once the store is open.

    Where its disk takes nothing the stations work all the same: it is opened as soon as that has passed. Raises what
    `open_store` raises.
    """
    sent: dict[str, int] = {}
    opening = functools.partial(_opened, recipe.store.path, wanted, say, known, sent)
    store: OpenedStore | Callable[[], OpenedStore] = opening
    with contextlib.suppress(DiskError, sqlite3.OperationalError):  # the writer tries again, and says why
        store = opening()
    return Writer(store, say, stop=stop, most_bytes=recipe.store.records), sent


def _opened(place: Path, wanted: Sequence[Wanted], say: Say, known: bool, sent: dict[str, int]) -> OpenedStore:
    """Open the store, and have it know the outputs before anything is written that they are to tell."""
    store = open_store(place, say, known)
    try:
        sent.update({output.name: store.ledger.register(output.name, output.stations) for output in wanted})
    except BaseException:
        store.close()
        raise
    return store


class StoreReaders:
    """The keeper of pictures and the outputs, which read the store."""

    def __init__(
        self,
        place: Path,
        wanted: Sequence[Wanted],
        writer: Writer,
        keeper: PictureKeeper,
        sent: Mapping[str, int],
        say: Say,
        known: bool,
    ) -> None:
        """`sent`: see open_writer. `known`: see open_store."""
        self._place, self._wanted, self._sent, self._known = place, wanted, sent, known
        self._writer, self._keeper, self._say = writer, keeper, say
        self._board: Path | None = None
        self._begun = False
        self._cleanup = contextlib.ExitStack()
        self.feeders: list[Feeder] = []

    def begin(self) -> None:
        """Begin if the store is open and they have not. Raises OutputError for an output that can never be told."""
        if self._begun or not self._writer.open:
            return
        self._begun = True
        self._keeper.start(open_reader(self._place), self._known)
        for output in self._wanted:
            told, reader = output.open(), open_reader(self._place)
            feeder = Feeder(output, told, reader, self._writer, self._sent[output.name], self._say)
            self._cleanup.callback(feeder.close)
            self.feeders.append(feeder)
        if self._board is not None:
            self._writer.write_down(str(self._board))

    def write_down(self, board: Path) -> None:
        """Leave word in the store in which file this process says how it goes."""
        self._board = board
        self._writer.write_down(str(board))

    def close(self) -> None:
        """End the outputs, the last first."""
        self._cleanup.close()
