"""From a recipe to a service of this machine."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from edge_devices.interpreter import python_module
from edge_runtime.errors import OutputError, UsageError
from edge_runtime.files.atomic import write_text
from edge_runtime.inspect.sources.streams import is_camera
from edge_runtime.station.groups import source_text
from edge_runtime.station.recipe.load import Loaded
from edge_runtime.station.service.unit import Unit, unit_name, unit_text
from edge_runtime.station.updates.versions import versions_of

__all__ = ["UNITS", "install", "uninstall", "unit_for", "user_of"]

UNITS = Path("/etc/systemd/system")
_SHARE = "80%"  # of the machine's memory, where no limit was asked for
_GROUPS = ("video", "render", "gpio", "dialout")


def user_of(recipe: Path, asked: str | None) -> str:
    """Return whom a station runs as: who was asked for, who called sudo, or whose recipe it is. Raises UsageError."""
    name = asked or os.environ.get("SUDO_USER") or _owner(recipe)
    try:
        number = pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise UsageError(f"there is no user {name!r} here; adduser --system {name} makes one") from error
    if number == 0:
        raise UsageError(
            "a station does not run as root; name another user with --user "
            "(adduser --system --group edgeline makes one)"
        )
    return name


def unit_for(loaded: Loaded, user: str, memory_limit: int | None) -> Unit:
    """Return the unit of a recipe that has no mistakes."""
    file = loaded.file.absolute()
    command = [*_edge_run(), file.name]
    if memory_limit is not None:
        command += ["--memory-limit", f"{memory_limit}B"]
    return Unit(
        file,
        tuple(loaded.recipe.stations),
        command,
        user,
        tuple(sorted(_writes(loaded) | _keeps(user))),
        str(memory_limit or _SHARE),
        tuple(sorted(loaded.hider.names)),
        tuple(name for name in _GROUPS if _has_group(name)) if _opens_devices(loaded) else (),
        own_tmp=not any(map(_in_tmp, [file, Path(command[0]), *_writes(loaded), *_reads(loaded)])),
    )


def install(unit: Unit, folder: Path, start: bool) -> Path:
    """Write the unit file, and have systemd start it now and with the machine. Raises UsageError, OutputError.

    Folders that the station writes into are made, and are its user's.
    """
    name = unit_name(unit.recipe)
    target = folder / f"{name}.service"
    owner = pwd.getpwnam(unit.user)
    try:
        for path in unit.writes:
            for missing in reversed([parent for parent in (path, *path.parents) if not parent.exists()]):
                missing.mkdir()
                os.chown(missing, owner.pw_uid, owner.pw_gid)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
        write_text(target, unit_text(unit, name))
        target.chmod(0o644)
    except (OSError, OutputError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot write {target}: {why}; use sudo, or --print and write it elsewhere") from error
    if start:
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", f"{name}.service")
    return target


def uninstall(recipe: Path, folder: Path, stop: bool) -> Path:
    """End and forget a recipe's service; its store stays. Raises UsageError, OutputError."""
    target = folder / f"{unit_name(recipe)}.service"
    if not target.exists():
        raise UsageError(f"there is no {target}: this recipe is not installed")
    if stop:
        _systemctl("disable", "--now", target.name)
    try:
        target.unlink()
    except OSError as error:
        raise UsageError(f"cannot remove {target}: {error.strerror}; use sudo") from error
    if stop:
        _systemctl("daemon-reload")
    return target


def _systemctl(*words: str) -> None:
    program = shutil.which("systemctl")
    if program is None:
        raise OutputError("this machine has no systemctl; --print shows the unit")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        why = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise OutputError(f"systemctl {' '.join(words)}: {why}")


def _edge_run() -> Sequence[str]:
    """The command of this environment."""
    command = python_module("edge_runtime.cli.run")
    script = Path(command[0]).parent / "edge-run"
    return [str(script)] if script.exists() else command


def _writes(loaded: Loaded) -> set[Path]:
    """The folders that a station writes into."""
    found = {loaded.recipe.store.path.absolute()}
    for station in loaded.recipe.stations.values():
        for entry in station.outputs:
            for each in fields(entry):
                place = getattr(getattr(entry, each.name), "path", None)
                if isinstance(place, Path):
                    found.add(place.absolute().parent)
        if station.watch.done is not None:
            watched = station.source.reveal().removeprefix("watch:")
            found |= {station.watch.done.absolute(), loaded.file.absolute().parent / watched}
    links = (versions_of(link) for link in loaded.links.values())  # which a failed update is returned in
    return found | {versions.root.absolute() for versions in links if versions is not None}


def _keeps(user: str) -> set[Path]:
    """Where the newest versions of signed bundles are kept (bundle/trusted.py), for a user with a home of their own."""
    entry = pwd.getpwnam(user)
    home = Path(entry.pw_dir)
    return {home / ".local/state/edgeline"} if home.is_dir() and home.stat().st_uid == entry.pw_uid else set()


def _reads(loaded: Loaded) -> set[Path]:
    """What a station reads."""
    stations = loaded.recipe.stations.values()
    return {Path(source_text(each, loaded.file.absolute().parent)) for each in stations} | {
        each.bundle.absolute() for each in stations
    }


def _in_tmp(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in ("/tmp", "/var/tmp"))


def _opens_devices(loaded: Loaded) -> bool:
    stations = loaded.recipe.stations.values()
    return any(is_camera(station.source.reveal()) or "gpio" in repr(station).lower() for station in stations)


def _owner(recipe: Path) -> str:
    number = recipe.stat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
