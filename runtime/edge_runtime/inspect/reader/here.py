"""What opens decoders, and the one that does it in this very process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge_runtime.inspect.reader.decoder import Decoder, DecoderSettings

__all__ = ["HERE", "InProcess", "Reader"]


class Reader(Protocol):
    """Opens decoders."""

    def open(self, settings: DecoderSettings) -> Decoder:
        """Open a video, stream or camera. Raises SourceError, in words that follow a colon."""
        ...

    def close(self) -> None:
        """End what is open."""
        ...


class InProcess:
    """A reader in this very process: for tests, and for systems without what the other one needs."""

    def open(self, settings: DecoderSettings) -> Decoder:
        """Open the decoder."""
        from edge_runtime.inspect.reader.decoders import open_decoder  # which runs on pictures do without

        return open_decoder(settings)

    def close(self) -> None:
        """Nothing is kept."""


HERE = InProcess()
