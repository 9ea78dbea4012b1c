"""The reader: where the decoders of a run are opened, and what is done when one hangs or dies."""

from __future__ import annotations

from edge_runtime.inspect.reader.decoder import Decoder, DecoderSettings
from edge_runtime.inspect.reader.decoders import open_decoder

__all__ = ["Reader"]


class Reader:
    """Opens decoders. (In this process yet; its own comes behind the same face.)"""

    def open(self, settings: DecoderSettings) -> Decoder:
        """Open a video, stream or camera. Raises SourceError."""
        return open_decoder(settings)

    def close(self) -> None:
        """End the process and what is open in it."""
