"""The keys that this device trusts, and the newest version of each model that it has run.

    /etc/edgeline/trusted.d/*.pem                          keys for everyone on the device
    $XDG_CONFIG_HOME/edgeline/trusted.d/*.pem              a user's own
    $XDG_STATE_HOME/edgeline/versions.json                 {"MODEL": VERSION}

Any key of these folders counts, so that a new one can be installed before the old one is taken away.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from edge_devices.ownership import is_ours
from edge_devices.profiles import config_folder
from edge_runtime.bundle.keys import PublicKey, public_from_pem
from edge_runtime.errors import OutputError, TrustError
from edge_runtime.files.atomic import write_text

__all__ = [
    "SYSTEM_STORE",
    "let_run_again",
    "newest_version",
    "note_version",
    "trusted_keys",
    "user_store",
    "versions_file",
]

SYSTEM_STORE = Path("/etc/edgeline/trusted.d")
_SUFFIX, _MOST_KEYS, _MOST_BYTES, _MOST_STATE = ".pem", 64, 16 << 10, 4 << 20
_CURE = "chown it to yourself or root, chmod go-w it"
_LOG = logging.getLogger(__name__)


def user_store() -> Path:
    """The folder of a user's own trusted keys."""
    return config_folder() / "trusted.d"


def trusted_keys() -> Mapping[str, PublicKey]:
    """Return the trusted keys by id. Raises TrustError for a store that cannot be relied on.

    A key that cannot be read, or that another user could have put there, must not be passed over in silence: who
    installed it counts on it.
    """
    found: dict[str, PublicKey] = {}
    for folder in dict.fromkeys((SYSTEM_STORE, user_store())):
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX)
            owned = is_ours(folder.stat())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise TrustError(f"cannot look into the trusted keys in {folder}: {error.strerror}") from error
        if not owned:
            raise TrustError(f"others can write into {folder}, where trusted keys lie: {_CURE}")
        if len(paths) > _MOST_KEYS:
            raise TrustError(f"{folder} holds {len(paths)} keys, at most {_MOST_KEYS} are read; take away the old ones")
        for path in paths:
            key = _read(path)
            found[key.id] = key
    return found


def _read(path: Path) -> PublicKey:
    try:
        if not is_ours(path.stat()):
            raise TrustError(f"others can write the trusted key {path}: {_CURE}")
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES).decode("ascii")
        return public_from_pem(text, path.name.removesuffix(_SUFFIX).removesuffix(".pub"))
    except OSError as error:
        raise TrustError(f"cannot read the trusted key {path}: {error.strerror}") from error
    except ValueError as error:
        raise TrustError(f"{path} is no trusted key ({error}); install what edge-sign keygen wrote") from error


def versions_file() -> Path | None:
    """Where the newest versions are kept; None for a user without a home."""
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".local/state") / "edgeline" / "versions.json"
    except RuntimeError:
        return None


def newest_version(model: str) -> int:
    """The newest version of a model that ran here; -1 for none. Raises TrustError for a file that is damaged."""
    path = versions_file()
    return -1 if path is None else _versions(path).get(model, -1)


def note_version(model: str, version: int) -> None:
    """Keep that this version ran, where it is newer. A device that cannot keep it says so in the log."""
    if newest_version(model) < version:
        _keep(model, version, lower=False)


def let_run_again(model: str, version: int) -> None:
    """Forget that versions newer than this one ran: somebody who may decides to go back."""
    if newest_version(model) > version:
        _keep(model, version, lower=True)


def _keep(model: str, version: int, lower: bool) -> None:
    path = versions_file()
    if path is None:
        _LOG.warning("no home to keep the version of %r in: an older bundle would not be noticed", model)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (path.parent / "versions.lock").open("w") as lock:  # two that note at once must not undo each other
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = dict(_versions(path))
            held[model] = version if lower else max(version, held.get(model, -1))
            write_text(path, json.dumps(held, indent=1, sort_keys=True) + "\n")
    except (OSError, OutputError) as error:
        _LOG.warning("cannot keep the version of %r (%s): an older bundle would not be noticed", model, error)


def _versions(path: Path) -> Mapping[str, int]:
    try:
        status = path.stat()
        if not is_ours(status) or not is_ours(path.parent.stat()) or status.st_size > _MOST_STATE:
            raise TrustError(f"others can write {path}, which tells the newest versions: {_CURE}")
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise TrustError(f"cannot read {path}, which tells the newest versions: {error.strerror}") from error
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict) and all(type(value) is int for value in data.values()):
        return data
    raise TrustError(f"{path}, which tells the newest versions, is damaged; delete it if you know what runs here")
