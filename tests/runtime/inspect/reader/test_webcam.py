"""Web cameras with the habits of real ones, on the loopback."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from web_cameras import Camera, Serve

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader import http
from edge_runtime.inspect.reader.decoder import Decoder, DecoderFacts, DecoderSettings, End, FakeDecoder, Shot
from edge_runtime.inspect.reader.http import Chunks
from edge_runtime.inspect.reader.webcam import MjpegDecoder, decode_picture, open_webcam
from edge_runtime.inspect.sources import Frame, LiveOptions, SourceOptions, open_source

PICTURES = [cv2.imencode(".jpg", np.full((48, 64, 3), value * 40, np.uint8))[1].tobytes() for value in range(5)]
PNG = cv2.imencode(".png", np.full((48, 64, 3), 200, np.uint8))[1].tobytes()
SECRET = "ses/am@e:7?#"


@pytest.fixture
def camera() -> Iterator[Callable[[Serve], Camera]]:
    made: list[Camera] = []

    def make(serve: Serve) -> Camera:
        made.append(Camera(serve))
        return made[-1]

    yield make
    for one in made:
        one.close()


def sends(*pieces: bytes) -> Serve:
    return lambda stream, head: [stream.sendall(piece) for piece in pieces] and None


def opened(camera: Camera, user: str = "", **settings: float) -> Decoder:
    asked = DecoderSettings(f"http://{user}{camera.place}/video?channel=1", "stream", **settings)  # type: ignore[arg-type]
    return open_webcam(asked, decode_picture, lambda _: FakeDecoder([], DecoderFacts("others")))


def given(decoder: Decoder) -> list[int | str | None]:
    """The pictures' values, the reasons why there is none, and last that of the end."""
    found: list[int | str | None] = []
    while not isinstance(read := decoder.read(), End):
        if read is not None:
            found.append(read.error if read.image is None else round(float(read.image.mean())))
    decoder.close()
    return [*found, read.reason]


def parts(
    boundary: bytes = b"--frame", length: int | None = 0, first: bool = True, line: bytes = b"\r\n"
) -> list[bytes]:
    pieces = []
    for number, picture in enumerate(PICTURES):
        size = b"" if length is None else b"content-LENGTH: %d" % (len(picture) + length) + line
        before = boundary + line if number or first else b""
        pieces.append(before + b"Content-Type: image/jpeg" + line + size + line + picture + line)
    return pieces


def typed(kind: bytes, *more: bytes) -> bytes:
    return b"".join([b"HTTP/1.1 200 OK\r\nContent-Type: ", kind, b"\r\n", *more, b"\r\n"])


MIXED = typed(b"multipart/x-mixed-replace; boundary=frame")
HABITS: dict[str, list[bytes]] = {
    "plain": [MIXED, *parts()],
    "boundary in quotes with dashes": [typed(b'multipart/x-mixed-replace;boundary="--frame"'), *parts()],
    "no boundary before the first": [MIXED, *parts(first=False)],
    "another boundary than declared": [MIXED, *parts(b"--ThisRandomString")],
    "a boundary without dashes": [MIXED, *parts(b"frame")],
    "none declared": [typed(b"multipart/x-mixed-replace"), *parts()],
    "no length": [MIXED, *parts(length=None)],
    "a length too large": [MIXED, *parts(length=7)],
    "a length too small": [MIXED, *parts(length=-9)],
    "lines end with a line feed": [
        b"HTTP/1.0 200 OK\nContent-Type: multipart/x;boundary=x\n\n",
        *parts(line=b"\n"),
    ],
    "no type": [b"HTTP/1.1 200 OK\r\n\r\n", *parts()],
    "no head at all": [*parts()],
    "ICY": [b"ICY 200 OK\r\n\r\n", *parts()],
    "a length for the whole": [MIXED[:-2] + b"Content-Length: 0\r\n\r\n", *parts()],
    "pictures and nothing between": [typed(b"video/x-motion-jpeg"), *PICTURES],
    "chunked": [
        MIXED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n",
        *(b"%x;a=b\r\n" % len(part) + part + b"\r\n" for part in parts()),
        b"0\r\n\r\n",
    ],
}


@pytest.mark.parametrize("habit", HABITS)
def test_every_picture_of_every_habit_is_given(camera: Callable[[Serve], Camera], habit: str) -> None:
    found = given(opened(camera(sends(*HABITS[habit]))))
    assert found == [0, 40, 80, 120, 160, "the camera has ended the connection"]


