"""Image files as a source."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_export.evaluate.data import images as export_images
from edge_runtime.errors import DataError
from edge_runtime.inspect.sources import IMAGE_SUFFIXES, FakeSource, Frame, ImageSource, read_image
from edge_runtime.inspect.sources.images import images_in, natural_key, sort_files

PICTURE = np.random.default_rng(7).integers(0, 256, (48, 64, 3)).astype(np.uint8)


def save(path: Path, image: np.ndarray = PICTURE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def huge_png(side: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def test_img2_comes_before_img10() -> None:
    names = ["img10.png", "img2.png", "a/img3.png", "img2b.png", "7.png"]
    ordered = [str(p) for p in sorted(map(Path, names), key=natural_key)]
    assert ordered == ["7.png", "a/img3.png", "img2.png", "img2b.png", "img10.png"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    paths = [Path(name) for name in names]
    ordered = sorted(paths, key=natural_key)
    assert [natural_key(path) for path in ordered] == sorted(map(natural_key, paths))


def test_hidden_files_folders_and_other_suffixes_are_no_images(tmp_path: Path) -> None:
    for name in ("b.PNG", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in images_in(tmp_path.iterdir())] == ["b.PNG"]


@pytest.mark.parametrize("channels", ["gray", "alpha", "sixteen", "colour"])
def test_every_kind_of_png_becomes_8_bit_bgr(tmp_path: Path, channels: str) -> None:
    images: dict[str, np.ndarray] = {
        "gray": PICTURE[..., 0],
        "alpha": np.dstack([PICTURE, np.full_like(PICTURE[..., 0], 255)]),
        "sixteen": PICTURE.astype(np.uint16) * 257,
        "colour": PICTURE,
    }
    read = read_image(save(tmp_path / "a.png", images[channels]))
    assert read.dtype == np.uint8
    assert read.shape == (48, 64, 3)
    expected = PICTURE if channels != "gray" else np.repeat(PICTURE[..., :1], 3, axis=2)
    assert (read == expected).all()


def test_a_cmyk_jpeg_becomes_bgr(tmp_path: Path) -> None:
    Image.new("CMYK", (20, 10), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg")[5, 5].argmax() == 2  # red


def test_exif_orientation_turns_the_image_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (64, 48, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_a_truncated_image_is_refused(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(DataError, match=f"cannot decode: a{suffix}"):
        read_image(path)


def test_a_thumbnail_s_end_does_not_hide_that_a_jpeg_is_cut_off(tmp_path: Path) -> None:
    data = save(tmp_path / "a.jpg").read_bytes()
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data
    (tmp_path / "b.jpg").write_bytes(data[:2] + thumbnail + data[2:-200])
    with pytest.raises(DataError, match="ends early"):
        read_image(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").write_bytes(data[:2] + thumbnail + data[2:] + b"trailing bytes of a phone")
    assert read_image(tmp_path / "c.jpg").shape == (48, 64, 3)


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DataError, match="empty"):
        read_image(tmp_path / "a.jpg")


def test_a_dangling_link_is_a_picture_by_its_name_or_by_where_it_leads(tmp_path: Path) -> None:
    for name, target in (("a.png", "gone"), ("latest", "gone.jpg"), ("newest", "gone"), ("b.txt", "gone.txt")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "circle").symlink_to("circle")
    images, others = sort_files(tmp_path.iterdir())
    assert [path.name for path in images] == ["a.png", "circle", "latest", "newest"]
    assert dict(others) == {".txt": 1}


@pytest.mark.parametrize("times", [1, 5])
def test_a_file_that_is_written_to_while_it_is_read_is_read_again_and_refused_if_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    path, read, written = save(tmp_path / "a.bmp"), Path.read_bytes, list[int]()

    def read_bytes(self: Path) -> bytes:
        data = read(self)
        if len(written) < times:
            written.append(1)
            os.utime(self, ns=(len(written), len(written)))
        return data

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    (frame,) = ImageSource("a", [path])
    assert (frame.image is not None) == (times == 1)
    assert times == 1 or "written to while it was read" in str(frame.error)


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    images = images_in(tmp_path.iterdir())
    assert len(images) == 2
    for frame in ImageSource("a", images):
        assert "not a file" in str(frame.error)


def test_an_absurd_size_is_refused_without_a_traceback_of_opencv(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(huge_png(200_000))
    with pytest.raises(DataError, match="too many pixels"):
        read_image(tmp_path / "a.png")


def test_a_missing_file_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_image(tmp_path / "gone.jpg")


@settings(max_examples=50)
@given(data=st.binary(max_size=200), magic=st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM"]))
def test_no_bytes_at_all_get_past_as_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.jpg"
    path.write_bytes(magic + data)
    with contextlib.suppress(DataError):
        assert read_image(path).ndim == 3


def test_a_bad_file_among_good_ones_is_a_frame_with_an_error(tmp_path: Path) -> None:
    paths = [save(tmp_path / "1.png"), tmp_path / "2.png", save(tmp_path / "3.png")]
    paths[1].write_bytes(b"no image")
    frames = list(ImageSource("folder", paths))
    assert [frame.frame_id for frame in frames] == [0, 1, 2]
    assert [frame.image is None for frame in frames] == [False, True, False]
    assert frames[1].error is not None
    assert "2.png" in frames[1].error
    assert frames[1].path == paths[1]


def test_stems_of_equal_names_in_two_folders_differ(tmp_path: Path) -> None:
    paths = [save(tmp_path / name) for name in ("a/x.png", "b/x.png", "b/x.jpg")]
    assert [frame.stem for frame in ImageSource("glob", paths)] == ["x", "x-2", "x-3"]


def test_a_frame_has_either_an_image_or_an_error() -> None:
    with pytest.raises(ValueError, match="either"):
        Frame("s", 0, "s")
    with pytest.raises(ValueError, match="either"):
        Frame("s", 0, "s", image=PICTURE, error="but")


def test_the_fake_source_yields_pictures_and_errors() -> None:
    with_error = FakeSource([PICTURE, "gone"])
    assert [frame.error for frame in with_error] == [None, "gone"]
    with_error.close()
    assert with_error.closed


def test_the_export_half_reads_images_as_the_device_does(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg")
    whole = path.read_bytes()
    found = export_images.read_image(path)
    assert found is not None
    np.testing.assert_array_equal(found, read_image(path))
    path.write_bytes(whole[: len(whole) // 2])
    assert export_images.read_image(path) is None
    assert export_images.read_image(tmp_path / "nothing.png") is None
    assert export_images.IMAGE_SUFFIXES is IMAGE_SUFFIXES
