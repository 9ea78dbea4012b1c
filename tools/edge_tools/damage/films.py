"""Films of a board, made by ffmpeg, and what happens to them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import DataError
from edge_tools.damage.boards import Board, coloured

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FILMS", "FILM_KINDS", "Film", "FilmVariant", "board_film", "film_variants", "write_film"]

FRAMES, RATE = 20, 10


@dataclass(frozen=True)
class Film:
    """A container and what ffmpeg is told to put into it."""

    suffix: str
    options: tuple[str, ...]


_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", "-g", "5", "-pix_fmt", "yuv420p")
_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "16", "-g", "5", "-x265-params", "log-level=none")
_MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "5", "-pix_fmt", "yuv420p")
_LACED = ("-vf", "setfield=tff", "-flags", "+ilme+ildct")

FILMS: dict[str, Film] = {
    "h264 mp4": Film(".mp4", _X264),
    "h264 mp4, header first": Film(".mp4", (*_X264, "-movflags", "+faststart")),
    "h264 mkv": Film(".mkv", _X264),
    "h264 avi": Film(".avi", _X264),
    "h264 ts": Film(".ts", _X264),
    "h264 ts, slices": Film(".ts", (*_X264, "-x264-params", "slices=8")),
    "h264 raw": Film(".h264", _X264),
    "h264 interlaced ts": Film(".ts", (*_X264, "-x264-params", "interlaced=1")),
    "h265 mp4": Film(".mp4", (*_X265, "-tag:v", "hvc1", "-pix_fmt", "yuv420p")),
    "h265 ts": Film(".ts", (*_X265, "-pix_fmt", "yuv420p")),
    "mpeg2 ts": Film(".ts", _MPEG2),
    "mpeg2 interlaced ts": Film(".ts", (*_MPEG2, *_LACED)),
    "mpeg2 mpg": Film(".mpg", _MPEG2),
    "mpeg4 avi": Film(".avi", ("-c:v", "mpeg4", "-q:v", "2", "-g", "5")),
    "mpeg4 mp4": Film(".mp4", ("-c:v", "mpeg4", "-q:v", "2", "-g", "5")),
    "mjpeg avi": Film(".avi", ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p")),
    "mjpeg mov": Film(".mov", ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p")),
    "vp8 webm": Film(".webm", ("-c:v", "libvpx", "-b:v", "6M", "-g", "5", "-deadline", "realtime", "-cpu-used", "8")),
    "vp9 webm": Film(
        ".webm", ("-c:v", "libvpx-vp9", "-b:v", "6M", "-g", "5", "-deadline", "realtime", "-cpu-used", "8")
    ),
    "av1 mp4": Film(".mp4", ("-c:v", "libsvtav1", "-preset", "12", "-crf", "20", "-g", "5")),
    "ffv1 mkv": Film(".mkv", ("-c:v", "ffv1", "-level", "3", "-slicecrc", "1", "-pix_fmt", "yuv420p")),
    "raw avi": Film(".avi", ("-c:v", "rawvideo", "-pix_fmt", "yuv420p")),
}


@dataclass(frozen=True)
class FilmVariant:
    """`late` films show the clean board in their first half; else every frame shows the defect."""

    number: int
    kind: str
    form: str
    board: int
    severity: float
    seed: int
    late: bool

    @property
    def name(self) -> str:
        """The file's name."""
        return f"film-{self.number:04d}{FILMS[self.form].suffix}"


def board_film(board: Board, late: bool, seed: int) -> NDArray[np.uint8]:
    """Return frames [n, height, width, 3] with a little noise of their own and a camera that trembles by a pixel."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(FRAMES):
        still = board.clean if late and number < FRAMES // 2 else board.picture
        moved = np.roll(still, int(rng.integers(-1, 2)), axis=1)
        frames.append((coloured(moved) + rng.normal(0, 1.5, (*still.shape, 1))).clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def write_film(frames: NDArray[np.uint8], film: Film, path: Path) -> None:
    """Write frames as a film. Raises DataError with what ffmpeg said."""
    height, width = frames.shape[1:3]
    size = ("-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", str(RATE), "-i", "-")
    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *size, *film.options, str(path)],
        input=frames.tobytes(),
        capture_output=True,
        check=False,
    )
    if made.returncode:
        raise DataError(f"{path.name}: {made.stderr.decode(errors='replace').strip()[-200:]}")


def film_variants(count: int, boards: int, seed: int, forms: Sequence[str]) -> Iterator[FilmVariant]:
    """Yield `count` films to be damaged, kinds and formats in turn."""
    rng = np.random.default_rng(seed)
    cells = [(kind, form) for kind in FILM_KINDS for form in forms]
    order = rng.permutation(len(cells))
    for number in range(count):
        turn, place = divmod(number, len(cells))
        kind, form = cells[order[place]]
        severity = 0.05 + 0.9 * float(rng.random())
        late = kind in _LATE or turn % 2 == 1
        yield FilmVariant(number, kind, form, int(rng.integers(boards)), severity, int(rng.integers(2**31)), late)


def _zeroed(data: bytes, severity: float, rng: np.random.Generator) -> bytes:
    size = int((0.005 + 0.3 * severity) * len(data))
    begin = int(rng.uniform(0.1, 0.9 - 0.3 * severity) * len(data))
    return data[:begin] + bytes(size) + data[begin + size :]


def _cut(data: bytes, severity: float, rng: np.random.Generator) -> bytes:
    return data[: int((1 - 0.5 * severity) * len(data))]


def _flipped(data: bytes, severity: float, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(round(300**severity)):
        changed[int(rng.uniform(0.05, 0.95) * len(data))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _hole(data: bytes, severity: float, rng: np.random.Generator) -> bytes:
    size = int((0.005 + 0.2 * severity) * len(data))
    begin = int(rng.uniform(0.1, 0.75) * len(data))
    return data[:begin] + data[begin + size :]


def _packets(data: bytes, severity: float, rng: np.random.Generator) -> bytes:
    """Every packet of 188 bytes (a transport stream's) is lost with a chance of 0.2 to 10 %; the first ones stay."""
    kept = [data[: 188 * 8]]
    kept += [data[i : i + 188] for i in range(188 * 8, len(data), 188) if rng.random() > 0.002 + 0.1 * severity]
    return b"".join(kept)


FILM_KINDS: dict[str, Callable[[bytes, float, np.random.Generator], bytes]] = {
    "zeroed middle": _zeroed,
    "cut": _cut,
    "bits flipped": _flipped,
    "a gap": _hole,
    "lost packets": _packets,
}
_LATE = frozenset({"cut", "a gap"})  # what is missing hides nothing where every frame shows the same
