"""What formats can hold besides one gray or coloured picture: further pictures, transparency, other codings, depths."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.inspect.sources.stills.read import Picture, Reading, pictures

_ROWS, _COLUMNS = np.mgrid[0:120, 0:160]
GRAY = (128 + 90 * np.sin(_ROWS / 9) * np.cos(_COLUMNS / 11)).clip(3, 250).astype(np.uint8)
OTHER = np.roll(GRAY, 40, axis=1)
COLOUR, OTHER_COLOUR = np.dstack([GRAY] * 3), np.dstack([OTHER] * 3)
# Left half transparent.
ALPHA = np.where(_COLUMNS < 80, 0, 255).astype(np.uint8)
Tag = tuple[int, str, Sequence[int]]


def read(data: bytes) -> list[Picture]:
    return list(pictures(data, Reading()))


def on_white(data: bytes) -> np.ndarray:
    (picture,) = pictures(data, Reading(background=(255, 255, 255)))
    assert picture.image is not None, picture.error
    return picture.image


def near(found: Picture, expected: np.ndarray, levels: int = 12) -> bool:
    return found.image is not None and int(cv2.norm(found.image, expected, cv2.NORM_INF)) <= levels


def saved(kind: str, image: np.ndarray = COLOUR, others: Sequence[np.ndarray] = (), **options: object) -> bytes:
    file = io.BytesIO()
    more = {"save_all": True, "append_images": [Image.fromarray(other) for other in others]} if others else {}
    Image.fromarray(image).save(file, kind, **more, **options)
    return file.getvalue()


def tiff(*pages: tuple[np.ndarray, Sequence[Tag]], within: int = 0) -> bytes:
    """Write pages as they are, little-endian, uncompressed where no tag says otherwise; `within`: so many of the last
    ones are pages within the first."""
    data, places = bytearray(b"II*\0\0\0\0\0"), list[int]()
    pointers = list[int]()
    for number, (image, more) in enumerate(pages):
        raw, at = image.tobytes(), len(data)
        samples = 1 if image.ndim == 2 else image.shape[2]
        data += raw + b"\0" * (len(raw) % 2)
        tags: dict[int, tuple[str, Sequence[int]]] = {
            256: ("I", [image.shape[1]]),
            257: ("I", [image.shape[0]]),
            258: ("H", [8 * image.itemsize] * samples),
            259: ("H", [1]),
            262: ("H", [2 if samples > 2 else 1]),
            273: ("I", [at]),
            277: ("H", [samples]),
            278: ("I", [image.shape[0]]),
            279: ("I", [len(raw)]),
        }
        tags |= {tag: (kind, values) for tag, kind, values in more}
        if within and not number:
            tags[330] = ("I", [0] * within)
        entries = b""
        for tag, (kind, values) in sorted(tags.items()):
            body = struct.pack(f"<{len(values)}{kind}", *values)
            if len(body) > 4:
                place = len(data)
                data += body + b"\0" * (len(body) % 2)
                if tag == 330:
                    pointers = [place + 4 * n for n in range(within)]
                body = struct.pack("<I", place)
            entries += struct.pack("<HHI", tag, {"H": 3, "I": 4}[kind], len(values)) + body.ljust(4, b"\0")
            if tag == 330 and not pointers:
                pointers = [len(data) + 2 + len(entries) - 4]
        places.append(len(data))
        data += struct.pack("<H", len(tags)) + entries + bytes(4)
    ends = [place + 2 + 12 * struct.unpack_from("<H", data, place)[0] for place in places]
    chain = places[: len(places) - within]
    struct.pack_into("<I", data, 4, chain[0])
    for end, following in zip(ends, chain[1:], strict=False):
        struct.pack_into("<I", data, end, following)
    for pointer, place in zip(pointers, places[len(chain) :], strict=False):
        struct.pack_into("<I", data, pointer, place)
    return bytes(data)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(image: np.ndarray, colour: int, *before: bytes) -> bytes:
    """Write a PNG of 8 or 16 bits."""
    height, width, depth = *image.shape[:2], 8 * image.itemsize
    rows = image.astype(image.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    body = zlib.compress(np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes())
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        saved("MPO", COLOUR, [OTHER_COLOUR]),
        saved("JPEG") + saved("JPEG", OTHER_COLOUR),
        saved("JPEG") + bytes(100) + saved("JPEG", OTHER_COLOUR),
        tiff((GRAY, ()), (OTHER, ()), within=1),
        tiff((GRAY, ()), (OTHER, [(254, "I", [1])])),  # called a smaller copy, of the same size
    ],
    ids=["stereo camera", "strung together", "strung together with a gap", "page within a page", "same-sized copy"],
)
def test_a_further_picture_is_one_of_its_own(data: bytes) -> None:
    first, second = read(data)
    assert (first.page, second.page) == (1, 2)
    assert near(first, COLOUR)
    assert near(second, OTHER_COLOUR)


def test_of_pages_within_pages_each_is_read_once_and_in_order() -> None:
    found = read(tiff((GRAY, ()), (GRAY[::-1].copy(), ()), (OTHER, ()), (OTHER[::-1].copy(), ()), within=2))
    expected = [GRAY, OTHER, OTHER[::-1], GRAY[::-1]]
    assert [near(picture, np.dstack([gray] * 3)) for picture, gray in zip(found, expected, strict=True)] == [True] * 4


@pytest.mark.parametrize(
    "data",
    [
        saved("JPEG") + saved("JPEG", OTHER_COLOUR[:60, :80].copy()),  # a camera's preview
        saved("JPEG") + b"\xff\xd8\xff\xe0 what was a preview",
        saved("JPEG") + b"whatever a phone adds",
        tiff((GRAY, ()), (OTHER[::2, ::2].copy(), [(254, "I", [1])])),
        tiff((GRAY, ()), (OTHER[::2, ::2].copy(), [(254, "I", [1])]), within=1),
    ],
    ids=["preview", "cut preview", "trailer", "reduced page", "reduced page within"],
)
def test_a_smaller_copy_is_no_picture_of_its_own(data: bytes) -> None:
    (picture,) = read(data)
    assert picture.page is None
    assert near(picture, COLOUR)


def test_a_gain_map_is_no_picture_of_its_own() -> None:
    whole = saved("MPO", COLOUR, [OTHER_COLOUR])
    at = whole.index(b"\xff\xd8\xff", 4)
    note = b"http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version='1.0'/>"
    first, second = whole[:at], whole[at:]
    second = second[:2] + b"\xff\xe1" + struct.pack(">H", len(note) + 2) + note + second[2:]
    assert [near(picture, COLOUR) for picture in read(first + second)] == [True]


def test_a_further_picture_that_is_cut_is_no_picture() -> None:
    first, second = read(saved("MPO", COLOUR, [OTHER_COLOUR])[:-1500])
    assert near(first, COLOUR)
    assert second.image is None
    assert "ends early" in str(second.error)


def test_every_picture_of_a_heic_is_one_of_its_own_and_a_thumbnail_is_none() -> None:
    heif = pytest.importorskip("pillow_heif")
    file = heif.from_pillow(Image.fromarray(COLOUR))
    alone = io.BytesIO()
    file.save(alone, quality=95, thumbnails=[64])
    (picture,) = read(alone.getvalue())
    assert picture.page is None
    assert near(picture, COLOUR, 30)
    file.add_from_pillow(Image.fromarray(OTHER_COLOUR))
    for shown_first in (0, 1):
        both = io.BytesIO()
        file.save(both, quality=95, primary_index=shown_first)
        first, second = read(both.getvalue())
        assert near(first, COLOUR, 30)
        assert near(second, OTHER_COLOUR, 30)


@pytest.mark.parametrize("between", [b"", b"\n", b"# the next\n", b" \n"])
def test_pictures_after_the_first_of_a_pnm_are_told(between: bytes) -> None:
    one = b"P5\n160 120\n255\n" + GRAY.tobytes()
    first, told = read(one + between + one)
    assert first.error is None
    assert "after the first" in str(told.error)
    plain = b"P2\n160 120\n255\n" + b" ".join(b"%d" % value for value in GRAY.ravel()) + b"\n"
    assert len(read(plain)) == 1
    assert "after the first" in str(read(plain + plain)[1].error)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_an_alpha_says_nothing_of_the_depth(bits: int) -> None:
    light = GRAY.astype(np.uint16) << bits - 8
    light[0, 0] = (1 << bits) - 1
    alpha = np.full_like(light, 65535)
    for data in (
        png(np.dstack([light] * 3 + [alpha]), 6),
        png(np.dstack([light, alpha]), 4),
        tiff((np.dstack([light] * 3 + [alpha]), [(338, "H", [2])])),
    ):
        (picture,) = read(data)
        assert picture.image is not None, picture.error
        assert int(cv2.norm(picture.image[1:], COLOUR[1:], cv2.NORM_INF)) == 0


def test_a_pgm_that_says_65535_may_have_fewer_bits() -> None:
    (picture,) = read(b"P5 160 120 65535\n" + (GRAY.astype(">u2") << 4).astype(">u2").tobytes())
    assert near(picture, COLOUR, 0)


def test_a_pgm_of_two_grays_is_black_and_white() -> None:
    (picture,) = read(b"P5 160 120 1\n" + (GRAY > 128).astype(np.uint8).tobytes())
    assert near(picture, np.where(COLOUR > 128, 255, 0).astype(np.uint8), 0)


def test_twelve_bits_packed_in_a_tiff_are_light_as_they_say() -> None:
    light = GRAY.astype(np.uint16) << 4
    first, second = light.ravel()[::2], light.ravel()[1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8)
    tags: list[Tag] = [(256, "I", [160]), (257, "I", [120]), (258, "H", [12]), (278, "I", [120])]
    (picture,) = read(tiff((packed.reshape(120, -1), tags)))
    assert near(picture, COLOUR, 0), picture.error


def test_a_picture_two_bits_darker_than_the_lightest_before_may_have_another_depth() -> None:
    reading = Reading()
    wide = GRAY.astype(np.uint16) * 257
    for light, judged in ((wide, True), (wide // 2, True), (wide >> 2, False), (wide >> 4, False), (wide, True)):
        (picture,) = pictures(png(light, 0), reading)
        assert (picture.error is None) == judged, picture.error


@pytest.mark.parametrize("compression", [2, 4, 6, 34712, 34925, 34933, 34934, 50000, 50001, 50002, 12345])
def test_a_tiff_of_a_compression_that_is_not_read_is_refused(compression: int) -> None:
    (picture,) = read(tiff((GRAY, [(259, "H", [compression])])))
    assert picture.image is None
    assert "save it with deflate or LZW" in str(picture.error)


def test_a_tiff_s_jpeg_needs_no_tables_of_its_own() -> None:
    body = np.frombuffer(saved("JPEG", GRAY), np.uint8)
    tags: list[Tag] = [(259, "H", [7]), (256, "I", [160]), (257, "I", [120]), (278, "I", [120]), (258, "H", [8])]
    (whole,) = read(tiff((body[None], tags)))
    assert near(whole, COLOUR)
    (cut,) = read(tiff((body[None, :-900], tags)))
    assert "ends early" in str(cut.error)


@pytest.mark.parametrize("opaque", [100, 255])
@pytest.mark.parametrize("kind", [1, 2])
def test_transparency_of_a_tiff_is_laid_once(kind: int, opaque: int) -> None:
    alpha = np.where(_COLUMNS < 80, opaque // 2, opaque).astype(np.uint8)
    share = alpha[..., None] / 255
    given = np.rint(COLOUR * share).astype(np.uint8) if kind == 1 else COLOUR
    data = tiff((np.dstack([given, alpha]), [(338, "H", [kind])]))
    (refused,) = read(data)
    assert "--background" in str(refused.error)
    assert cv2.norm(on_white(data), np.rint(COLOUR * share + 255 * (1 - share)).astype(np.uint8), cv2.NORM_INF) <= 2


def test_an_alpha_of_zero_throughout_does_not_blacken_a_tiff() -> None:
    (picture,) = read(tiff((np.dstack([COLOUR, np.zeros_like(GRAY)]), [(338, "H", [2])])))
    assert near(picture, COLOUR, 0)


def test_a_second_channel_is_never_left_out() -> None:
    (unnamed,) = read(tiff((np.dstack([GRAY, OTHER]), [(338, "H", [0])])))
    assert "second one" in str(unnamed.error)
    (transparent,) = read(tiff((np.dstack([GRAY, ALPHA]), [(338, "H", [2])])))
    assert transparent.image is None


@pytest.mark.parametrize(
    "data",
    [
        png(GRAY, 0, chunk(b"tRNS", struct.pack(">H", int(GRAY[0, 0])))),
        png(GRAY.astype(np.uint16) * 257, 0, chunk(b"tRNS", struct.pack(">H", int(GRAY[0, 0]) * 257))),
        png(COLOUR, 2, chunk(b"tRNS", struct.pack(">3H", *[int(GRAY[0, 0])] * 3))),
    ],
    ids=["gray", "16 bits", "colour"],
)
def test_one_transparent_colour_of_a_png_is_transparent(data: bytes) -> None:
    assert "--background" in str(read(data)[0].error)
    assert cv2.norm(on_white(data), np.where(GRAY[0, 0] == COLOUR, 255, COLOUR), cv2.NORM_INF) <= 1


def test_transparency_of_a_bmp_whose_header_does_not_name_it_is_seen() -> None:
    head = b"BM" + struct.pack("<IHHI", 54 + GRAY.size * 4, 0, 0, 54)
    for height in (120, -120):
        size = struct.pack("<IiiHHIIiiII", 40, 160, height, 1, 32, 0, 0, 0, 0, 0, 0)
        for alpha, told in ((ALPHA, True), (np.zeros_like(ALPHA), False)):
            pixels = np.dstack([COLOUR, alpha])[:: -1 if height > 0 else 1]
            (picture,) = read(head + size + pixels.tobytes())
            assert (picture.image is None) == told
            assert told or near(picture, COLOUR, 0)


@pytest.mark.parametrize("suffix", [".avif", ".jp2"])
def test_transparency_of_kinds_opencv_drops_it_of_is_seen(suffix: str) -> None:
    inks = np.dstack([np.zeros_like(COLOUR), 255 - GRAY])  # black, drawn by its transparency alone
    if not cv2.haveImageWriter(f"a{suffix}"):
        pytest.skip("this OpenCV does not write it")
    (picture,) = read(cv2.imencode(suffix, inks)[1].tobytes())
    assert "transparent" in str(picture.error)


def test_what_is_wholly_transparent_and_of_one_colour_shows_nothing() -> None:
    (picture,) = read(png(np.zeros((120, 160, 4), np.uint8), 6))
    assert "all of it is transparent" in str(picture.error)


def test_an_avif_is_turned_upright() -> None:
    from PIL import features

    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    for orientation in range(1, 9):
        image = Image.fromarray(COLOUR[:80])
        exif = image.getexif()
        exif[0x112] = orientation
        file, png_file = io.BytesIO(), io.BytesIO()
        image.save(png_file, "PNG", exif=exif)
        image.save(file, "AVIF", quality=95, exif=exif)  # which takes the orientation out of `exif`
        expected = cv2.imdecode(np.frombuffer(png_file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
        (picture,) = read(file.getvalue())
        assert picture.image is not None, picture.error
        assert picture.image.shape == expected.shape, orientation
        assert cv2.norm(picture.image, expected, cv2.NORM_L1) / expected.size < 4, orientation


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
@pytest.mark.parametrize("animated", [False, True])
def test_what_has_transparency_is_turned_upright_as_well(kind: str, options: dict[str, bool], animated: bool) -> None:
    for orientation in range(1, 9):
        image = Image.fromarray(np.dstack([COLOUR[:80], np.full((80, 160), 255, np.uint8)]))
        exif = image.getexif()
        exif[0x112] = orientation
        more = {"save_all": True, "append_images": [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]}
        file, plain = io.BytesIO(), io.BytesIO()
        image.save(file, kind, exif=exif, **(more if animated else {}), **options)
        image.convert("RGB").save(plain, "PNG", exif=exif)
        expected = cv2.imdecode(np.frombuffer(plain.getvalue(), np.uint8), cv2.IMREAD_COLOR)
        picture = next(pictures(file.getvalue(), Reading(background=(0, 0, 0))))
        assert picture.image is not None, picture.error
        np.testing.assert_array_equal(picture.image, expected)
