"""How large a stream's pictures may be: within a memory limit, about as large as its first, for which was planned."""

from __future__ import annotations

from edge_runtime.files.sizes import format_size

__all__ = ["SizeLimit"]

_ANY = 2 << 20  # bytes that any picture may take


class SizeLimit:
    """Follows the pictures of one source. `most_pixels` as in DecoderSettings."""

    def __init__(self, most_pixels: int | None) -> None:
        self._most = most_pixels and max(most_pixels, _ANY // 3)

    @property
    def most(self) -> int:
        """Pixels, 0: no limit (yet)."""
        return self._most or 0

    def see(self, height: int, width: int) -> str | None:
        """Return why a picture is too large, or None; the first one says how large they may be."""
        if self._most == 0:
            self._most = max(height * width, _ANY // 3)
        if not self._most or height * width <= self._most:
            return None
        takes, planned = format_size(3 * height * width), format_size(3 * self._most)
        return (
            f"{width}x{height} pixels take {takes}, within the memory limit {planned} were planned for a picture, by "
            "the source's first; raise --memory-limit"
        )
