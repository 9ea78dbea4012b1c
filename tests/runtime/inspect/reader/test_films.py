"""Films as they are written and as they get damaged, through the reader's process: no smeared picture is given."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from places import ROOT, SHARED_DATA

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import DecoderSettings, End, Shot, Way
from edge_runtime.inspect.reader.process import ReaderProcess

BELT = ROOT / "samples/pcb/belt.mp4"
FIVE = SHARED_DATA.parent / "cases/run/interlaced/five.ts"
COUNT = 40
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the command ffmpeg, of Debian's ffmpeg")
needs_av = pytest.mark.skipif(find_spec("av") is None, reason="needs the extra [video]")
BOTH = [pytest.param("av", marks=needs_av), "opencv"]
# name: what ffmpeg is told
KINDS = {
    "mpeg4.avi": "-c:v mpeg4 -q:v 3 -g 12",
    "h264.mp4": "-c:v libx264 -preset ultrafast -g 12",
    "h264-b.ts": "-c:v libx264 -preset veryfast -g 12 -bf 2",
    "mpeg2.ts": "-c:v mpeg2video -q:v 3 -r 25",
    "mjpeg.avi": "-c:v mjpeg -q:v 3",
    "vp9.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -g 12",
    "prores.mov": "-c:v prores_ks",
    # A positive speed of VP8 follows the clock: each busy machine would write another film.
    "vp8.webm": "-c:v libvpx -deadline realtime -cpu-used -8 -b:v 2M -g 12",
    "wmv2.wmv": "-c:v wmv2 -q:v 3 -g 12",
    "intra-refresh.mp4": "-c:v libx264 -preset veryfast -x264opts intra-refresh=1",
    "ffv1.mkv": "-c:v ffv1 -g 12 -slicecrc 0",
    "raw.avi": "-c:v rawvideo -pix_fmt bgr24",
    "huffyuv.avi": "-c:v huffyuv -pix_fmt yuv422p",
    "apng.apng": "-c:v apng -pix_fmt rgb24",
    "gif.gif": "-c:v gif -pix_fmt rgb8",
}
INTERLACED = {
    "mpeg2i.ts": "-c:v mpeg2video -q:v 3 -flags +ildct+ilme -top 1 -r 25",
    "h264i.mp4": "-c:v libx264 -preset veryfast -flags +ildct+ilme -x264opts tff=1",
}
# What is deinterlaced, or not judged, in every OpenCV: the codec says it itself, or its container does.
WOVEN = {
    **INTERLACED,
    "h264i.ts": "-c:v libx264 -preset ultrafast -x264opts bff=1:nal-hrd=vbr:vbv-maxrate=3000:vbv-bufsize=3000",
    "mpeg4i.avi": "-c:v mpeg4 -q:v 3 -flags +ildct+ilme",
    "hevci.mp4": "-c:v libx265 -preset ultrafast -x265-params log-level=none:interlace=tff",
    "proresi.mov": "-c:v prores_ks -flags +ildct -vf setfield=tff",
    "dv.dv": "-c:v dvvideo -s 720x576 -r 25",
    "dnxhdi.mov": "-c:v dnxhd -s 1920x1080 -r 25 -b:v 120M -pix_fmt yuv422p -flags +ildct -vf setfield=tff -frames:v 4",
    "ffv1i.mkv": "-c:v ffv1 -vf setfield=bff -field_order bb",
    "v210i.mov": "-c:v v210 -vf setfield=tff -field_order tt",
    "mjpegi.mov": "-c:v mjpeg -q:v 3 -vf setfield=tff -field_order tt",
    "rawi.y4m": "-vf setfield=bff",
}
# What a container alone says, and the decoder does not.
SAID_BY_CONTAINER = ("mjpegi.mov", "rawi.y4m")


@pytest.fixture(scope="module")
def reader() -> Iterator[ReaderProcess]:
    made = ReaderProcess()
    yield made
    made.close()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, flags in {**KINDS, **WOVEN}.items():
        pixels = [] if name.startswith(("prores", "dnxhd", "v210")) or "pix_fmt" in flags else ["-pix_fmt", "yuv420p"]
        words = ["ffmpeg", "-v", "error", "-i", str(BELT), "-s", "320x320", *pixels, "-frames:v", str(COUNT)]
        subprocess.run([*words, *flags.split(), str(folder / name)], check=True, stdin=subprocess.DEVNULL)
    return folder


def shots(reader: ReaderProcess, film: Path, decoder: str) -> list[Shot]:
    opened = reader.open(DecoderSettings(str(film), "file", decoder))
    found = []
    while isinstance(shot := opened.read(), Shot):
        found.append(shot)
    opened.close()
    return found


def zeroed(film: Path, folder: Path, begin: float = 0.5, end: float = 0.54) -> Path:
    data = bytearray(film.read_bytes())
    first, last = int(len(data) * begin), int(len(data) * end)
    data[first:last] = bytes(last - first)
    (folder / film.name).write_bytes(data)
    return folder / film.name


@needs_ffmpeg
@pytest.mark.parametrize("decoder", BOTH)
@pytest.mark.parametrize("name", KINDS)
def test_an_honest_film_has_no_error(reader: ReaderProcess, films: Path, name: str, decoder: str) -> None:
    found = shots(reader, films / name, decoder)
    assert [shot.error for shot in found if shot.error] == []
    assert len(found) == COUNT


@needs_ffmpeg
@pytest.mark.parametrize("decoder", BOTH)
@pytest.mark.parametrize("name", KINDS)
def test_of_a_film_with_a_zeroed_middle_no_smeared_picture_is_given(
    reader: ReaderProcess, films: Path, tmp_path: Path, name: str, decoder: str
) -> None:
    honest = {shot.image.tobytes() for shot in shots(reader, films / name, decoder) if shot.image is not None}
    found = shots(reader, zeroed(films / name, tmp_path), decoder)
    assert [shot.number for shot in found if shot.image is not None and shot.image.tobytes() not in honest] == []
    assert any(shot.error for shot in found)
    if decoder == "av" and any(shot.whole for shot in found[COUNT * 2 // 3 :]):
        assert found[-1].image is not None  # it goes on after the next whole picture


@needs_ffmpeg
@needs_av
@pytest.mark.parametrize("name", [*INTERLACED, *SAID_BY_CONTAINER])
def test_interlaced_pictures_are_deinterlaced(reader: ReaderProcess, films: Path, name: str) -> None:
    found = shots(reader, films / name, "av")
    assert len(found) == COUNT
    assert all(shot.interlaced and shot.image is not None for shot in found)
    straight = shots(reader, films / "mpeg4.avi", "av")
    for one, other in zip(found, straight, strict=True):
        assert one.image is not None
        assert other.image is not None
        assert np.abs(one.image.astype(int) - other.image.astype(int)).mean() < 20


@needs_ffmpeg
@pytest.mark.parametrize("name", WOVEN)
def test_with_opencv_alone_no_interlaced_picture_is_given(reader: ReaderProcess, films: Path, name: str) -> None:
    found = shots(reader, films / name, "opencv")
    assert [shot.error for shot in found if "edgeline[video]" not in (shot.error or "")] == []
    assert found


@needs_ffmpeg
@pytest.mark.parametrize("name", ["mpeg2i.ts", "h264i.ts", "mpeg4i.avi"])
def test_with_opencv_alone_no_interlaced_stream_is_judged(reader: ReaderProcess, films: Path, name: str) -> None:
    opened = reader.open(DecoderSettings(f"file://{films / name}", "stream", "opencv"))
    first = opened.read()
    opened.close()
    assert isinstance(first, Shot)
    assert "edgeline[video]" in (first.error or "")


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "flags"), [("cinepak.avi", "-c:v cinepak"), ("ljpeg.avi", "-c:v ljpeg -pix_fmt bgr24")]
)
def test_with_opencv_alone_a_codec_that_nothing_is_known_of_is_not_judged(
    reader: ReaderProcess, tmp_path: Path, name: str, flags: str
) -> None:
    words = ["ffmpeg", "-v", "error", "-i", str(BELT), "-s", "320x320", *flags.split(), "-frames:v", "4"]
    subprocess.run([*words, str(tmp_path / name)], check=True, stdin=subprocess.DEVNULL)
    with pytest.raises(SourceError, match=r"edgeline\[video\]|OpenCV lacks"):
        reader.open(DecoderSettings(str(tmp_path / name), "file", "opencv"))


@needs_ffmpeg
@pytest.mark.parametrize("decoder", BOTH)
def test_of_gxf_which_counts_fields_every_picture_is_given(reader: ReaderProcess, tmp_path: Path, decoder: str) -> None:
    words = ["ffmpeg", "-v", "error", "-i", str(BELT), "-vf", "scale=576:576,pad=720:576", "-r", "25", "-frames:v", "9"]
    subprocess.run([*words, "-c:v", "mpeg2video", str(tmp_path / "a.gxf")], check=True, stdin=subprocess.DEVNULL)
    opened = reader.open(DecoderSettings(str(tmp_path / "a.gxf"), "file", decoder))
    assert opened.facts.frames is None
    opened.close()
    assert [shot.error for shot in shots(reader, tmp_path / "a.gxf", decoder)] == [None] * 9


@needs_ffmpeg
@needs_av
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("still.ogv", "-loop 1 -c:v libtheora -pix_fmt yuv420p"),  # what repeats a picture has no data
        ("tiff.mov", "-c:v tiff -pix_fmt rgb24"),
        ("lzw.mov", "-c:v tiff -compression_algo lzw -pix_fmt rgb24"),
    ],
)
def test_what_decoders_complain_of_without_need_is_given(
    reader: ReaderProcess, tmp_path: Path, name: str, flags: str
) -> None:
    source = [str(ROOT / "samples/pcb/images/board-00.png")] if "-loop" in flags else [str(BELT)]
    words = ["ffmpeg", "-v", "error", *(["-loop", "1"] if "-loop" in flags else []), "-i", *source, "-s", "320x320"]
    words += [*flags.replace("-loop 1 ", "").split(), "-frames:v", "6", str(tmp_path / name)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    found = shots(reader, tmp_path / name, "av")
    assert [(shot.number, shot.error) for shot in found] == [(number, None) for number in range(6)]


SIZED = {
    "a.hevc": "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=0",
    "a.h264": "-c:v libx264 -preset ultrafast",
    "a.m2v": "-c:v mpeg2video -r 25",
    "vp8.webm": "-c:v libvpx -deadline realtime -cpu-used 8",
    "vp9.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8",
}


@needs_ffmpeg
@pytest.mark.parametrize("way", ["file", "stream"])
@pytest.mark.parametrize("name", SIZED)
def test_with_opencv_alone_no_picture_of_another_size_than_the_first_is_given(
    reader: ReaderProcess, tmp_path: Path, name: str, way: Way
) -> None:
    if (name, way) == ("vp8.webm", "stream"):
        pytest.skip("VP8's decoder says nothing of sizes, and a stream's packets are not seen")
    parts = [tmp_path / f"{number}{name}" for number in range(2)]
    for part, size in zip(parts, ("320x320", "192x192"), strict=True):
        words = ["ffmpeg", "-v", "error", "-i", str(BELT), "-s", size, "-pix_fmt", "yuv420p", "-frames:v", "12"]
        subprocess.run([*words, *SIZED[name].split(), str(part)], check=True, stdin=subprocess.DEVNULL)
    film = tmp_path / name
    if film.suffix != ".webm":
        film.write_bytes(b"".join(part.read_bytes() for part in parts))
    else:
        (tmp_path / "parts.txt").write_text("".join(f"file {part.name}\n" for part in parts))
        words = ["ffmpeg", "-v", "error", "-f", "concat", "-i", str(tmp_path / "parts.txt"), "-c", "copy", str(film)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    opened = reader.open(DecoderSettings(str(film) if way == "file" else f"file://{film}", way, "opencv"))
    found = []
    while isinstance(shot := opened.read(), Shot):
        found.append(shot)
    opened.close()
    given = [shot.number for shot in found if shot.image is not None]
    assert given
    assert max(given) < 12
    said = [shot.reason] if isinstance(shot, End) and way == "stream" else [one.error for one in found]
    assert any("changed" in (reason or "") for reason in said)


@needs_ffmpeg
@pytest.mark.parametrize("decoder", BOTH)
def test_damage_of_one_film_is_not_said_of_another_that_is_read_at_the_same_time(
    reader: ReaderProcess, films: Path, tmp_path: Path, decoder: str
) -> None:
    (tmp_path / "torn").mkdir()
    damaged = reader.open(
        DecoderSettings(str(zeroed(films / "h264.mp4", tmp_path / "torn", 0.2, 0.6)), "file", decoder)
    )
    whole = reader.open(DecoderSettings(str(films / "h264-b.ts"), "file", decoder))
    found: list[list[str | None]] = [[], []]
    for _ in range(COUNT):
        for place, opened in enumerate((damaged, whole)):
            if isinstance(shot := opened.read(), Shot):
                found[place].append(shot.error)
    damaged.close()
    whole.close()
    assert any(found[0])
    assert found[1] == [None] * COUNT


@needs_ffmpeg
def test_what_may_be_interlaced_but_says_of_each_picture_that_it_is_not_is_given(
    reader: ReaderProcess, tmp_path: Path
) -> None:
    film = tmp_path / "progressive.ts"
    flags = "-c:v libx264 -preset ultrafast -x264opts fake-interlaced=1:pic-struct=1 -pix_fmt yuv420p -frames:v 8"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(BELT), *flags.split(), str(film)], check=True)
    assert [shot.error for shot in shots(reader, film, "opencv")] == [None] * 8


@needs_av
@pytest.mark.skipif(not FIVE.exists(), reason="needs ../shared/cases")
def test_the_interlaced_case_is_read(reader: ReaderProcess) -> None:
    assert [shot.error for shot in shots(reader, FIVE, "av")] == [None] * 5


@needs_av
def test_both_decoders_give_the_same_picture_of_the_sample(reader: ReaderProcess) -> None:
    for one, other in zip(shots(reader, BELT, "av"), shots(reader, BELT, "opencv"), strict=True):
        assert one.image is not None
        assert other.image is not None
        assert np.abs(one.image.astype(int) - other.image.astype(int)).max() <= 2
        assert one.pts == pytest.approx(other.pts, abs=0.001)


@needs_ffmpeg
@needs_av
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("odd.mkv", "-s 321x319 -c:v ffv1 -pix_fmt bgr0"),
        ("from-below.avi", "-s 320x320 -c:v rawvideo -pix_fmt bgr24"),
        ("raw.nut", "-s 321x319 -c:v rawvideo -pix_fmt bgr24"),
        ("on-its-side.mp4", "-s 320x240 -c:v mpeg4 -metadata:s:v rotate=90"),
    ],
)
def test_rows_of_any_length_and_order_are_read_as_ffmpeg_reads_them(
    reader: ReaderProcess, tmp_path: Path, name: str, flags: str
) -> None:
    film = str(tmp_path / name)
    words = ["ffmpeg", "-v", "error", "-i", str(BELT), *flags.split(), "-frames:v", "3", film]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    words = ["ffmpeg", "-v", "error", "-i", film, "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    raw = subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True).stdout
    found = shots(reader, tmp_path / name, "av")
    assert [shot.error for shot in found] == [None] * 3
    pictures = b"".join(bytes(shot.image) for shot in found if shot.image is not None)
    assert np.abs(np.frombuffer(pictures, np.uint8).astype(int) - np.frombuffer(raw, np.uint8)).max() <= 2


@needs_ffmpeg
@needs_av
def test_a_film_on_its_side_is_turned_after_damage_too(reader: ReaderProcess, tmp_path: Path) -> None:
    upright, film = tmp_path / "upright.mp4", tmp_path / "on-its-side.mp4"
    codec = "-s 320x240 -c:v libx264 -preset ultrafast -g 10 -frames:v 40"
    for before, flags, after in [(BELT, codec, upright), (upright, "-c copy -metadata:s:v rotate=90", film)]:
        words = ["ffmpeg", "-v", "error", "-i", str(before), *flags.split(), str(after)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    data = bytearray(film.read_bytes())
    place = len(data) // 3
    data[place : place + 300] = bytes(value % 251 for value in range(300))
    film.write_bytes(data)
    found = shots(reader, film, "av")
    assert any(shot.error for shot in found)
    assert found[-1].image is not None
    assert {np.asarray(shot.image).shape for shot in found if shot.image is not None} == {(320, 240, 3)}


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs ../shared/data/videos")
@pytest.mark.parametrize("decoder", BOTH)
def test_the_films_of_others_have_no_error(reader: ReaderProcess, decoder: str) -> None:
    for film in sorted((SHARED_DATA / "videos").glob("*bottle*")) + sorted((SHARED_DATA / "videos").glob("*.gif")):
        assert [shot.error for shot in shots(reader, film, decoder) if shot.error] == []