def test_a_part_that_is_cut_is_no_picture(camera: Callable[[Serve], Camera]) -> None:
    noise = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    half = noise[: len(noise) // 2]
    head = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"
    pieces = [half, PICTURES[1], half + b"\xff\xd9", PICTURES[2], half]
    found = given(opened(camera(sends(MIXED, *(head + piece + b"\r\n" for piece in pieces)))))
    assert [value if isinstance(value, int) else "no" for value in found] == ["no", 40, "no", 80, "no", "no"]
    assert found[0] == found[4] == "a picture that was cut off"


def test_a_part_without_end_is_a_loss(camera: Callable[[Serve], Camera], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.inspect.reader.splitter.MOST_BYTES", 100_000)
    endless = PICTURES[0][:-2] + bytes(200_000)
    assert "has no end" in str(given(opened(camera(sends(MIXED, endless))))[-1])


def test_a_server_that_drips_bytes_holds_nobody_up(camera: Callable[[Serve], Camera]) -> None:
    over = threading.Event()

    def drip(stream: socket.socket, head: str) -> None:
        stream.sendall(MIXED + PICTURES[0][:50])
        while not over.wait(0.01):
            stream.sendall(b"\0")

    found = given(opened(camera(drip), read_timeout=0.1))
    over.set()
    assert found == ["no picture for 0.1 s"]


def test_a_server_that_never_answers_is_given_up_in_time(camera: Callable[[Serve], Camera]) -> None:
    over = threading.Event()
    with pytest.raises(SourceError, match="no answer within"):
        opened(camera(lambda stream, head: over.wait() and None), open_timeout=0.1)
    over.set()


def test_a_web_page_is_no_camera(camera: Callable[[Serve], Camera]) -> None:
    with pytest.raises(SourceError, match="text/html, not with pictures: <html>log in"):
        opened(camera(sends(typed(b"text/html; charset=utf-8"), b"<html>log in</html>")))
    with pytest.raises(SourceError, match="error 503"):
        opened(camera(sends(b"HTTP/1.1 503 Busy\r\n\r\n")))


def test_what_is_no_pictures_is_left_to_the_others(camera: Callable[[Serve], Camera]) -> None:
    assert opened(camera(sends(typed(b"video/mp2t"), b"G" * 188))).facts.decoder == "others"
    assert opened(camera(sends(typed(b"application/octet-stream"), b"FLV\1"))).facts.decoder == "others"


def test_snapshots_are_asked_for_again_and_the_same_is_no_new_one(camera: Callable[[Serve], Camera]) -> None:
    answers = iter([PICTURES[1], PICTURES[1], PICTURES[2], PICTURES[2][:-20], PNG])

    def serve(stream: socket.socket, head: str) -> None:
        picture = next(answers)
        kind = b"image/png" if picture is PNG else b"image/jpeg"
        stream.sendall(typed(kind, b"Content-Length: %d\r\n" % len(picture)) + picture)

    one = camera(serve)
    decoder = open_webcam(
        DecoderSettings(f"http://{one.place}/snap.jpg", "stream", poll=0.0),
        decode_picture,
        lambda _: FakeDecoder([]),
    )
    found = [decoder.read() for _ in range(4)]
    decoder.close()
    assert [round(float(shot.image.mean())) for shot in found if isinstance(shot, Shot) and shot.image is not None] == [
        40,
        80,
        200,
    ]
    assert [shot.number for shot in found if isinstance(shot, Shot)] == [0, 1, 2, 3]
    assert isinstance(found[2], Shot)
    assert found[2].error is not None


def basic(stream: socket.socket, head: str) -> None:
    token = base64.b64encode(f"me@corp:{SECRET}".encode()).decode()
    if f"Authorization: Basic {token}" in head:
        stream.sendall(MIXED + b"".join(parts()))
    else:
        stream.sendall(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n')


def digest(algorithm: str, quality: str) -> Serve:
    def hashed(text: str) -> str:
        name = "sha256" if "SHA" in algorithm else "md5"
        return hashlib.new(name, text.encode()).hexdigest()

    def serve(stream: socket.socket, head: str) -> None:
        told = dict(re.findall(r'(\w+)="?([^",\r\n]+)"?', head.partition("Digest ")[2]))
        secret = hashed(f"me@corp:cam:{SECRET}")
        if algorithm.endswith("-sess"):
            secret = hashed(f"{secret}:n0nce:{told.get('cnonce')}")
        middle = f"n0nce:{told.get('nc')}:{told.get('cnonce')}:auth" if quality else "n0nce"
        if told.get("response") == hashed(f"{secret}:{middle}:{hashed('GET:/video?channel=1')}"):
            stream.sendall(MIXED + b"".join(parts()))
            return
        asked = (
            f'Digest realm="cam", nonce="n0nce"{quality}{f", algorithm={algorithm}" if algorithm else ""}, opaque="o"'
        )
        stream.sendall(
            f'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="cam"\r\nWWW-Authenticate: {asked}\r\n\r\n'.encode()
        )

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        basic,
        digest("", ""),
        digest("MD5", ', qop="auth,auth-int"'),
        digest("MD5-sess", ', qop="auth"'),
        digest("SHA-256", ', qop="auth"'),
    ],
)
def test_passwords_of_every_kind_open_and_are_never_shown(camera: Callable[[Serve], Camera], serve: Serve) -> None:
    one = camera(serve)
    decoder = opened(one, "me%40corp:ses%2Fam%40e%3A7%3F%23@")
    assert given(decoder)[:5] == [0, 40, 80, 120, 160]
    assert "Authorization" not in one.asked[0]
    with pytest.raises(SourceError, match=r"refused \(401\): wrong user or password") as raised:
        opened(one, "me:wrong99@")
    assert "wrong99" not in str(raised.value)
    with pytest.raises(SourceError, match="it wants a user and a password"):
        opened(one)


def test_a_redirection_is_followed_and_the_password_stays_with_its_host(camera: Callable[[Serve], Camera]) -> None:
    def to(target: str) -> Serve:
        return lambda stream, head: stream.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode())

    there = camera(basic)
    elsewhere = there.place.replace("127.0.0.1", "localhost")
    with pytest.raises(SourceError, match="it wants a user and a password"):
        opened(camera(to(f"http://{elsewhere}/video?channel=1")), f"me%40corp:{SECRET.replace('/', '%2F')}@")
    assert "Authorization" not in there.asked[0]
    with pytest.raises(SourceError, match="redirected too often"):
        opened(camera(to("/video?again")))
    with pytest.raises(SourceError, match="no web address") as raised:
        opened(camera(to("file://host/etc/passwd?k=secret")))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_chunks_are_put_together_however_they_come(size: int) -> None:
    chunks = Chunks()
    data = b"5\r\nhello\r\n1;x=y\r\n,\r\n6\r\n world\r\n0\r\n\r\n"
    assert b"".join(chunks.feed(data[at : at + size]) for at in range(0, len(data), size)) == b"hello, world"
    assert chunks.ended
    with pytest.raises(ValueError, match="int"):
        Chunks().feed(b"<html>\r\n")


