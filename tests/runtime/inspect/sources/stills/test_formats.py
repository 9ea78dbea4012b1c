"""Every format: whole to the pixel, or refused with the reason; every page of it."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.inspect.sources.stills.eight_bits import Depth
from edge_runtime.inspect.sources.stills.read import Picture, Reading, kind_of, pictures
from edge_runtime.inspect.sources.stills.room import Room

_ROWS, _COLUMNS = np.mgrid[0:120, 0:160]
_NOISE = np.random.default_rng(5).integers(-9, 10, (120, 160))
GRAY = (128 + 90 * np.sin(_ROWS / 9) * np.cos(_COLUMNS / 11) + _NOISE).clip(3, 250).astype(np.uint8)
COLOUR = np.dstack([GRAY, GRAY[::-1], 253 - GRAY])


def written(suffix: str, image: np.ndarray = COLOUR, *flags: int) -> bytes:
    return bytes(cv2.imencode(suffix, image, list(flags))[1].tobytes())


def saved(kind: str, image: np.ndarray = COLOUR, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[..., ::-1] if image.ndim == 3 else image).save(file, kind, **options)
    return file.getvalue()


def several(kind: str, **options: object) -> bytes:
    first, *others = (Image.fromarray(np.roll(COLOUR, 40 * n, axis=1)[..., ::-1]) for n in range(3))
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=others, **options)
    return file.getvalue()


def read(data: bytes, reading: Reading | None = None) -> list[Picture]:
    return list(pictures(data, reading or Reading()))


def only(data: bytes, reading: Reading | None = None) -> Picture:
    (picture,) = read(data, reading)
    return picture


FILES = {
    "png": written(".png"),
    "png, gray": written(".png", GRAY),
    "bmp": written(".bmp"),
    "ppm": written(".ppm"),
    "pgm": written(".pgm", GRAY),
    "ras": written(".ras"),
    "webp": written(".webp", COLOUR, cv2.IMWRITE_WEBP_QUALITY, 85),
    "webp, lossless": written(".webp"),
    "jp2": written(".jp2"),
    "tiff": written(".tif", COLOUR, cv2.IMWRITE_TIFF_COMPRESSION, 1),
    "tiff, LZW": written(".tif", COLOUR, cv2.IMWRITE_TIFF_COMPRESSION, 5),
    "tiff, deflate": written(".tif", COLOUR, cv2.IMWRITE_TIFF_COMPRESSION, 8),
    "tiff, packbits": written(".tif", COLOUR, cv2.IMWRITE_TIFF_COMPRESSION, 32773),
    "tiff, jpeg": saved("TIFF", compression="jpeg"),
    "tiff, of another writer": saved("TIFF", GRAY, compression="tiff_lzw"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_whole_picture_is_read_to_the_pixel_as_opencv_reads_it(kind: str) -> None:
    expected = cv2.imdecode(np.frombuffer(FILES[kind], np.uint8), cv2.IMREAD_COLOR)
    found = only(FILES[kind])
    assert found.error is None
    assert found.page is None
    np.testing.assert_array_equal(found.image, expected)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.98])
def test_a_part_of_a_file_is_no_picture(kind: str, part: float) -> None:
    data = FILES[kind]
    assert all(picture.image is None for picture in read(data[: int(len(data) * part)]))


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", [0.2, 0.5, 0.7])
def test_a_part_that_was_never_written_is_told(kind: str, part: float) -> None:
    data = FILES[kind]
    start, count = int(len(data) * part), max(len(data) // 7, 1500)
    found = read(data[:start] + bytes(min(count, len(data) - start)) + data[start + count :])
    assert [picture.image for picture in found] == [None]


@pytest.mark.parametrize(("quality", "least"), [(85, 13), (101, 5)])  # 101: lossless; 8 and more as 5.0 writes it
def test_damage_inside_of_a_webp_is_told_by_where_its_pixels_end(quality: int, least: int) -> None:
    rng = np.random.default_rng(3)
    levels = rng.normal(0, 2, (480, 640, 3)) + cv2.resize(COLOUR, (640, 480), interpolation=cv2.INTER_CUBIC)
    data = written(".webp", levels.clip(0, 255).astype(np.uint8), cv2.IMWRITE_WEBP_QUALITY, quality)
    places = range(len(data) // 5, len(data) // 10 * 9, len(data) // 20)
    harmed = [data[:begin] + rng.bytes(3000) + data[begin + 3000 :] for begin in places]
    told = [only(file[: len(data)]).image is None for file in harmed]
    assert len(told) == 14
    assert sum(told) >= least  # it is no check sum: where all codes are about as long, by chance an end fits


@pytest.mark.parametrize("lossless", [True, False])
def test_what_follows_the_pixels_of_a_webp_is_no_part_of_them(lossless: bool) -> None:
    tags = Image.Exif()
    tags[0x10F] = "x" * 300
    for columns in range(100, 160, 7):
        whole = saved("WEBP", COLOUR[:, :columns], lossless=lossless, exif=tags, xmp=b"<x/>" * 40)
        assert only(whole).error is None


@pytest.mark.parametrize("kind", ["bmp", "ppm", "pgm", "ras", "tiff"])
def test_random_bytes_in_the_place_of_pixels_are_told(kind: str) -> None:
    data = FILES[kind]
    for begin in range(len(data) // 6, len(data) // 2, len(data) // 9):
        assert only(data[:begin] + np.random.default_rng(begin).bytes(5000) + data[begin + 5000 :]).image is None


@pytest.mark.parametrize("kind", ["png", "png, gray", "tiff, deflate"])
def test_one_wrong_bit_under_a_check_sum_is_told(kind: str) -> None:
    data = bytearray(FILES[kind])
    for place in range(len(data) // 4, len(data) // 4 * 3, len(data) // 9):
        data[place] ^= 4
        assert only(bytes(data)).image is None
        data[place] ^= 4


@pytest.mark.parametrize("mode", ["ragged", "border", "white"])
@pytest.mark.parametrize("suffix", [".bmp", ".pgm", ".tif", ".ras", ".png", ".webp", ".jp2"])
def test_black_and_white_parts_of_a_scene_are_no_damage(mode: str, suffix: str) -> None:
    image = GRAY.copy()
    if mode == "border":
        image[:30] = image[-30:] = 0
    elif mode == "ragged":
        image = np.where(_ROWS + _NOISE // 3 > 60, 0, image).astype(np.uint8)
    else:
        image[:] = 255
    assert only(written(suffix, image)).error is None


@pytest.mark.parametrize(
    "data",
    [several("TIFF"), several("TIFF", compression="tiff_lzw"), several("PNG"), several("WEBP", lossless=True)],
    ids=["TIFF", "TIFF, LZW", "APNG", "WebP"],
)
def test_every_page_and_frame_is_a_picture(data: bytes) -> None:
    found = read(data)
    assert [picture.page for picture in found] == [1, 2, 3]
    for number, picture in enumerate(found):
        np.testing.assert_array_equal(picture.image, np.roll(COLOUR, 40 * number, axis=1))


def test_a_damaged_page_does_not_take_the_others_with_it() -> None:
    data = bytearray(several("TIFF", compression="tiff_adobe_deflate"))
    data[len(data) // 2] ^= 16
    assert [picture.image is None for picture in read(bytes(data))] == [False, True, False]


def test_frames_of_a_gif_are_pictures_or_it_is_said_what_is_missing() -> None:
    data = several("GIF")
    found = read(data)
    assert [picture.page for picture in found] == [1, 2, 3]
    assert all((picture.image is None) != (picture.error is None) for picture in found)
    assert all(picture.image is None for picture in read(data[: len(data) // 2]))


def test_the_lit_bits_of_the_first_picture_hold_for_the_source() -> None:
    said: list[str] = []
    reading = Reading(Depth(say=said.append))
    found = only(written(".png", GRAY.astype(np.uint16) * 16), reading)
    np.testing.assert_array_equal(found.image, np.dstack([GRAY] * 3))
    brighter = only(written(".png", GRAY.astype(np.uint16) * 257), reading)
    assert brighter.error is not None
    assert "more than 12 bits" in brighter.error
    assert len(said) == 1
    assert "12 bits" in said[0]


def test_of_a_depth_that_was_guessed_much_darker_pictures_are_not_judged() -> None:
    reading = Reading()
    assert only(written(".png", GRAY.astype(np.uint16) * 257), reading).error is None
    assert "of another depth" in only(written(".png", GRAY.astype(np.uint16) * 16), reading).error
    assert "too dark" in only(written(".png", GRAY.astype(np.uint16) // 8), Reading()).error


def test_a_declared_depth_is_kept_to() -> None:
    dark = GRAY.astype(np.uint16) * 2
    assert only(written(".png", dark), Reading(Depth(12))).image.max() == int(dark.max()) >> 4
    assert "more than 8 bits" in only(written(".png", dark), Reading(Depth(8))).error


def test_a_pgm_says_its_own_depth() -> None:
    data = b"P5\n160 120\n4095\n" + (GRAY.astype(np.uint16) * 16).astype(">u2").tobytes()
    np.testing.assert_array_equal(only(data).image, np.dstack([GRAY] * 3))


def test_a_pgm_of_few_grays_becomes_bright() -> None:
    assert only(b"P5\n160 120\n15\n" + (GRAY >> 4).tobytes()).image.max() == int(GRAY.max() >> 4) * 17


def test_floating_point_numbers_are_refused() -> None:
    assert "floating-point" in only(written(".tif", GRAY.astype(np.float32))).error
    assert "floating-point" in only(b"Pf\n4 4\n-1.0\n" + bytes(64)).error


def test_transparency_is_laid_on_what_was_declared_and_refused_otherwise() -> None:
    ink = np.dstack([np.zeros_like(COLOUR), 255 - GRAY])
    data = written(".png", ink)
    assert "--background" in only(data).error
    found = only(data, Reading(background=(255, 255, 255))).image
    assert np.abs(found.astype(int) - GRAY[..., None]).max() <= 1


@pytest.mark.parametrize("alpha", [0, 255])
def test_an_alpha_of_one_value_says_nothing(alpha: int) -> None:
    image = np.dstack([COLOUR, np.full_like(GRAY, alpha)])
    np.testing.assert_array_equal(only(written(".png", image)).image, COLOUR)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "L", "RGBA"])
def test_modes_of_png_are_read(mode: str) -> None:
    file = io.BytesIO()
    picture = Image.fromarray(COLOUR[..., ::-1]).convert(mode)
    picture.save(file, "PNG")
    expected = np.asarray(picture.convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(only(file.getvalue()).image, expected)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\x0a" + bytes(60), "JPEG XL"),
        (b"v/1\x01" + bytes(60), "OpenEXR"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "camera raw"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(60), "camera raw"),
        (b"8BPS" + bytes(60), "Photoshop"),
        (b"", "empty"),
        (b"no picture at all", "unknown kind"),
    ],
)
def test_kinds_that_cannot_be_read_are_named(data: bytes, words: str) -> None:
    assert words in only(data).error


def test_a_dng_is_a_raw_picture() -> None:
    tags = struct.pack("<H", 1) + struct.pack("<HHI4s", 50706, 1, 4, b"\1\4\0\0") + bytes(4)
    assert "DNG" in only(b"II*\0\x08\0\0\0" + tags).error


def test_text_is_no_picture() -> None:
    assert kind_of(b'{"shapes": []}') is None
    assert kind_of(b"BMW and other cars of which") is None
    assert kind_of(b"Please") is None


def test_a_bomb_is_refused_by_its_header() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 32767, 32767, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    assert "too many pixels" in only(data).error


def test_a_picture_larger_than_planned_says_what_it_takes() -> None:
    assert "raise --memory-limit" in only(FILES["png"], Reading(room=Room(kept=9000))).error


def test_a_damaged_header_takes_neither_time_nor_memory() -> None:
    wide = FILES["ras"][:4] + b"\x80\0\x7f\xa0" + FILES["ras"][8:]
    assert only(wide).image is None
    film = bytearray(several("WEBP", lossless=True))
    film[24:30] = b"\xff\x3f\0\xff\x3f\0"
    assert "far smaller" in only(bytes(film)).error
