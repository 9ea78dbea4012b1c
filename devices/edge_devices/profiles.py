"""The profiles there are: those that come with Edgeline, and a user's own, which win over a shipped one of their id."""

from __future__ import annotations

import dataclasses
import errno
import functools
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from edge_devices.ownership import strange_owner
from edge_devices.profile import Profile
from edge_devices.profile_toml import ProfileError, read_profile
from edge_devices.toml_table import close_to

__all__ = ["config_folder", "known_profiles", "profile_of"]

_LOG = logging.getLogger(__name__)
_SHIPPED = Path(__file__).parent


def config_folder() -> Path:
    """Return the folder of a user's settings: $XDG_CONFIG_HOME/edgeline, ~/.config/edgeline without that.

    A user without a home (a service in a container) has /etc/edgeline.
    """
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if base.is_absolute():  # the XDG specification: a relative path is to be ignored
        return base / "edgeline"
    try:
        return Path.home() / ".config/edgeline"
    except RuntimeError:
        return Path("/etc/edgeline")


def known_profiles(config: Path | None = None) -> Mapping[str, Profile]:
    """Return all profiles by id, in the order of their ids; `config` None: `config_folder()`.

    A user's own are `*.toml` in its folder `devices`. Raises ProfileError for one of them that cannot be used: what
    somebody wrote down must not be passed over in silence.
    """
    folder = (config_folder() if config is None else config) / "devices"
    profiles = {**_shipped(), **{profile.id: profile for profile in _own(folder)}}
    return {identity: profiles[identity] for identity in sorted(profiles)}


def profile_of(identity: str, config: Path | None = None) -> Profile:
    """Return one profile. Raises ProfileError for an id that nobody has, with those that are near it."""
    profiles = known_profiles(config)
    if identity not in profiles:
        folder = (config_folder() if config is None else config) / "devices"
        near = close_to(identity.strip().lower().replace(" ", "-").replace("_", "-"), list(profiles))
        raise ProfileError(
            f"there is no device profile {identity!a}{near}; `edge-bench --devices` lists them, your own go into "
            f"{folder}"
        )
    return profiles[identity]


@functools.cache
def _shipped() -> Mapping[str, Profile]:
    return MappingProxyType({path.stem: read_profile(path) for path in sorted(_SHIPPED.glob("*.toml"))})


def _own(folder: Path) -> list[Profile]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml" and not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if not _is_reachable(folder):  # a home that is another user's holds nothing of ours
            _LOG.warning("%s may not be looked into: there are no device profiles of your own", folder)
            return []
        raise ProfileError(
            f"{folder}: your own device profiles cannot be listed: {error.strerror or error}; check the folder's rights"
        ) from error
    return [dataclasses.replace(read_profile(path), file=str(path)) for path in paths if not _distrusted(path, folder)]


def _distrusted(path: Path, folder: Path) -> bool:
    """Whether another user may have written a profile, which is then said and not read."""
    try:
        strange = strange_owner(folder) or strange_owner(path)
    except OSError:  # which reading it is to tell
        return False
    if strange:
        _LOG.warning("the device profile %s is not used: %s", path.name, strange)
    return bool(strange)


def _is_reachable(folder: Path) -> bool:
    try:
        folder.stat()
    except OSError as error:
        return error.errno != errno.EACCES
    return True