def test_a_certificate_is_checked() -> None:
    context = http.ssl.create_default_context()
    assert context.verify_mode == http.ssl.CERT_REQUIRED
    assert http.get.__defaults__ is not None
    assert http.ssl.create_default_context in http.get.__defaults__


def test_a_web_camera_is_a_live_source_and_its_end_is_a_loss(camera: Callable[[Serve], Camera]) -> None:
    one = camera(sends(*HABITS["plain"]))
    options = SourceOptions(live=LiveOptions(reconnect=0.0))
    source = open_source(f"http://u:{SECRET}@{one.place}/video?k=secret", options)
    frames: list[Frame] = []
    with pytest.raises(SourceError, match="was lost") as raised:
        frames.extend(source)
    source.close()
    assert frames[-1].error is not None
    told = f"{raised.value} {[(frame.error, frame.stem) for frame in frames]} {source.name}"
    assert source.name == f"http://***@{one.place}/video?***"
    assert "ses/am" not in told
    assert "secret" not in told


def slowly(times: list[float]) -> tuple[MjpegDecoder, list[float]]:
    """A camera whose pictures come at these times, on a clock that goes on when somebody waits."""
    now = [0.0]

    class Slow:
        def read(self, timeout: float) -> bytes | None:
            if times and times[0] <= now[0] + timeout:
                now[0] = times.pop(0)
                return PICTURES[1]
            now[0] += timeout
            return None

        def close(self) -> None:
            pass

    asked = DecoderSettings("http://cam/", "stream")
    return MjpegDecoder(Slow(), asked, decode_picture, lambda: now[0]), now  # type: ignore[arg-type]


def test_a_camera_that_is_slow_by_nature_is_not_given_up_between_two_pictures() -> None:
    decoder, now = slowly([number * 15.0 for number in range(1, 20)])
    now[0] = 14.9
    decoder._since = 14.9
    found = []
    while not isinstance(read := decoder.read(1.0), End):
        found += [] if read is None else [read]
    assert len(found) == 19
    assert read.reason == "no picture for 45 s"


def test_a_camera_that_hangs_is_given_up_after_ten_seconds_when_it_was_quick() -> None:
    decoder, now = slowly([number * 0.1 for number in range(20)])
    while not isinstance(read := decoder.read(1.0), End):
        pass
    assert read.reason == "no picture for 10 s"
    assert now[0] == pytest.approx(11.9, abs=0.5)


def test_a_png_part_goes_by_the_rules_for_files() -> None:
    noise = cv2.imencode(".png", np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    assert isinstance(decode_picture(noise), np.ndarray)
    half = len(noise) // 2
    damaged = noise[:half] + bytes([noise[half] ^ 4]) + noise[half + 1 :]
    assert "check sum" in str(decode_picture(damaged))
    assert "ends early" in str(decode_picture(noise[:half]))
    glass = np.full((8, 8, 4), 100, np.uint8)
    glass[:4, :, 3] = 255
    assert "transparent" in str(decode_picture(cv2.imencode(".png", glass)[1].tobytes()))


def test_how_often_a_picture_is_asked_for_is_what_the_camera_declares(camera: Callable[[Serve], Camera]) -> None:
    def serve(stream: socket.socket, head: str) -> None:
        stream.sendall(typed(b"image/jpeg", b"Content-Length: %d\r\n" % len(PICTURES[1])) + PICTURES[1])

    decoder = opened(camera(serve), poll=5.0)
    assert decoder.facts.fps == pytest.approx(0.2)
    decoder.close()
