"""What a recipe names, looked for before anything runs: what is wrong is told with the line that it stands in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import DependencyError, EdgelineError, UsageError
from edge_runtime.inspect.health.limits import read_limits
from edge_runtime.inspect.sources.open import SOURCES, looks_live, open_source
from edge_runtime.inspect.suffixes import WATCHED
from edge_runtime.outputs.gpio import open_gpio_wires
from edge_runtime.outputs.modbus import open_modbus_wires
from edge_runtime.outputs.shaking_settings import GpioLines, ModbusLink
from edge_runtime.station.groups import source_text
from edge_runtime.station.network import network_mistakes
from edge_runtime.station.parts.part_id import part_names
from edge_runtime.station.recipe.load import Loaded
from edge_runtime.station.recipe.mistakes import Mistake
from edge_runtime.station.recipe.recipe import Station
from edge_runtime.station.rules.against import outside
from edge_runtime.station.rules.held import rule_mistakes
from edge_runtime.station.triggers.presence import empty_pictures
from edge_runtime.station.view.check import view_mistakes
from edge_runtime.station.view.proof import read_proof

__all__ = ["look_for"]


def look_for(loaded: Loaded) -> list[Mistake]:
    """Return all that is wrong with a recipe: how it is written, and what it names and is not there.

    Cameras and streams are not asked: they may come later.
    """
    return sorted([*loaded.mistakes, *(found for found in _mistakes(loaded) if not _follows(found, loaded))])


def _follows(found: Mistake, loaded: Loaded) -> bool:
    """Whether something is wrong for the only reason that a key could not be read, which was told already."""
    station = ".".join(found.where.split(".")[:2])
    if found.where == f"{station}.gate" and any(key.startswith(f"{station}.") for key in loaded.unread):
        return True  # it was proved for all of the others
    return any(found.where == key or found.where.startswith((f"{key}.", f"{key}[")) for key in loaded.unread)


def _mistakes(loaded: Loaded) -> Iterator[Mistake]:
    recipe, folder = loaded.recipe, loaded.file.absolute().parent
    if why := _cannot_write(recipe.store.path):
        yield loaded.mistake("store", why)
    yield from rule_mistakes(loaded)
    yield from network_mistakes(loaded)
    for name, station in recipe.stations.items():
        place = f"stations.{name}"
        facts = None
        try:
            bundle = read_bundle(station.bundle, check_hashes=False)
            facts = bundle.manifest
        except (EdgelineError, OSError) as error:
            yield loaded.mistake(f"{place}.bundle", loaded.hider.text(str(error)))
        text = source_text(station, folder)
        why, size = _first_look(text, str(station.source))
        if why:
            yield loaded.mistake(f"{place}.source", loaded.hider.text(why))
        if size is not None:
            for key, why in outside(station.rules, size[1], size[0]):
                yield loaded.mistake(f"{place}.rules.{key}", why)
        if station.view:
            for key, why in view_mistakes(station.view, facts, text):
                yield loaded.mistake(f"{place}.{key}", why)
        if text.startswith(WATCHED):
            yield from _watched(loaded, place, station, Path(text.removeprefix(WATCHED)))
        if station.gate is not None and facts is not None:
            try:
                read_proof(bundle.sha256, station.view, station.gate)
            except UsageError as error:
                yield loaded.mistake(f"{place}.gate", str(error))
        if station.health is not None:
            try:
                read_limits(station.health)
            except (EdgelineError, OSError) as error:
                yield loaded.mistake(f"{place}.health", str(error))
        if station.part_id is not None:
            if station.part_id.name is not None and looks_live(text) and not text.startswith(WATCHED):
                yield loaded.mistake(f"{place}.part_id.name", f"{station.source} gives pictures that are no files")
            try:
                part_names(station.part_id)
            except UsageError as error:
                yield loaded.mistake(f"{place}.part_id", str(error))
        if station.trigger is not None and station.trigger.presence is not None:
            try:
                empty_pictures(station.trigger.presence.empty)
            except UsageError as error:
                yield loaded.mistake(f"{place}.trigger.presence", str(error))
        trigger = station.trigger
        if trigger is not None and (why := _cannot_shake(trigger.modbus, trigger.gpio)):
            yield loaded.mistake(f"{place}.trigger", why)
        for number, entry in enumerate(station.outputs):
            if (first := station.outputs.index(entry)) < number and f"{place}.outputs[{number}]" not in loaded.unread:
                yield loaded.mistake(f"{place}.outputs[{number}]", f"outputs[{first}] is the same; leave one out")
            if why := _cannot_shake(entry.modbus, entry.gpio):
                yield loaded.mistake(f"{place}.outputs[{number}]", why)
            if entry.jsonl is not None and (why := _cannot_write(entry.jsonl.path)):
                yield loaded.mistake(f"{place}.outputs[{number}]", why)


def _first_look(text: str, shown: str) -> tuple[str, tuple[int, int] | None]:
    """Why a source can never give a picture ("": it may), and of files the first picture's height and width."""
    try:
        if not any(row.is_one(text) for row in SOURCES):
            return f"no such file, folder or pattern: {shown}", None
        if not looks_live(text) and "://" not in text:
            with contextlib.closing(open_source(text)) as source:
                for frame in source:
                    return "", None if frame.image is None else (frame.image.shape[0], frame.image.shape[1])
    except ValueError as error:
        return f"{shown} is no address: {error}", None
    except EdgelineError as error:
        return str(error), None
    return "", None


def _watched(loaded: Loaded, place: str, station: Station, folder: Path) -> Iterator[Mistake]:
    if not folder.is_dir():
        yield loaded.mistake(f"{place}.source", f"there is no folder {folder} to watch")
    done = station.watch.done
    if done is None:
        return
    if why := _cannot_write(done):
        yield loaded.mistake(f"{place}.watch.done", why)
    elif folder.is_dir() and done.absolute() == folder.absolute():
        yield loaded.mistake(f"{place}.watch.done", "judged files would be dropped into the watched folder again")
    elif folder.is_dir() and not os.access(folder, os.W_OK):
        yield loaded.mistake(f"{place}.watch.done", f"files cannot be moved out of {folder} by this user")


def _cannot_shake(link: ModbusLink | None, lines: GpioLines | None) -> str:
    """Why there can be no handshake with a controller, whether it is there or not; "" where there can."""
    try:
        if link is not None:
            open_modbus_wires(link)
        if lines is not None:
            open_gpio_wires(lines)
    except DependencyError as error:
        return str(error)
    return ""


def _cannot_write(path: Path) -> str:
    """Why nothing can be written to a file or into a folder that may not be there yet, "" where it can."""
    there = next((parent for parent in (path, *path.parents) if parent.exists()), path)
    if there != path and not there.is_dir():
        return f"{there} is a file, and should be a folder"
    return "" if os.access(there, os.W_OK) else f"{there} cannot be written by this user"
