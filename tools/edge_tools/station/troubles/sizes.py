"""A camera that is restarted with another size each time, and shows a bad and a good part by turns."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import UsageError
from edge_tools.station.troubles.camera import Camera
from edge_tools.station.troubles.running import TOLD, Event, Found, Running, events_of, hold

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Turn", "hold_turns", "sizes"]

_RECIPE = "{{store: store, stations: {{cam: {{source: '{url}', bundle: {bundle}, outputs: [jsonl: {told}]}}}}}}"
_STEP, _LEAST, _MOST = 8, 560, 720  # pixels of a side: what JPEG over RTP can send, about what the model is made for
_PARTS = {"NG": "board-00.png", "OK": "board-10.png"}  # which the sample's bundle is sure of in every size
_EACH = 3  # verdicts on pictures of each size
_OLD_S = 2.0  # after which a source that gives nothing is silent: later no picture may come of a camera that is dead


@dataclass(frozen=True)
class Turn:
    """One life of the camera: what it shows, and until when (time.monotonic)."""

    size: tuple[int, int]
    verdict: str
    until: float


def sizes(folder: Path, times: int, encoder: str) -> Found:
    """Restart it so many times; each verdict on a picture of a size is that of the part which that camera showed."""
    found = Found("camera restarted with another size")
    turns: list[Turn] = []
    with Camera(folder, encoder) as camera:
        recipe = _RECIPE.format(url=camera.url, bundle=find_sample().bundle, told=TOLD)
        (folder / "station.yaml").write_text(recipe, encoding="utf-8")
        with Running(folder) as station:
            for number, picture in enumerate(_shown(times + 1)):
                height, width = picture.shape[:2]
                camera.start(picture)
                station.until(functools.partial(_seen, folder, (width, height)), f"{width}x{height} is judged")
                known = len(events_of(folder, "cam"))
                camera.kill()
                turns.append(Turn((width, height), list(_PARTS)[number % 2], time.monotonic()))
                station.until(functools.partial(_lost, folder, known), f"{width}x{height} is gone")
                found.states = [station.until(lambda: station.shows("last NO_READ"), "its state says so")]
            found.times = times
            if (code := station.stop()) != 143:
                found.wrong.append(f"it ended with {code}: {station.said[-3:]}")
    hold(folder, found, "at the end")
    hold_turns(events_of(folder, "cam"), turns, found)
    return found


def _shown(count: int) -> Iterator[NDArray[np.uint8]]:
    """A bad part and a good one by turns, each in a size of its own."""
    parts = [cv2.imread(str(find_sample().images / name)) for name in _PARTS.values()]
    for number, size in enumerate(_sizes(count)):
        picture = cv2.resize(np.asarray(parts[number % 2]), size, interpolation=cv2.INTER_AREA)
        yield np.asarray(picture, np.uint8)


def _sizes(count: int) -> list[tuple[int, int]]:
    """So many sizes, no two the same."""
    sides = range(_LEAST, _MOST + 1, _STEP)
    every = [(width, height) for width in sides for height in sides]
    if count > len(every):
        raise UsageError(f"there are {len(every)} sizes, and {count} are asked for")
    return [every[number * 97 % len(every)] for number in range(count)]


def _size(event: Event) -> tuple[int, int] | None:
    picture = event.get("picture")
    return None if picture is None else (picture["width"], picture["height"])


def _seen(folder: Path, size: tuple[int, int]) -> bool:
    """Whether pictures of a size have been judged."""
    seen = [event for event in events_of(folder, "cam") if event["verdict"] != "NO_READ" and _size(event) == size]
    return len(seen) >= _EACH


def _lost(folder: Path, known: int) -> str:
    """What is said of a camera that is gone, in events behind the first `known`; "" where nothing is yet."""
    later = events_of(folder, "cam")[known:]
    return next((event["reasons"][0] for event in later if " lost" in " ".join(event["reasons"])), "")


def hold_turns(events: Sequence[Event], turns: Sequence[Turn], found: Found) -> None:
    """What was judged is what the camera of that size showed, while it showed it."""
    by_size = {turn.size: turn for turn in turns}
    for event in events:
        if event["verdict"] == "NO_READ":
            continue
        turn = by_size.get(_size(event) or (0, 0))
        if turn is None:
            found.wrong.append(f"a picture of {_size(event)} is {event['verdict']}, which no camera showed")
        elif event["verdict"] != turn.verdict:
            found.wrong.append(
                f"a picture of {_size(event)} is {event['verdict']}, it shows a part that is {turn.verdict}"
            )
        elif event["clock"]["taken_s"] > turn.until + _OLD_S:
            found.wrong.append(f"a picture of {_size(event)} came {event['clock']['taken_s'] - turn.until:.1f} s after")
