"""Parts that POST /trigger announces.

    POST /trigger?part=A17           answers 200 when the part was taken: its frames are being judged, or are `missing`
    POST /trigger?part=A17&wait=5s   answers 200 with its verdict once that is stored, or 504 when it takes longer

Other answers are JSON with an `error`: 400 what cannot be understood, 401 without the token, 403 to a page in a browser
where there is no token, 404 and 405 another path or method, 503 where the part is not taken (the station ends), 504
where it was not taken in time.
"""

from __future__ import annotations

import hmac
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge_runtime.errors import SourceError
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.settings import HttpTrigger
from edge_runtime.station.triggers.signalled import SignalledTrigger, Signals

__all__ = ["http_trigger"]

_LONGEST = 256  # characters of a part's id
_MOST_WAIT_S = 60.0
_MOST_BODY = 64 << 10
_LATE_S = 30.0  # beyond the time in which a part's frames come or are missing
_AT_ONCE = 100  # connections
_SILENT_S = 10.0  # whoever connects and says nothing is let go


def http_trigger(settings: HttpTrigger, line: Line) -> SignalledTrigger:
    """Return the trigger that `http:` asks for."""
    return SignalledTrigger(settings, line, lambda signals: _Listener(settings, signals))


class _Listener:
    def __init__(self, settings: HttpTrigger, signals: Signals) -> None:
        try:
            self._server = _Server(settings, signals)
        except (OSError, UnicodeError) as error:
            raise SourceError(
                f"the trigger of {signals.line.station} cannot listen at {settings.address}:{settings.port}: {error}; "
                "name another address or port"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="edgeline-http-trigger", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # who waits for a verdict hears that there is none, or that nobody answers
    request_queue_size = 64

    def __init__(self, settings: HttpTrigger, signals: Signals) -> None:
        self.settings, self.signals = settings, signals
        self._left = threading.BoundedSemaphore(_AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
        super().__init__((settings.address, settings.port), _Handler)

    def server_bind(self) -> None:
        """Bind, and ask no name server who we are: there may be none, and it would be waited for."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, unless too many are being answered: then hang up."""
        if self._left.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._left.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has gone away: nobody is left to be told."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "edgeline"
    sys_version = ""
    timeout = _SILENT_S
    server: _Server

    def do_POST(self) -> None:
        """Announce a part."""
        settings, signals = self.server.settings, self.server.signals
        try:
            size = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            size = -1
        if not 0 <= size <= _MOST_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._answer(400, {"error": f"a trigger has no body, or one of {_MOST_BODY} bytes at most"})
            return
        self.rfile.read(size)  # nothing in it is used
        if settings.token is not None and not self._knows(settings.token.reveal()):
            self._answer(401, {"error": "expected Authorization: Bearer TOKEN, with the token of the recipe"})
            return
        if settings.token is None and "Origin" in self.headers:
            self._answer(403, {"error": "a page in a browser may not trigger parts without a token in the recipe"})
            return
        asked = urlsplit(self.path)
        if asked.path != "/trigger":
            self._answer(404, {"error": "there is only /trigger"})
            return
        try:
            part, wait = _asked(asked.query)
        except ValueError as error:
            self._answer(400, {"error": str(error)})
            return
        signal = signals.announce(part, asked=wait is not None)
        due = settings.delay + settings.frames * settings.deadline + _LATE_S
        if not signal.refused and not signal.wait(due):
            self._answer(504, {"error": f"the part was not taken within {due:g} s", "part_number": signal.number})
        elif signal.refused:
            self._answer(503, {"error": f"the part is not taken: {signal.refused}"})
        elif wait is None:
            self._answer(200, {"part": part, "part_number": signal.number, "missing": signal.missing})
        elif (record := signals.verdict(signal, wait)) is None:
            told = f"no verdict within {wait:g} s; outputs are told of it"
            self._answer(504, {"error": told, "part": part, "part_number": signal.number})
        else:
            self._answer(200, record)

    def do_GET(self) -> None:
        """Nothing is to be had here."""
        self._answer(405, {"error": "expected POST /trigger"})

    def log_message(self, *args: Any) -> None:
        """What is asked is nobody's log: the part is in the store."""

    def _knows(self, token: str) -> bool:
        given = self.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, f"Bearer {token}".encode())

    def _answer(self, status: int, said: object) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 405:
            self.send_header("Allow", "POST")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _asked(query: str) -> tuple[str | None, float | None]:
    """Return the part's id and how long its verdict is waited for. Raises ValueError in one line."""
    found = parse_qs(query, keep_blank_values=True, max_num_fields=10)
    unknown = set(found) - {"part", "wait"}
    if unknown or any(len(values) > 1 for values in found.values()):
        raise ValueError("expected part=ID and wait=SECONDS, each once")
    part = found["part"][0].strip() if "part" in found else ""
    if len(part) > _LONGEST or not part.isprintable():
        raise ValueError(f"a part's id has {_LONGEST} printable characters at most")
    if "wait" not in found:
        return part or None, None
    number = re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)s?", found["wait"][0], re.ASCII)
    if number is None or not 0 < float(number[1]) <= _MOST_WAIT_S:
        raise ValueError(f"wait is a number of seconds, {_MOST_WAIT_S:g} at most: wait=5s")
    return part or None, float(number[1])
