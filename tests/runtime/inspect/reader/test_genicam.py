"""GenICam cameras: by the GenTL producer with three made-up cameras that comes with the package genicam."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import DecoderSettings, End, Shot
from edge_runtime.inspect.reader.decoders import open_decoder
from edge_runtime.inspect.reader.genicam import as_bgr, producers
from edge_runtime.inspect.sources.open import looks_live


@pytest.fixture(scope="module")
def cti():
    pytest.importorskip("harvesters", reason="needs the extra [genicam]")
    genicam = pytest.importorskip("genicam")
    file = Path(genicam.__file__).with_name("viky.cti")
    if not file.is_file():
        pytest.skip("this version of genicam brings no cameras to try")
    return file


def opened(address):
    return open_decoder(DecoderSettings(address, "camera", "genicam", read_timeout=60.0))


@pytest.mark.parametrize(("name", "channel"), [("VikyTL_DEV_red", 2), ("1", 1), ("VikyTL_DEV_blue", 0)])
def test_a_camera_is_found_by_its_names_and_its_colours_are_right(cti, name, channel):
    decoder = opened(f"genicam:{name}?cti={cti}")
    try:
        shots = [decoder.read() for _ in range(3)]
        assert all(isinstance(shot, Shot) and shot.error is None for shot in shots)
        assert [shot.number for shot in shots] == [0, 1, 2]
        assert shots[0].image.shape == (decoder.facts.height, decoder.facts.width, 3)
        means = np.asarray(shots[-1].image).reshape(-1, 3).mean(0)
        assert int(means.argmax()) == channel
    finally:
        decoder.close()
    assert isinstance(decoder.read(), End)
    decoder.close()


def test_a_camera_that_is_not_there_is_told_with_those_that_are(cti):
    with pytest.raises(SourceError, match=r"no GenICam cameras are called 'x'; there are: VikyTL_DEV_red 0; .*green"):
        opened(f"genicam:x?cti={cti}")


def test_a_file_that_is_no_producer_is_no_camera(cti, tmp_path):
    (tmp_path / "bad.cti").write_bytes(b"no library")
    with pytest.raises(SourceError):
        opened(f"genicam:0?cti={tmp_path / 'bad.cti'}")


def test_producers_are_where_their_installers_say(tmp_path):
    (tmp_path / "a.cti").write_bytes(b"")
    assert producers(None, {"GENICAM_GENTL64_PATH": f"/nowhere:{tmp_path}"}) == [tmp_path / "a.cti"]
    with pytest.raises(SourceError, match=r"GENICAM_GENTL64_PATH names no folder with a \.cti"):
        producers(None, {})
    with pytest.raises(SourceError, match="there is no GenTL producer"):
        producers(str(tmp_path / "b.cti"))
    assert looks_live("genicam:22334455")


@pytest.mark.parametrize(
    ("pixels", "first"), [("BayerRG8", "RG"), ("BayerGR8", "GR"), ("BayerGB8", "GB"), ("BayerBG8", "BG")]
)
def test_a_bayer_pattern_is_named_by_its_first_pixels(pixels, first):
    colours = {"R": 250, "G": 120, "B": 10}
    second = {"RG": "GB", "GR": "BG", "GB": "RG", "BG": "GR"}[first]
    data = np.zeros((16, 16), np.uint8)
    for row, names in enumerate((first, second)):
        for column, name in enumerate(names):
            data[row::2, column::2] = colours[name]
    picture = as_bgr(data.ravel(), pixels, 16, 16)
    assert picture[8, 8].tolist() == [10, 120, 250]


def test_gray_of_more_bits_keeps_its_upper_eight():
    data = np.array([[0, 4095], [2048, 16]], np.uint16)
    assert as_bgr(data.ravel(), "Mono12", 2, 2)[:, :, 0].tolist() == [[0, 255], [128, 1]]
    red = np.zeros((2, 2, 3), np.uint8)
    red[:, :, 0] = 9
    assert as_bgr(red.ravel(), "RGB8", 2, 2)[0, 0].tolist() == [0, 0, 9]
    assert (as_bgr(red.ravel(), "BGR8", 2, 2) == red).all()
    assert (as_bgr(red[:, :, 0].ravel(), "Mono8", 2, 2) == cv2.cvtColor(red[:, :, 0], cv2.COLOR_GRAY2BGR)).all()
    with pytest.raises(ValueError, match="reshape"):
        as_bgr(red.ravel()[:-1], "RGB8", 2, 2)
