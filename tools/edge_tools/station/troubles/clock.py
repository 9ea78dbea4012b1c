"""A wall clock that is set back an hour and ahead a day while parts come."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
from pathlib import Path

from edge_runtime.cli.sample import find_sample
from edge_runtime.store.reading import open_reader
from edge_tools.station.troubles.running import FOLDER, TOLD, Dropping, Found, Running, Truth, events_of, hold, stored
from edge_tools.station.troubles.shim import Shim

__all__ = ["clock"]

_RECIPE = """\
store: store
stations:
  table: {{source: "watch:{folder}", watch: {{settle: 0s}}, bundle: {bundle}, outputs: [jsonl: {told}]}}
"""
_HOUR, _DAY = 3600, 86400
_STEPS = (-_HOUR, _DAY)
_CLOSE_S = 2.0  # to which a step is known: the clock goes on meanwhile
_MOST_LAG_MS = 60_000.0  # far more than a busy machine needs, far less than a step


def clock(folder: Path, times: int, truth: Truth) -> Found:
    """Set it back an hour and ahead a day, so many times in all."""
    found, dropping = Found("wall clock set back an hour and ahead a day"), Dropping(folder)
    (folder / "station.yaml").write_text(
        _RECIPE.format(folder=FOLDER, bundle=find_sample().bundle, told=TOLD), encoding="utf-8"
    )
    shim, ahead = Shim(folder, folder / "nothing"), 0
    with Running(folder, shim.environment) as station:
        dropping.drop()
        station.until(lambda: stored(folder), "the first verdict")
        for number in range(1, times + 1):
            ahead += _STEPS[number % 2 - 1]
            shim.set_clock(ahead)
            words = f"the clock was set {number} time"
            found.states.append(station.until(functools.partial(station.shows, words), words, dropping.flow))
            found.times += 1
        station.until(lambda: stored(folder) >= dropping.count, "all is stored")
        if (code := station.stop()) != 143:
            found.wrong.append(f"it ended with {code}: {station.said[-3:]}")
        said = station.has_said("the clock was set")
    hold(folder, found, "at the end")
    events = events_of(folder, "table")
    dropping.hold(events, truth, found)
    steps = _noted(folder)
    expected = [_STEPS[number % 2] for number in range(times)]
    if (
        said != times
        or len(steps) != times
        or any(abs(step - real) > _CLOSE_S for step, real in zip(steps, expected, strict=True))
    ):
        found.wrong.append(f"{said} steps were said, and {steps} noted, of {expected}")
    for before, event in itertools.pairwise(events):
        if event["clock"]["judged_s"] < before["clock"]["judged_s"]:
            found.wrong.append(f"{event['event_id']} was judged before the one before it")
    found.wrong += [
        f"{event['event_id']} has a lag of {event['lag_ms']} ms"
        for event in events
        if not 0.0 <= event["lag_ms"] < _MOST_LAG_MS
    ]
    return found


def _noted(folder: Path) -> list[float]:
    """The steps that are written down in the log, in order."""
    with contextlib.closing(open_reader(folder / "store")) as reader:
        notes = [json.loads(link.body) for link in reader.notes()]
    return [note["seconds"] for note in reversed(notes) if note["what"] == "clock stepped"]
