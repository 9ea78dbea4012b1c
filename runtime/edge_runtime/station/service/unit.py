"""The systemd unit of a station: what it may do, what it may write, and when it is started anew. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Unit", "unit_name", "unit_text"]

WATCHDOG_S = 60  # longer than station/service/pulse.py waits


@dataclass(frozen=True)
class Unit:
    """`writes`: the folders that a station writes into. `memory`: as systemd takes it, bytes or a share.

    `secrets`: the variables that the recipe takes from the environment. `groups`: those of the devices it opens.
    `own_tmp`: nothing that it needs lies in /tmp.
    """

    recipe: Path
    stations: Sequence[str]
    command: Sequence[str]
    user: str
    writes: Sequence[Path]
    memory: str
    secrets: Sequence[str] = ()
    groups: Sequence[str] = ()
    own_tmp: bool = True


def unit_name(recipe: Path) -> str:
    """Return the name of a recipe's service, without .service."""
    stem = recipe.stem if recipe.stem != "station" else recipe.absolute().parent.name
    return "edgeline-" + (re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "station")


def unit_text(unit: Unit, name: str) -> str:
    """Return the unit file."""
    return "\n".join(_lines(unit, name)) + "\n"


def _lines(unit: Unit, name: str) -> Iterator[str]:
    yield "# Written by edge-station install; edge-station uninstall removes it."
    yield "[Unit]"
    yield f"Description=Edgeline station: {_plain(', '.join(unit.stations))}"
    yield "Wants=network-online.target"
    yield "After=network-online.target time-sync.target"
    yield "StartLimitIntervalSec=0"
    yield ""
    yield "[Service]"
    yield "Type=notify"
    yield "NotifyAccess=main"
    yield f"User={unit.user}"
    if unit.groups:
        yield f"SupplementaryGroups={' '.join(unit.groups)}"
    yield f"WorkingDirectory={_path(unit.recipe.parent)}"
    yield f"ExecStart={' '.join(map(_word, unit.command))}"
    yield "ExecReload=/bin/kill -HUP $MAINPID"
    if unit.secrets:
        yield f"# {', '.join(unit.secrets)}: a line NAME=VALUE each; owned by root, mode 600."
        yield f"EnvironmentFile=/etc/edgeline/{name}.env"
    yield f"Environment=XDG_CACHE_HOME=/var/cache/{name} PYTHONUNBUFFERED=1"
    yield f"CacheDirectory={name}"
    yield f"RuntimeDirectory={name}"
    yield "# Drained and committed at SIGTERM (143). A mistake in the recipe (2) is not mended by another start."
    yield "SuccessExitStatus=143"
    yield "RestartPreventExitStatus=2"
    yield "Restart=on-failure"
    yield "RestartSec=2"
    yield "TimeoutStartSec=30min"
    yield "TimeoutStopSec=60"
    yield "# Told while verdicts go on, or would if a part came."
    yield f"WatchdogSec={WATCHDOG_S}"
    yield "LimitCORE=0"
    yield f"MemoryMax={unit.memory}"
    yield "MemorySwapMax=0"
    yield ""
    yield "NoNewPrivileges=yes"
    yield "CapabilityBoundingSet="
    yield "ProtectSystem=strict"
    yield f"ReadWritePaths={' '.join(map(_path, unit.writes))}"
    yield "ProtectHome=read-only"
    yield f"PrivateTmp={'yes' if unit.own_tmp else 'no'}"
    # (ProtectClock= would take the devices away, cameras with them.)
    for what in ("KernelTunables", "KernelModules", "KernelLogs", "ControlGroups", "Hostname"):
        yield f"Protect{what}=yes"
    yield "RestrictSUIDSGID=yes"
    yield "RestrictRealtime=yes"
    yield "RestrictNamespaces=yes"
    yield "LockPersonality=yes"
    yield "SystemCallArchitectures=native"
    yield "UMask=0027"
    yield ""
    yield "[Install]"
    yield "WantedBy=multi-user.target"


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _path(path: Path) -> str:
    return _quoted(str(path)) if re.search(r"[\s\"'\\]", str(path)) else _plain(str(path))


def _word(word: str) -> str:
    word = word.replace("$", "$$")
    return _quoted(word) if re.search(r"[\s\"'\\;]", word) or not word else _plain(word)


def _quoted(text: str) -> str:
    return '"' + _plain(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'
