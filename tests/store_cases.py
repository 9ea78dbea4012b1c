"""Events and opened stores for tests."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.store.entries import Event, PartVerdict
from edge_runtime.store.folder import Folder
from edge_runtime.store.opening import OpenedStore, open_store
from edge_runtime.store.reading import Reader, open_reader

__all__ = ["event", "opened", "reading"]


def event(number: int = 0, verdict: PartVerdict = "OK", station: str = "belt", part: str | None = None) -> Event:
    """An event whose id sorts by its number."""
    event_id = str(uuid.UUID(int=(1 << 80) * (1_700_000_000_000 + number) | 7 << 76 | 2 << 62 | number))
    body = {"event_id": event_id, "station": station, "verdict": verdict, "part": part, "reasons": [], "n": number}
    return Event.of(body)


@contextlib.contextmanager
def opened(folder: Path, notices: list[str] | None = None) -> Iterator[OpenedStore]:
    """A store that is closed again."""
    store = open_store(folder, ([] if notices is None else notices).append)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def reading(folder: Path | Folder) -> Iterator[Reader]:
    """A reader that is closed again."""
    reader = open_reader(folder.root if isinstance(folder, Folder) else folder)
    with contextlib.closing(reader):
        yield reader
