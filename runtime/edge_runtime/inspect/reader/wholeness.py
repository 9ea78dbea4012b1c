"""Which pictures are whole: after damage none is, until one that was decoded from its own data alone."""

from __future__ import annotations

__all__ = ["ALL_ZERO", "COUNTING", "LOST_WHILE_OPENED", "PROBED_SECONDS", "Wholeness"]

# Of RTP packets that do not come over TCP (a camera in haste leaves some out) FFmpeg says a word only where it may put
# packets in order ("reorder_queue_size"); what it makes of the rest is often decoded without a complaint. TCP keeps
# their order: the queue holds one packet, behind one that is missing.
COUNTING = "2"
# While a stream is opened, FFmpeg reads so much of it ahead, and says of what is missing there when nobody asks for it.
PROBED_SECONDS = 5.0
LOST_WHILE_OPENED = "packets were lost while it was opened"
ALL_ZERO = "every byte of it is zero, which no camera gives"


class Wholeness:
    """Follows one stream. Times are those of the stream, in any unit; None where a packet or picture has none."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._at: float | None = None
        self._judged = False  # a picture since the last damage
        self._begun: float | None = None
        self._keys = 1  # so many end it

    @property
    def recovering(self) -> bool:
        """Whether a new decoder has begun, and none of its pictures was whole."""
        return self._begun is not None

    def damaged(self, at: float | None, reason: str, keys: int = 1) -> None:
        """A packet of that time is damaged or missing, or the picture that was made of it.

        `keys`: so many pictures that need no other must have come after it.
        """
        if self._reason is None:
            self._reason = reason
        self._judged = False
        self._begun = None
        self._keys = max(keys, self._keys)
        if self._at is None or (at is not None and at > self._at):
            self._at = at

    def begun(self, at: float | None) -> bool:
        """A new decoder, which knows nothing of the damage, begins with a packet of that time: whether that is over."""
        if at is not None and (self._at is None or at > self._at):
            self._begun = at
        return self.recovering

    def judge(self, at: float | None, key: bool, recovered: bool = False) -> str | None:
        """Why the picture of that time cannot be trusted, None where it can. Pictures come in the order of showing.

        One that is shown later than the damage, and needs no other, ends it; one that was decoded before the damage
        can come after it, and is told by its time. Without one, the first that comes is the damaged one itself.
        `recovered`: the decoder says that it, too, is whole, which a new one knows.
        """
        later = self._judged if at is None else self._at is None or at > self._at
        self._judged = True
        if self._begun is not None and at is not None:
            key = recovered and at >= self._begun
        if self._reason is not None and key and later:
            self._keys -= 1
            if self._keys <= 0:
                self._reason = self._at = self._begun = None
                self._keys = 1
        return self._reason
