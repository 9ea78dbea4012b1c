"""As much of HTTP as web cameras speak: one GET, redirects, basic and digest passwords, a body as it comes.

http.client cannot go on after a time limit and insists on what cameras get wrong; this reads from the socket itself, so
that a server that sends a byte now and then cannot hold anybody up.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from edge_runtime.errors import SourceError
from edge_runtime.inspect.address import Address, parse_address

__all__ = ["Answer", "Chunks", "get"]

_MOST_HEAD = 64 << 10
_MOST_REDIRECTS = 5
_PIECE = 64 << 10
_KEEPALIVE = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}  # seconds, seconds, times
_REDIRECTS = (301, 302, 303, 307, 308)
# A server that sends no status line at all may send pictures at once.
_STATUS = re.compile(rb"(?:HTTP/\d(?:\.\d)?|ICY|RTSP/\d\.\d)[ \t]+(\d{3})[^\r\n]*\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


class Chunks:
    """Takes chunked bytes as they come and gives what is in the chunks. `ended`: the last one was there."""

    def __init__(self) -> None:
        self._data = b""
        self._left = 0
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Return the content. Raises ValueError for what is no chunk."""
        self._data += data
        found = b""
        while self._data and not self.ended:
            if self._left:
                piece = self._data[: self._left]
                found, self._data, self._left = found + piece, self._data[len(piece) :], self._left - len(piece)
                continue
            line, mark, rest = self._data.lstrip(b"\r\n").partition(b"\n")
            if not mark:
                if len(line) > 1024:
                    raise ValueError("no chunk")
                break
            self._data, self._left = rest, int(line.split(b";")[0].strip(), 16)
            self.ended = not self._left
        return found


@dataclass(eq=False)
class Answer:
    """What a server answers: headers in small letters, and a body that is read piece by piece."""

    status: int
    headers: Mapping[str, str]
    _stream: socket.socket
    _begun: bytes
    _chunks: Chunks | None = None
    _left: int | None = None

    def read(self, timeout: float) -> bytes | None:
        """Return the next piece; b"" at the end; None when nothing came in `timeout` seconds. Raises OSError."""
        if self._left == 0 or (self._chunks is not None and self._chunks.ended):
            return b""
        data, self._begun = self._begun, b""
        if not data:
            self._stream.settimeout(max(timeout, 0.001))
            try:
                data = self._stream.recv(_PIECE)
            except (TimeoutError, ssl.SSLWantReadError):
                return None
            if not data:
                return b""
        if self._chunks is not None:
            try:
                return self._chunks.feed(data) or (b"" if self._chunks.ended else None)
            except ValueError:
                raise OSError("a chunked answer that is none") from None
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data

    def unread(self, data: bytes) -> None:
        """Put the first bytes back."""
        self._begun, self._chunks = data + self._begun, self._chunks
        if self._left is not None:
            self._left += len(data)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def get(
    address: Address,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
) -> Answer:
    """Ask for an address, until `timeout` seconds are over. Raises SourceError, without secrets."""
    until = time.monotonic() + timeout
    proof = ""
    try:
        for _ in range(_MOST_REDIRECTS + 1):
            answer = _ask(address, until, {**(headers or {}), **({"Authorization": proof} if proof else {})}, context)
            if answer.status in _REDIRECTS and "location" in answer.headers:
                answer.close()
                address, proof = _redirected(address, answer.headers["location"]), ""
            elif answer.status == 401 and not proof and (address.user or address.password):
                answer.close()
                proof = _proof(answer.headers.get("www-authenticate", ""), address)
            elif answer.status in (200, 206, 304):
                return answer
            else:
                answer.close()
                raise SourceError(_refusal(answer.status, bool(proof)))
    except TimeoutError:
        raise SourceError(f"no answer within {timeout:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise SourceError(f"its certificate is not valid: {error.verify_message}") from error
    except (OSError, ValueError) as error:
        raise SourceError(address.hide(f"no connection: {getattr(error, 'strerror', None) or error}")) from error
    raise SourceError("redirected too often")


def _refusal(status: int, proved: bool) -> str:
    if status in (401, 403, 407):
        return f"refused ({status}): {'wrong user or password' if proved else 'it wants a user and a password'}"
    return f"it answers with error {status}"


def _redirected(address: Address, location: str) -> Address:
    """Another place; user and password go along to the same host alone. Raises ValueError."""
    there = parse_address(urljoin(address.bare, location))
    if there.scheme not in ("http", "https"):
        raise ValueError(f"redirected to what is no web address: {there.name}")
    known = there.host == address.host and (there.scheme == "https" or address.scheme == "http")
    if known and not (there.user or there.password):
        return Address(there.scheme, there.host, there.port, address.user, address.password, there.rest)
    return there


def _ask(address: Address, until: float, headers: Mapping[str, str], context: Callable[[], ssl.SSLContext]) -> Answer:
    secure = address.scheme == "https"
    stream = socket.create_connection((address.host, address.port or (443 if secure else 80)), _left(until))
    try:
        _watch(stream)
        if secure:
            stream.settimeout(_left(until))
            stream = context().wrap_socket(stream, server_hostname=address.host)
        lines = {"Host": address.place, "User-Agent": "edgeline", "Accept": "*/*", "Cache-Control": "no-cache"}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **headers, "Connection": "close"}.items())
        stream.settimeout(_left(until))
        stream.sendall(f"GET {address.target} HTTP/1.1\r\n{head}\r\n".encode())
        return _head(stream, until)
    except BaseException:
        stream.close()
        raise


