"""What this board is and what it can do (standard library only)."""

from edge_devices.cpu import processor_name, saturates_int8, usable_cores
from edge_devices.memory import available_memory

__all__ = ["available_memory", "processor_name", "saturates_int8", "usable_cores"]
