"""Stations at work: verdicts go into the store, from there to the outputs, and at the end all is committed and told."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge_runtime.errors import EdgelineError, StoreError
from edge_runtime.files.schema import to_json
from edge_runtime.inspect.opening import Progress
from edge_runtime.inspect.record import utc_text
from edge_runtime.inspect.sources.base import now_utc
from edge_runtime.inspect.stop import Stop
from edge_runtime.outputs.feeding import Feeder
from edge_runtime.outputs.open import open_watchers, wanted_outputs
from edge_runtime.station.awaited import Awaited
from edge_runtime.station.board import Board, board_path
from edge_runtime.station.clock import Clock, boot_id, clock_synced, set_by
from edge_runtime.station.figures import Figures
from edge_runtime.station.groups import SettingsFor, health_of
from edge_runtime.station.recipe.load import Loaded
from edge_runtime.station.rules.held import written_down
from edge_runtime.station.service.notify import Notifier, Service
from edge_runtime.station.service.pulse import Pulse
from edge_runtime.station.service.supervise import Reloading, Supervision
from edge_runtime.station.sink import Shared
from edge_runtime.station.stored import StoreReaders, open_writer
from edge_runtime.station.unfit import health_to_json
from edge_runtime.station.updates.state import read_state
from edge_runtime.station.updates.versions import Versions
from edge_runtime.station.view.noted import view_to_json
from edge_runtime.station.work import Work
from edge_runtime.store.entries import Note
from edge_runtime.store.folder import Folder
from edge_runtime.store.pictures import PictureKeeper
from edge_runtime.store.reading import open_reader
from edge_runtime.store.shelf import Quota
from edge_runtime.store.writer import Writer

__all__ = ["run_stations"]

_LOST_S = 10.0  # a disk that takes nothing for so long at the end has lost what is in memory
_SOON_S = 0.3  # the same where others wait to go on
_TOLD_S = 5.0  # an output that takes nothing for so long at the end is left: its events wait in the store
_LOOK_S = 0.5
Say = Callable[[str], None]


def run_stations(
    loaded: Loaded,
    settings_for: SettingsFor,
    stop: Stop,
    progress: Progress,
    say: Say,
    service: Service | None = None,
    reloading: Reloading | None = None,
) -> None:
    """Run the stations of a recipe until their sources have ended, or `stop` says so; then all is committed and told.

    `say` is given what people should know, a line each. `reloading` says when the recipe is to be read anew. Raises
    StoreError, and what run_pipeline raises.
    """
    service = service or Service(Notifier({}), say)
    opening = functools.partial(Work, settings_for=settings_for, stop=stop, progress=progress, say=say)
    work, before, known = _first(loaded, opening), None, False
    while True:
        try:
            following = _stand(work, stop, say, service, reloading, opening, known)
        except EdgelineError as error:
            if not stop() and work.probation.failed(error):  # which says so: what ran before it takes its place
                work, before = opening(work.loaded.again()), None
                continue
            work.probation.end()
            if before is None or work.ready or stop():
                raise
            say(f"NOT RELOADED, the recipe of before goes on: {error}")
            work, before, known = opening(before), before, True
            continue
        work.probation.end()
        if following is None:
            return
        work, before, known = following, work.loaded, True


def _first(loaded: Loaded, opening: Callable[[Loaded], Work]) -> Work:
    """Open a recipe's stations; where a version on probation cannot be opened, with the one before."""
    try:
        return opening(loaded)
    except EdgelineError:
        if not loaded.moved:
            raise
        return opening(loaded.again())