def _watch(stream: socket.socket) -> None:
    """Let the kernel find out within seconds that a camera is gone that said no word: off, or started anew."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:  # as the system has it
            stream.setsockopt(socket.IPPROTO_TCP, option, value)


def _head(stream: socket.socket, until: float) -> Answer:
    data = b""
    while (ends := _END_OF_HEAD.search(data)) is None and len(data) < _MOST_HEAD:
        stream.settimeout(_left(until))
        piece = stream.recv(_PIECE)
        if not piece:
            break
        data += piece
        if len(data) > 4 and not data.startswith((b"HTTP/", b"ICY ", b"RTSP/")):
            return Answer(200, {}, stream, data)  # no HTTP at all: perhaps pictures
    status = _STATUS.match(data)
    if status is None:
        raise OSError("it does not speak HTTP")
    # Nothing but a status line and an empty one may be all.
    head, body = (data, b"") if ends is None else (data[: ends.start()], data[ends.end() :])
    headers: dict[str, str] = {}
    for line in head.decode("latin-1").splitlines()[1:]:
        name, mark, value = line.partition(":")
        if mark:
            key = name.strip().lower()
            both = key == "www-authenticate" and key in headers
            headers[key] = f"{headers[key]}, {value.strip()}" if both else value.strip()
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    length = headers.get("content-length", "")
    kind = headers.get("content-type", "").lower()
    # The length of something without an end is made up.
    known = length.isdigit() and not chunked and not kind.startswith("multipart/")
    return Answer(int(status[1]), headers, stream, body, Chunks() if chunked else None, int(length) if known else None)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _proof(challenge: str, address: Address) -> str:
    """The Authorization header (RFC 7616, RFC 7617)."""
    digests = [part for part in re.split(r"(?i)(?=\bdigest\s)", challenge) if part.lower().startswith("digest")]
    for words in digests:
        asked = {key.lower(): quoted or plain for key, quoted, plain in _WORD.findall(words)}
        name = asked.get("algorithm", "MD5").upper().removesuffix("-SESS")
        if name in _HASHES:
            return _digest(asked, name, address)
    if "basic" not in challenge.lower():
        raise SourceError("it wants a password in a way that is not known here; known are basic and digest")
    return "Basic " + b64encode(f"{address.user}:{address.password}".encode()).decode()


_WORD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}


def _digest(asked: Mapping[str, str], name: str, address: Address) -> str:
    def hashed(*words: str) -> str:
        return hashlib.new(_HASHES[name], ":".join(words).encode(), usedforsecurity=False).hexdigest()

    realm, nonce, algorithm = asked.get("realm", ""), asked.get("nonce", ""), asked.get("algorithm", "")
    mine, count = secrets.token_hex(8), "00000001"
    secret = hashed(address.user, realm, address.password)
    if algorithm.upper().endswith("-SESS"):
        secret = hashed(secret, nonce, mine)
    quality = "auth" if "auth" in re.split(r"[\s,]+", asked.get("qop", "").lower()) else ""
    about = hashed("GET", address.target)
    middle = (nonce, count, mine, quality) if quality else (nonce,)
    words = {
        "username": address.user.replace("\\", "\\\\").replace('"', '\\"'),
        "realm": realm,
        "nonce": nonce,
        "uri": address.target,
        "response": hashed(secret, *middle, about),
        **({"opaque": asked["opaque"]} if "opaque" in asked else {}),
    }
    plain = {**({"algorithm": algorithm} if algorithm else {}), **({"qop": quality, "nc": count} if quality else {})}
    told = [f'{key}="{value}"' for key, value in words.items()] + [f"{key}={value}" for key, value in plain.items()]
    if quality or algorithm.upper().endswith("-SESS"):
        told.append(f'cnonce="{mine}"')
    return "Digest " + ", ".join(told)
