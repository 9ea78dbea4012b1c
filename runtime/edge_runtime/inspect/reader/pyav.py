"""PyAV (the extra [video]) as a decoder: it tells what its codecs found wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import av
from av.video.reformatter import VideoReformatter

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader import log
from edge_runtime.inspect.reader.chain import MISSING, Chain
from edge_runtime.inspect.reader.container import device_of, open_container
from edge_runtime.inspect.reader.containers import woven_by_container
from edge_runtime.inspect.reader.decoder import DecoderFacts, DecoderSettings, End, Pixels, Shot
from edge_runtime.inspect.reader.deinterlacer import Deinterlacer, Told
from edge_runtime.inspect.reader.fields import told_by_container
from edge_runtime.inspect.reader.gaps import Gaps
from edge_runtime.inspect.reader.renewal import Renewal
from edge_runtime.inspect.reader.size_limit import SizeLimit
from edge_runtime.inspect.reader.wholeness import ALL_ZERO, LOST_WHILE_OPENED, PROBED_SECONDS, Wholeness
from edge_runtime.inspect.reader.zeros import ZERO_RUN, Neighbours, with_neighbours, zero_run

__all__ = ["open_av"]

# Refuse what is damaged rather than show what was guessed; honest streams of all codecs pass.
_STRICT = "crccheck+bitstream+buffer+explode"
# By container and codec: GXF fills up to four bytes, which is no mismatch; TIFF's decoder gives up at an unknown tag.
_NOT_AS_STRICT = {"gxf": "crccheck+buffer+explode", "tiff": "crccheck+bitstream+buffer"}
# With several threads these answer for a packet when later ones are asked for, whatever the type of threads.
_DELAYING = frozenset({"libdav1d"})
_REPEATING = "theora"
_NEVER_KEY = "apng"  # all are called so, though most are laid on the one before
_FIELD_FIRST = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}  # libavcodec/defs.h: which one is shown first
_SIZE = re.compile(r"Picture size (\d+)x(\d+) (?:is invalid|exceeds)")
# Containers that have a time for each picture and write no longer duration for one that is missing.
_STEADY = frozenset({"asf", "flv", "mpeg", "mpegts"})


def open_av(settings: DecoderSettings) -> AvDecoder:
    """Open a video file or stream. Raises SourceError."""
    return AvDecoder(*open_container(settings), settings)


class AvDecoder:
    """Gives what libavcodec decodes, but for what it, the container or the times say is damaged."""

    def __init__(self, container: Any, lost: bool, settings: DecoderSettings) -> None:
        """`lost`: packets were while the container was opened."""
        self._container, self._settings = container, settings
        self._size = SizeLimit(settings.most_pixels)
        self._stream = container.streams.video[0]
        context = self._stream.codec_context
        # Not by frames: what is said of a picture would be said while another one is asked for.
        context.thread_type = "SLICE"
        if context.name in _DELAYING:
            context.thread_count = 1
        strict = _NOT_AS_STRICT.get(container.format.name, _NOT_AS_STRICT.get(context.name, _STRICT))
        context.options = {**context.options, "err_detect": strict, **self._at_most(context)}
        self._codec = context.name
        self._renewal = Renewal(context)
        self._hurt = False  # the packet that is decoded now, or something before it
        rate = self._stream.average_rate or self._stream.guessed_rate
        fps = float(rate) if rate and 0 < rate < 1000 else None
        size = (context.width or 0, context.height or 0)
        clocked = settings.way == "stream"
        frames, device = self._frames(fps), device_of(container)
        self.facts = DecoderFacts("av", self._codec, *size, fps, frames, clocked, device)
        self._turns: int | None = None
        self._number = -1
        self._given = -1
        self._wholeness, self._gaps = Wholeness(), Gaps()
        self._steady = container.format.name in _STEADY and settings.way == "file"
        file = settings.way == "file"
        self._chain = Chain(settings.address) if file else None
        self._repeated: Any = None
        self._neighbours = Neighbours(self._codec) if file and with_neighbours(self._codec) else None
        self._parity = self._fields() if told_by_container(self._codec) else None
        self._filter: Deinterlacer | None = None
        self._reformatter = VideoReformatter()
        self._log = log.captured()
        self._seen, self._lost_seen = (self._log.drain(), self._log.lost) if self._log is not None else (0, 0)
        self._lost_before = lost  # the next packet too
        self._lost_opening = lost
        self._shots: Iterator[Shot | End] = self._read()
        self._last: End | None = None
        self._ahead: Shot | End | None = None
        self._refused: str | None = None  # as too large

    def _at_most(self, context: Any) -> dict[str, str]:
        """FFmpeg's own limit: a picture that is larger costs no memory. Raises SourceError where the first one is."""
        width, height = context.width or 0, context.height or 0
        if self._settings.most_pixels is None or not width * height:
            return {}
        if (refused := self._size.see(height, width)) is not None:
            self._container.close()
            raise SourceError(refused)
        # It counts what is allocated: both sides are rounded up.
        return {"max_pixels": str(max(self._size.most, -(-width // 64) * -(-height // 64) << 12))}

    def _fields(self) -> str | None:
        """Which field comes first, where the container says that pictures are woven; None: it does not."""
        order = getattr(self._stream.codec_context, "field_order", 0)  # AVFieldOrder; not in older versions of PyAV
        if order in _FIELD_FIRST:
            return _FIELD_FIRST[order]
        path = self._settings.address
        return "tff" if "://" not in path and woven_by_container(path) else None

    def _frames(self, fps: float | None) -> int | None:
        """How many pictures there are: as the container counts them, or by how long it lasts."""
        if self._container.format.name == "gxf":  # it counts fields
            return None
        if self._stream.frames or self._settings.way != "file":
            return self._stream.frames or None
        duration = self._container.duration
        return round(duration / av.time_base * fps) if duration and duration > 0 and fps else None

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Return the next shot that the stride takes.

        A file's is given when the one after it has been read: damage is often noticed a picture late.
        """
        shot = self._next()
        if self._settings.way != "file":
            return shot
        if self._ahead is None:
            self._ahead, shot = shot, self._next()
        held, self._ahead = self._ahead, shot
        if (
            isinstance(held, Shot)
            and isinstance(shot, Shot)
            and held.image is not None
            and shot.error not in (None, ALL_ZERO, self._refused)
        ):
            return replace(held, image=None, error=f"right before damage: {shot.error}")
        return held

    def _next(self) -> Shot | End:
        if self._last is not None:
            return self._last
        started = time.monotonic()
        shot = next(self._shots, End())
        if isinstance(shot, End):
            self._last = shot
            return shot
        # What was waited for is no time of decoding.
        ms = (time.monotonic() - max(started, shot.arrived)) * 1000
        return Shot(
            shot.image, shot.error, shot.pts, shot.arrived, shot.number, shot.whole, shot.interlaced, decode_ms=ms
        )

    def close(self) -> None:
        """Close the file or stream."""
        self._last = self._last or End()
        self._container.close()
        if self._chain is not None:
            self._chain.close()

    def _read(self) -> Iterator[Shot | End]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                if self._settings.way == "file" and isinstance(error, av.InvalidDataError):
                    yield self._lost(None, time.monotonic(), f"the file is damaged: {error.strerror}")
                    yield End()
                    return
                yield End(f"the stream broke off: {error.strerror}")
                return
            if packet is None:
                break
            yield from self._decoded(packet)
        if self._filter is not None:
            for frame, told in self._filter.finish():
                yield from self._shot(frame, told)
        yield from self._left()
        yield End(None if self._settings.way == "file" else "the stream ended")

    def _decoded(self, packet: Any) -> Iterator[Shot | End]:
        arrived, seen = time.monotonic(), self._seen
        if self._codec == _REPEATING and not packet.size and packet.dts is not None:  # the end has no time
            yield from self._again(packet, arrived)
            return
        at = None if packet.pts is None else float(packet.pts * packet.time_base)
        self._hurt = False
        if self._lost_before and self._codec != "mjpeg":
            # One that lost its beginning hangs on the one before; what is left of it comes next.
            self._damaged(at, "packets are missing before it")
            self._lost_before = False
        if self._lost_opening:
            self._damaged(None if at is None else at + PROBED_SECONDS, LOST_WHILE_OPENED)
            self._lost_opening = at is None
        if packet.is_corrupt:
            self._damaged(at, "data are missing before it (the container's count)")
        data = bytes(packet)
        if data:
            self._look(data, at)
        self._listen(at)
        if self._renewal.due(packet, data) and not self._hurt:
            for frame in self._renewal.renew(packet):
                yield from self._frame(frame, arrived)
            if not self._wholeness.begun(at):
                self._renewal.damaged()  # it is too early: once more
        try:
            frames = self._renewal.context.decode(packet)
        except av.EOFError:
            frames = []
        except av.FFmpegError as error:
            self._listen(at)
            self._refused = self._larger() if self._seen > seen else None
            reason = self._refused or f"its data are damaged: {error.strerror}"
            self._damaged(at, reason)
            yield self._lost(at, arrived, reason)
            return
        self._listen(at)
        for frame in frames:
            yield from self._frame(frame, arrived)

    def _damaged(self, at: float | None, reason: str) -> None:
        self._wholeness.damaged(at, reason)
        self._renewal.damaged()
        self._hurt = True

    def _again(self, packet: Any, arrived: float) -> Iterator[Shot | End]:
        """What a packet without data gives: the picture before once more."""
        if self._repeated is not None:
            at = float(packet.dts * packet.time_base)
            yield from self._shot(self._repeated, Told(at, arrived, False, False, self._wholeness.judge(at, False)))

    def _look(self, data: bytes, at: float | None) -> None:
        """What a packet's data tell of it, or of the one before, whose picture is held back: it is lost with this."""
        if self._chain is not None and self._chain.broken():
            self._damaged(at, MISSING)
        before = self._neighbours is not None and self._neighbours.put(data)
        if before or zero_run(self._codec, data, self.facts.width * self.facts.height):
            self._damaged(at, ZERO_RUN)

    def _left(self) -> Iterator[Shot]:
        """What is told behind the last packet."""
        if self._neighbours is not None and self._neighbours.put(None):
            yield self._lost(None, time.monotonic(), ZERO_RUN)
        if self._chain is not None and self._chain.rest():
            yield self._lost(None, time.monotonic(), MISSING)

    def _listen(self, at: float | None) -> None:
        if self._log is not None and (seen := self._log.drain()) > self._seen:
            self._seen = seen
            self._damaged(at, f"FFmpeg says: {self._log.last}")
            self._lost_before = self._log.lost > self._lost_seen
            self._lost_seen = self._log.lost

    def _larger(self) -> str | None:
        """Whether what FFmpeg said last is that a picture is larger than planned."""
        said = _SIZE.search(self._log.last) if self._log is not None and self._size.most else None
        return None if said is None else self._size.see(int(said[2]), int(said[1]))

    def _frame(self, frame: Any, arrived: float) -> Iterator[Shot | End]:
        at = frame.time
        self._repeated = frame if self._codec == _REPEATING else None
        if self._steady and (missing := self._gaps.missing(at)):
            reason = f"{missing} pictures are missing before {at:.3f} s"
            self._damaged(None, reason)
            yield self._lost(at, arrived, reason)
        if frame.is_corrupt and not self._wholeness.recovering:
            self._damaged(at, "parts of it are concealed or its references are missing")
        key = frame.key_frame and self._codec != _NEVER_KEY
        wrong = self._wholeness.judge(at, key, recovered=not frame.is_corrupt)
        woven = bool(frame.interlaced_frame) or self._parity is not None
        told = Told(at, arrived, bool(frame.key_frame), woven, wrong)
        if woven and self._filter is None:
            self._filter = Deinterlacer(self._parity)
        if self._filter is None:
            yield from self._shot(frame, told)
            return
        for filtered, of in self._filter.put(frame, told):
            yield from self._shot(filtered, of)

    def _taken(self) -> bool:
        """Count a picture; whether it is to be given."""
        self._number += 1
        after = self._number - self._settings.skip
        return after >= 0 and after % self._settings.stride == 0

    def _lost(self, pts: float | None, arrived: float, reason: str) -> Shot:
        """What is wrong is given whatever the stride."""
        self._number += 1
        return Shot(error=reason, pts=pts, arrived=arrived, number=self._number, whole=False)

    def _shot(self, frame: Any, told: Told) -> Iterator[Shot | End]:
        if not self._taken():
            return
        image, wrong = None, told.wrong
        turns = round(frame.rotation / 90) % 4
        self._turns = turns if self._turns is None else self._turns
        if self._renewal.renewed:
            turns = turns or self._turns  # what a container says of it, its own decoder alone knows
        if self._settings.way == "stream" and wrong is None and turns != self._turns:
            # What is left of a message that lost a packet may say so, and holds for all pictures after it.
            yield End("its pictures are turned another way than before")
            return
        if wrong is None:
            # One reformatter for all: a frame's own starts threads and makes a table for each picture.
            view = _without_gaps(self._reformatter.reformat(frame, format="bgr24", interpolation="BICUBIC"))
            if _is_zero(view):  # no camera gives that, but what cannot be converted does
                wrong = ALL_ZERO
            else:
                image = _turned(view, turns)
        yield Shot(image, wrong, told.pts, told.arrived, self._number, told.whole, told.interlaced)


def _is_zero(image: memoryview) -> bool:
    """Whether every byte of a picture is zero."""
    pixels = image.cast("B")
    return not any(pixels[:64]) and pixels == bytes(image.nbytes)  # as many zeros are not made for every picture


def _without_gaps(frame: Any) -> memoryview:
    """A converted picture's own memory, uint8 [height, width, 3]; a copy where its rows are longer than its width."""
    plane, row = frame.planes[0], frame.width * 3
    if plane.line_size < 0:  # from below, which PyAV itself can turn
        return memoryview(frame.to_ndarray().copy())
    view = memoryview(plane)
    if plane.line_size > row:
        starts = range(0, frame.height * plane.line_size, plane.line_size)
        view = memoryview(b"".join([view[start : start + row] for start in starts]))
    return view[: frame.height * row].cast("B", (frame.height, frame.width, 3))


def _turned(image: memoryview, turns: int) -> Pixels:
    """The picture turned to the left by so many right angles, as its container says."""
    if not turns:
        return image
    import numpy as np  # which hardly any film needs; the reader's process starts sooner without, and is smaller

    return np.ascontiguousarray(np.rot90(np.asarray(image), turns))
