"""CSI cameras: the pipe of a real program; what stands for a board's camera program here is a script of that name."""

import os
import sys

import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader import csi
from edge_runtime.inspect.reader.csi import CsiAddress, PipeDecoder, Way, parse_csi, way_to
from edge_runtime.inspect.reader.decoder import DecoderSettings, End, Shot
from edge_runtime.inspect.reader.decoders import open_decoder
from edge_runtime.inspect.sources.open import looks_live

SMALL = CsiAddress(0, 128, 4, 30)


@pytest.fixture
def program(tmp_path):
    """A Python script as a camera's program."""

    def make(text, name="camera.py"):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable} -I\nimport os, sys, time\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_an_address_says_which_camera_and_what_is_asked_of_it():
    assert parse_csi("csi:1?width=1920&height=1080&fps=15") == CsiAddress(1, 1920, 1080, 15)
    assert parse_csi("csi:0") == CsiAddress()
    assert looks_live("csi:0")
    for text, what in [
        ("csi:a", "no number: number"),
        ("csi:0?size=3", "unknown: size"),
        ("csi:0?width=1000", "multiple of 128"),
        ("csi:0?fps=0", "fps at least 1"),
    ]:
        with pytest.raises(SourceError, match=what):
            parse_csi(text)


def test_pictures_are_cut_out_of_what_a_program_writes_and_its_end_says_why(program):
    way = Way(
        "cam",
        (program("o = sys.stdout.buffer\nfor n in range(3): o.write(bytes([n]) * 1536); o.flush()\no.write(b'x' * 9)\n"
                 "o.flush()\nprint('ribbon cable lost', file=sys.stderr)\nsys.exit(3)"),),
        "bgr",
    )  # fmt: skip
    decoder = PipeDecoder(way, SMALL, 60.0)
    shots = [decoder.read() for _ in range(3)]
    assert [(shot.number, int(shot.image.max()), shot.image.shape) for shot in shots] == [
        (n, n, (4, 128, 3)) for n in range(3)
    ]
    assert decoder.read() == End("cam ended with 3, 9 bytes into a picture: ribbon cable lost")
    decoder.close()
    assert isinstance(decoder.read(), End)


def test_what_a_program_says_on_its_stdout_is_not_in_the_picture(program):
    way = Way(
        "cam", (program("print('hello', flush=True)\nos.write(int(sys.argv[1]), b'\\7' * 1536)"), "{pipe}"), "bgr", True
    )
    decoder = PipeDecoder(way, SMALL, 60.0)
    shot = decoder.read()
    assert isinstance(shot, Shot)
    assert (shot.image == 7).all()
    assert decoder.read() == End("cam ended with 0: hello")
    decoder.close()


def test_a_program_that_hangs_is_ended(program):
    way = Way("cam", (program("time.sleep(3600)"),), "bgr")
    patient = PipeDecoder(way, SMALL, 3600.0)
    assert patient.read(0.0) is None
    patient.close()
    decoder = PipeDecoder(way, SMALL, 0.05)
    assert decoder.read() == End("cam gave nothing for 0.05 s")
    decoder.close()
    assert decoder._process.poll() is not None


def test_the_program_of_a_raspberry_pi_is_asked_for_plain_pixels(program, tmp_path, monkeypatch):
    program(
        "asked = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "assert asked['--codec'] == 'yuv420' and asked['--camera'] == '1', asked\n"
        "size = int(asked['--width']) * int(asked['--height'])\n"
        "os.write(1, bytes([235]) * size + bytes([128]) * (size // 2))",
        "rpicam-vid",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(csi, "find_spec", lambda name: None)
    decoder = open_decoder(DecoderSettings("csi:1?width=128&height=4", "camera", "csi", read_timeout=60.0))
    shot = decoder.read()
    assert isinstance(shot, Shot)
    assert np.asarray(shot.image).min() >= 254  # white
    assert decoder.facts.decoder == "rpicam-vid"
    decoder.close()


def test_where_nothing_reads_such_cameras_it_is_said_what_was_looked_for(monkeypatch):
    monkeypatch.setattr(csi, "find_spec", lambda name: None)
    monkeypatch.setattr(csi, "way_to", lambda asked: way_to(asked, lambda program: None))
    with pytest.raises(SourceError, match="looked for picamera2, rpicam-vid"):
        open_decoder(DecoderSettings("csi:0", "camera", "csi"))


def test_a_jetson_is_asked_through_gstreamer(monkeypatch):
    monkeypatch.setattr(csi, "_has", lambda element: element == "nvarguscamerasrc")
    way = way_to(CsiAddress(1), lambda program: None if "vid" in program else program)
    assert way is not None
    assert (way.name, way.apart) == ("nvarguscamerasrc", True)
    assert "sensor-id=1" in way.command
    assert way.command[-3:] == ("fdsink", "fd={pipe}", "sync=false")
