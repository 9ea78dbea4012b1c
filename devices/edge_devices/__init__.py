"""What this board is and what it can do (standard library only)."""

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
