"""The process that decodes a film and a camera is killed again and again."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.cli.sample import find_sample
from edge_tools.station.troubles.camera import Camera
from edge_tools.station.troubles.running import TOLD, Event, Found, Running, Truth, events_of, hold, stored

__all__ = ["decoder", "hold_film"]

_RECIPE = """\
store: store
stations:
  film: {{source: film.avi, bundle: {bundle}, outputs: [jsonl: {told}], pictures: {{ng: false, ok_every: 0}}}}
"""
_CAMERA = """\
  cam: {{source: '{url}', bundle: {bundle}, outputs: [jsonl: {told}], pictures: {{ng: false}}}}
"""
_MODULE = b"edge_runtime.inspect.reader.child"
_DIED = "died of SIGKILL"
_BETWEEN = 5  # pictures of the film from one kill to the next
_LENGTH = 60  # pictures of the film for each kill: a camera takes its time to come back


def decoder(folder: Path, times: int, encoder: str | None, truth: Truth) -> Found:
    """Kill it so many times; `encoder`: of the camera beside the film, None: there is none."""
    found = Found("decoder's process killed")
    sample = find_sample()
    boards = sorted(sample.images.glob("*.png"))
    film = _LENGTH * (times + 1)
    _write_film(folder / "film.avi", boards, film)
    with Camera(folder, encoder or "") as camera:
        if encoder is not None:
            camera.start(np.asarray(cv2.imread(str(boards[0])), np.uint8))
        recipe = _RECIPE + _CAMERA * (encoder is not None)
        text = recipe.format(url=camera.url, bundle=sample.bundle, told=TOLD)
        (folder / "station.yaml").write_text(text, encoding="utf-8")
        with Running(folder) as station:
            at = _Place(0, 0)
            for _ in range(times):
                station.until(functools.partial(_further, folder, at, film, encoder), "it decodes, since a kill")
                os.kill(station.until(lambda: _reader_of(station.pid), "it has a process that decodes"), signal.SIGKILL)
                found.times += 1
                if encoder is not None:
                    found.states = [station.until(lambda: station.shows(_DIED), "its state says so")]
                station.until(functools.partial(_have_told, folder, found.times, film, encoder), "it says that it died")
                at = _Place(stored(folder, "film"), stored(folder, "cam", "NG"))
            station.until(lambda: stored(folder, "film") >= film, "the film's end")
            code = station.stop() if encoder is not None else station.ended()
            if code != (143 if encoder is not None else 0):
                found.wrong.append(f"it ended with {code}: {station.said[-3:]}")
    hold(folder, found, "at the end")
    hold_film(events_of(folder, "film"), film, [truth[board.name] for board in boards], found)
    if encoder is not None:
        _hold_camera(events_of(folder, "cam"), truth[boards[0].name], found)
    return found


@dataclass(frozen=True)
class _Place:
    """Up to where things are judged: pictures of the film, and of the camera those that were seen."""

    film: int
    camera: int


def _have_told(folder: Path, kills: int, film: int, encoder: str | None) -> bool:
    """Whether film and camera have said of so many kills that there was one; a film that has ended says no more."""
    told = sum(_DIED in event["reasons"][0] for event in events_of(folder, "cam") if event["verdict"] == "NO_READ")
    ended = stored(folder, "film") >= film
    return (ended or stored(folder, "film", "NO_READ") >= kills) and (encoder is None or told >= kills)


def _further(folder: Path, last: _Place, film: int, encoder: str | None) -> bool:
    """Whether film and camera have gone on since `last`; a film that has ended does not."""
    goes_on = stored(folder, "film") >= min(last.film + _BETWEEN, film)
    return goes_on and (encoder is None or stored(folder, "cam", "NG") > last.camera)


def _write_film(path: Path, boards: Sequence[Path], count: int) -> None:
    """The boards again and again, each picture by itself: equal ones are equal to the last bit."""
    pictures = [np.asarray(cv2.imread(str(board)), np.uint8) for board in boards]
    height, width = pictures[0].shape[:2]
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (width, height))
    for number in range(count):
        film.write(pictures[number % len(pictures)])
    film.release()


def _reader_of(parent: int) -> int:
    """The process that decodes for a station; 0: there is none now."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            above = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if _MODULE in words and above == parent:
                return int(place.name)
    return 0


def hold_film(events: Sequence[Event], length: int, truth: Sequence[str], found: Found) -> None:
    """Each picture has one verdict, its own, or is one that a process died on."""
    times = Counter(int(event["frame_id"]) for event in events)
    found.wrong += [
        f"picture {number} of the film has {times[number]} verdicts" for number in times if times[number] > 1
    ]
    found.wrong += [f"picture {number} of the film has none" for number in range(length) if number not in times]
    died = [event for event in events if event["verdict"] == "NO_READ"]
    found.wrong += [f"a picture is NO_READ: {event['reasons']}" for event in died if _DIED not in event["reasons"][0]]
    if len(died) > found.times:
        found.wrong.append(f"{len(died)} pictures of the film were not seen, at {found.times} kills")
    for event in events:
        number = int(event["frame_id"])
        if event not in died and event["verdict"] != truth[number % len(truth)]:
            found.wrong.append(f"picture {number} of the film is {event['verdict']}: {event['reasons']}")


def _hold_camera(events: Sequence[Event], truth: str, found: Found) -> None:
    """What was seen is what it shows; each kill is told."""
    told = sum(_DIED in event["reasons"][0] for event in events if event["verdict"] == "NO_READ")
    if told < found.times:
        found.wrong.append(f"the camera told {told} times of a process that died, of {found.times}")
    found.wrong += [
        f"the camera is {event['verdict']}: {event['reasons']}"
        for event in events
        if event["verdict"] not in ("NO_READ", truth)
    ]
