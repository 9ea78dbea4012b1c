"""How a station goes, as its store and its board tell it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_runtime.cli.options import RECIPES
from edge_runtime.cli.station_run import recipe_of
from edge_runtime.errors import StoreError
from edge_runtime.files.sizes import format_size
from edge_runtime.station.board import board_unlocked, read_board
from edge_runtime.station.clock import set_by
from edge_runtime.station.recipe.load import read_what_is_right
from edge_runtime.store.entries import VERDICTS
from edge_runtime.store.folder import holder_of
from edge_runtime.store.reading import store_reader

__all__ = ["status_json", "status_lines", "store_of"]


def store_of(place: Path) -> Path:
    """Return the store that a recipe or its own folder names. Raises UsageError for a recipe that does not say it.

    Other mistakes of a recipe are none here: who looks at a store has not all of a service's secrets.
    """
    if not place.name.lower().endswith(RECIPES):
        return place
    loaded = read_what_is_right(place)
    if "store" in loaded.unread:
        recipe_of(place)  # which tells why, and raises
    store = loaded.recipe.store.path
    if not store.exists():
        raise StoreError(f"{place} has not run yet: its store {store} is not there; start it with edge-run {place}")
    return store


def status_json(store: Path) -> dict[str, Any]:
    """Return what is known of a store and of the process that writes it. Raises StoreError."""
    with store_reader(store) as reader:
        holder = holder_of(reader.folder)
        if holder is None:
            board = board_unlocked(store)
            running = None if board is None else int(board["pid"])
        else:
            board = None if holder.board is None else read_board(holder.board)
            running = holder.pid
        stored: dict[str, dict[str, int]] = {}
        for (station, verdict), count in sorted(reader.counts().items()):
            stored.setdefault(station, {})[verdict] = count
        return {
            "store": str(store),
            "running": running,
            "stored": stored,
            "entries": reader.head().seq,
            "queues": {queue.name: reader.waiting(queue.sent, queue.stations) for queue in reader.outputs()},
            "now": board,
        }


def status_lines(found: dict[str, Any]) -> list[str]:
    """Return it as lines for people."""
    now = found["now"]
    running = "not running" if found["running"] is None else f"running, process {found['running']}"
    lines = [f"{found['store']}: {running}; {found['entries']} entries"]
    if now is not None:
        degrees = now["temperature_c"]
        heat = "" if degrees is None else f", {degrees:.0f} degrees C"
        lines.append(f"since {now['started']}; memory {format_size(now['memory'])}{heat}")
        if now["store"]["failing_s"] is not None:
            count, why = now["store"]["waiting"], now["store"]["why"]
            lines.append(
                f"VERDICTS ARE NOT STORED for {now['store']['failing_s']:.0f} s, {count} wait in memory: {why}"
            )
        clock = now.get("clock", {"stepped": 0})  # none: it runs since before an update
        if times := clock["stepped"]:
            lines.append(f"the clock was set {times} time{'s' * (times > 1)}, last {set_by(clock['by'])}")
        if now["store"]["pictures_left_out"]:
            lines.append(
                f"{now['store']['pictures_left_out']} pictures were left out: no time, no room, or no writes left"
            )
    names = {*found["stored"], *(now["stations"] if now else ())}
    width = max((len(name) for name in names), default=0)
    for name in sorted(names):
        counts = found["stored"].get(name, {})
        parts = "  ".join(f"{verdict} {counts[verdict]}" for verdict in VERDICTS if verdict in counts) or "nothing yet"
        lines.append(f"  {name:<{width}}  {parts}{_of_late(now, name)}")
    for name, waiting in found["queues"].items():
        refused = now["outputs"].get(name, {}).get("refused", "") if now else ""
        lines.append(f"  {name}: {waiting} wait{'s' * (waiting == 1)} to be told" + f": {refused}" * bool(refused))
    return lines


def _of_late(now: dict[str, Any] | None, name: str) -> str:
    figures = None if now is None else now["stations"].get(name)
    if figures is None or figures["last"] is None:
        return ""
    lag = figures["lag_ms"]
    last = f"{figures['last']['verdict']} at {figures['last']['ts']}"
    if reasons := figures["last"].get("reasons"):
        last += f": {reasons[0]}"
    return f"   {figures['rate']:.1f}/s, lag p50 {lag['p50']:.0f} p95 {lag['p95']:.0f} ms, last {last}"