def _stand(
    work: Work,
    stop: Stop,
    say: Say,
    service: Service,
    reloading: Reloading | None,
    opening: Callable[[Loaded], Work],
    known: bool,
) -> Work | None:
    """Let stations work until they end (None), or until others are to (which are returned).

    `known`: this process had the store a moment ago, and it is whole.
    """
    recipe, place = work.loaded.recipe, work.loaded.recipe.store.path
    outputs = [(name, station.outputs) for name, station in recipe.stations.items()]
    wanted = wanted_outputs(outputs)
    following: Work | None = None
    with contextlib.ExitStack() as cleanup:
        writer, sent = open_writer(recipe, wanted, stop, say, known)
        cleanup.callback(writer.close, _LOST_S)
        writer.put(Note("start", _facts(work.loaded)))
        keeper = PictureKeeper(Folder(place), Quota(recipe.store.pictures, recipe.store.pictures_a_day), writer, say)
        cleanup.callback(keeper.close)
        clock = Clock(functools.partial(_clock_stepped, writer, say))
        readers = StoreReaders(place, wanted, writer, keeper, sent, say, known)
        cleanup.callback(readers.close)
        readers.begin()
        board = Board(board_path(place), writer, keeper, readers.feeders, work.figures, clock)
        cleanup.callback(board.close)
        cleanup.enter_context(open_watchers(outputs, functools.partial(_shown, board, place)))
        readers.write_down(board.path)
        cleanup.callback(
            lambda: _drain(writer, keeper, readers.feeders, work.figures, say, _SOON_S if following else _TOLD_S)
        )
        awaited = {name: Awaited(writer.stored) for name in recipe.stations}
        pulse = Pulse()
        work.go(Shared(writer, keeper, clock, work.loaded.hider, awaited, pulse))

        def meanwhile() -> None:
            readers.begin()
            for facts in work.probation.look(work.figures, work.ready):
                writer.put(Note("update", facts))

        following = Supervision(work, writer, pulse, service, stop, say, meanwhile).watch(reloading, opening)
        # Films that have ended are in no hurry: until somebody says to end, the disk is waited for.
        while writer.drain(_LOOK_S) and writer.waiting.since is not None and not stop():
            pass
        readers.begin()
    return following


def _shown(board: Board, place: Path) -> dict[str, Any]:
    """What the board says, and how much waits in each output's queue."""
    state = board.to_json()
    with contextlib.suppress(StoreError, sqlite3.Error), contextlib.closing(open_reader(place)) as reader:
        stations = {queue.name: queue.stations for queue in reader.outputs()}
        for name, output in state["outputs"].items():
            output["waiting"] = reader.waiting(output["sent"], stations[name])
    return state


def _clock_stepped(writer: Writer, say: Say, seconds: float) -> None:
    """Write down where the times of events jump: their order is that of the entries."""
    say(f"the clock was set {set_by(seconds)}")
    writer.put(Note("clock stepped", {"seconds": round(seconds, 3), "boot": boot_id(), "synced": clock_synced()}))


def _facts(loaded: Loaded) -> dict[str, object]:
    """What a start writes into the log: who runs, what the clocks are worth, which bundle judges for whom."""
    stations = {
        name: {
            "source": str(station.source),
            "bundle": str(station.bundle),
            "rules": written_down(station.rules),
            "health": health_to_json(health_of(station)),
            **({"view": view_to_json(station.view)} if station.view else {}),
            **_last_update(station.bundle),
        }
        for name, station in loaded.recipe.stations.items()
    }
    facts = {"version": version("edgeline"), "boot": boot_id(), "clock_synced": clock_synced(), "stations": stations}
    return dict(loaded.hider.json({**facts, "ts_utc": utc_text(now_utc())}))


def _last_update(bundle: Path) -> dict[str, object]:
    """How the last update of a folder of versions ended; {} for a bundle of its own."""
    folder = Versions(bundle.parent.parent)
    if bundle.parent.name != "versions" or not folder.state.exists():
        return {}
    state = read_state(folder.state)
    last = {} if not state.endings else {"last": to_json(state.endings[-1])}
    return {"updates": {"on_probation": state.trial is not None, **last}}


def _drain(
    writer: Writer,
    keeper: PictureKeeper,
    feeders: Sequence[Feeder],
    figures: Mapping[str, Figures],
    say: Say,
    patience: float,
) -> None:
    """Commit what was judged, and tell it to whoever listens."""
    keeper.close()
    with contextlib.suppress(StoreError):  # a writer that has failed is told by its close
        writer.put(Note("stop", {"parts": {name: one.parts() for name, one in figures.items()}}))
    writer.drain(_TOLD_S)
    for feeder in feeders:
        if not feeder.drain(patience):
            say(f"{feeder.name}: not everything was told; what is left waits in the store for the next start")
    for name, one in figures.items():
        say(f"{name}: {one.line()}")
