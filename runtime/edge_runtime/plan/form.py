"""The forms of a block. Apart from their measurements, which a start without a limit does not load."""

from __future__ import annotations

from typing import Literal

__all__ = ["Form"]

# How a block is held: its session and packed weights for good; a session whose weights lie in the arena only while
# they are needed; a session that is made before each use and dropped after it.
Form = Literal["resident", "streamed", "reloaded"]
