"""From a file's bytes to its pictures: what kind it is, by its first bytes, and who reads that kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.eight_bits import Depth, laid_on
from edge_runtime.inspect.sources.stills.room import UNBOUNDED, Room

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.inspect.sources.stills.book import Book
    from edge_runtime.inspect.sources.stills.jpeg import JpegLayout

__all__ = ["HEAD", "Picture", "Reading", "kind_of", "pictures"]

HEAD = 32  # bytes that tell a kind

# Each kind's first bytes ("?" for any), and the function that opens it; "-": a kind of picture that is not read here.
_KINDS: tuple[tuple[str, bytes, str], ...] = (
    ("JPEG", b"\xff\xd8\xff", "jpeg"),
    ("PNG", b"\x89PNG\r\n\x1a\n", "png.open_png"),
    ("WebP", b"RIFF????WEBP", "webp.open_webp"),
    ("camera raw (RW2)", b"IIU\0", "-"),
    ("camera raw (ORF)", b"IIRO", "-"),
    ("camera raw (CR2)", b"II*\0????CR\2", "-"),
    ("camera raw (RAF)", b"FUJIFILMCCD-RAW", "-"),
    ("camera raw (CR3)", b"????ftypcrx ", "-"),
    ("TIFF", b"II*\0", "tiff.open_tiff"),
    ("TIFF", b"MM\0*", "tiff.open_tiff"),
    ("TIFF", b"II+\0", "tiff.open_tiff"),
    ("TIFF", b"MM\0+", "tiff.open_tiff"),
    ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n", "boxes.open_jpeg2000"),
    ("JPEG 2000", b"\xff\x4f\xff\x51", "boxes.open_jpeg2000"),
    *(
        (name, b"????ftyp" + brand, "boxes.open_heif")
        for name, brands in (
            ("AVIF", (b"avif", b"avis")),
            ("HEIC", (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"mif2")),
        )
        for brand in brands
    ),
    ("GIF", b"GIF8?a", "gif.open_gif"),
    *(("BMP", b"BM????????????" + bytes([size, 0, 0, 0]), "plain.open_bmp") for size in (12, 40, 52, 56, 64, 108, 124)),
    ("Sun raster", b"\x59\xa6\x6a\x95", "plain.open_sun"),
    ("JPEG XL", b"\0\0\0\x0cJXL ", "-"),
    ("JPEG XL", b"\xff\x0a", "-"),
    ("OpenEXR", b"v/1\x01", "-"),
    ("Radiance HDR", b"#?RADIANCE", "-"),
    ("Radiance HDR", b"#?RGBE", "-"),
    ("Photoshop", b"8BPS", "-"),
)
_FLOATS = {"OpenEXR", "Radiance HDR", "PFM"}


@dataclass
class Reading:
    """How the pictures of a source are read. `background`: what lies behind transparent parts, BGR; None: not said."""

    depth: Depth = field(default_factory=Depth)
    background: tuple[int, int, int] | None = None
    room: Room = UNBOUNDED


@dataclass(frozen=True, eq=False)
class Picture:
    """One page of a file, or the reason why it is none. `page` from 1, None where there is but one.

    `size`: height and width in the file, where the picture was decoded smaller.
    """

    image: NDArray[np.uint8] | None = None
    error: str | None = None
    page: int | None = None
    size: tuple[int, int] | None = None


def kind_of(head: bytes) -> str | None:
    """Return what kind of picture begins with these bytes; None: none that is known."""
    row = _row_of(head)
    return None if row is None else row[0]


def _row_of(head: bytes) -> tuple[str, str] | None:
    for name, magic, opener in _KINDS:
        if len(head) >= len(magic) and all(a == b or b == 63 for a, b in zip(head, magic, strict=False)):
            return name, opener
    if len(head) >= 3 and head[:1] == b"P" and head[2:3] in b" \n\r\t":
        if head[1:2] in b"1234567":
            return "PNM", "plain.open_pnm"
        if head[1:2] in b"Ff":
            return "PFM", "-"
    return None


def pictures(data: bytes, reading: Reading) -> Iterator[Picture]:
    """Yield every page of a file, whole and upright, or why it is none; `pages` that nobody can look at, too."""
    try:
        row = _row_of(data[:HEAD])
        if not data:
            raise DataError("the file is empty")
        if row is None:
            raise DataError("truncated, damaged or of an unknown kind")
        if row[1] == "jpeg":
            yield from _jpegs(data, reading)
            return
        book = _open(data, *row)
    except DataError as error:
        yield Picture(error=str(error))
        return
    count = len(book.pages)
    many = count > 1 or bool(book.unseen)
    for number, page in enumerate(book.pages, 1):
        try:
            reading.room.check(page.height, page.width, len(data), page.pixel_bytes)
            image = laid_on(reading.depth.to_eight(page.decode(), page.bits), reading.background)
        except (DataError, MemoryError) as error:
            yield Picture(error=str(error) or "out of memory", page=number if many else None)
        else:
            yield Picture(image, page=number if many else None)
    if book.unseen:
        yield Picture(error=book.unseen, page=count + 1)


def _jpegs(data: bytes, reading: Reading) -> Iterator[Picture]:
    from edge_runtime.inspect.sources.stills.jpeg import jpeg_layout

    layout = jpeg_layout(data)
    first, others = _jpeg(data, layout, reading), list[bytes]()
    if layout.index > 0 or 0 < layout.end < len(data):
        from edge_runtime.inspect.sources.stills.further import further_pictures

        others = list(further_pictures(data, layout))
    yield replace(first, page=1) if others else first
    for number, other in enumerate(others, 2):
        try:
            yield replace(_jpeg(other, jpeg_layout(other), reading), page=number)
        except (DataError, MemoryError) as error:
            yield Picture(error=str(error) or "out of memory", page=number)


def _jpeg(data: bytes, layout: JpegLayout, reading: Reading) -> Picture:
    from edge_runtime.inspect.sources.stills.jpeg import whole_jpeg

    image = whole_jpeg(data, reading.room, layout)
    if not reading.room.kept:
        return Picture(image)
    size = (layout.height, layout.width) if layout.orientation <= 4 else (layout.width, layout.height)
    return Picture(image, size=None if size == image.shape[:2] else size)


def _open(data: bytes, name: str, opener: str) -> Book:
    """Each format's file is loaded when the first picture of that kind comes."""
    if name in _FLOATS:
        raise DataError(f"{name}: of floating-point numbers nobody says what is white; convert it to 8 or 16 bits")
    if opener == "-":
        raise DataError(f"{name}, which cannot be read; convert it to PNG, TIFF or JPEG")
    module, function = opener.split(".")
    call: Callable[[bytes], Book] = getattr(import_module(f"{__package__}.{module}"), function)
    return call(data)
