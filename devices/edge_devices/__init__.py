"""What this board is and what it can do (standard library only)."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_devices.bandwidth import read_speed
    from edge_devices.cores import usable_cores
    from edge_devices.cpu import processor_name, saturates_int8, wants_signed
    from edge_devices.detection import Detection, choose, detect
    from edge_devices.isa import cannot_run, doubt, imports_safely, installed_onnxruntime, this_processor
    from edge_devices.machine import Core, Machine, Storage, Trip, Zone
    from edge_devices.memory import available_memory
    from edge_devices.probe import look
    from edge_devices.profile import Cluster, Match, Prior, Profile, ProviderChoice
    from edge_devices.profile_toml import ProfileError
    from edge_devices.profiles import config_folder, known_profiles, profile_of

__all__ = [
    "Cluster",
    "Core",
    "Detection",
    "Machine",
    "Match",
    "Prior",
    "Profile",
    "ProfileError",
    "ProviderChoice",
    "Storage",
    "Trip",
    "Zone",
    "available_memory",
    "cannot_run",
    "choose",
    "config_folder",
    "detect",
    "doubt",
    "imports_safely",
    "installed_onnxruntime",
    "known_profiles",
    "look",
    "processor_name",
    "profile_of",
    "read_speed",
    "saturates_int8",
    "this_processor",
    "usable_cores",
    "wants_signed",
]

_PLACES = {
    "Cluster": "edge_devices.profile",
    "Core": "edge_devices.machine",
    "Detection": "edge_devices.detection",
    "Machine": "edge_devices.machine",
    "Match": "edge_devices.profile",
    "Prior": "edge_devices.profile",
    "Profile": "edge_devices.profile",
    "ProfileError": "edge_devices.profile_toml",
    "ProviderChoice": "edge_devices.profile",
    "Storage": "edge_devices.machine",
    "Trip": "edge_devices.machine",
    "Zone": "edge_devices.machine",
    "available_memory": "edge_devices.memory",
    "cannot_run": "edge_devices.isa",
    "choose": "edge_devices.detection",
    "config_folder": "edge_devices.profiles",
    "detect": "edge_devices.detection",
    "doubt": "edge_devices.isa",
    "imports_safely": "edge_devices.isa",
    "installed_onnxruntime": "edge_devices.isa",
    "known_profiles": "edge_devices.profiles",
    "look": "edge_devices.probe",
    "processor_name": "edge_devices.cpu",
    "profile_of": "edge_devices.profiles",
    "read_speed": "edge_devices.bandwidth",
    "saturates_int8": "edge_devices.cpu",
    "this_processor": "edge_devices.isa",
    "usable_cores": "edge_devices.cores",
    "wants_signed": "edge_devices.cpu",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: a command needs few of them at its start."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
