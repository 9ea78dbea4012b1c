"""What this board is and what it can do (standard library only)."""

from edge_devices.cpu import usable_cores

__all__ = ["usable_cores"]
