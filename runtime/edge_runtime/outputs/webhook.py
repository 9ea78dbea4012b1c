"""Events as requests: a POST of JSON for each, signed, with its event id as the key by which a receiver knows it again.

2xx: it is told. No answer in time, 408, 425, 429 and 5xx: it comes again, later and later, or when Retry-After says.
Any other answer is said loudly, and the event comes again as well: all wait in their order until somebody has mended
that. Redirects are not followed: what is secret is sent to nobody whom the recipe does not name.

Headers, as https://www.standardwebhooks.com has them: webhook-id (the event id), webhook-timestamp (seconds of 1970),
webhook-signature ("v1," and the base64 of the HMAC-SHA256 of ID.TIMESTAMP.BODY); and Idempotency-Key (the event id).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import ssl
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from urllib.parse import urlsplit

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.inspect.record import to_line
from edge_runtime.inspect.secret import Secret
from edge_runtime.outputs.base import published
from edge_runtime.outputs.settings import Webhook
from edge_runtime.store.reading import Stored

__all__ = ["WebhookOutput", "key_of", "signature"]

_AGAIN = (408, 425, 429)
_LONGEST_S = 3600.0  # whatever Retry-After says
_TOGETHER_S = 1.0  # how long events are told in one go, before it is noted how far they are


class WebhookOutput:
    """Sends one event after another through one connection, which is opened again where it was closed."""

    def __init__(self, settings: Webhook, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises UsageError for certificates that cannot be read."""
        self._settings, self._clock = settings, clock
        self._key = key_of(settings.secret)
        found = urlsplit(settings.url.reveal())
        self._host, self._port = found.hostname or "", found.port
        self._target = (found.path or "/") + (f"?{found.query}" if found.query else "")
        self._context = _tls(settings) if found.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None
        self._not_before, self._why = float("-inf"), ""

    def delivered(self) -> str | None:
        """A receiver is not asked: it knows an event that comes again by its Idempotency-Key."""
        return None

    def send(self, events: Sequence[Stored]) -> int:
        """Tell as many as are taken within a second."""
        if self._clock() < self._not_before:
            raise OutputError(self._why)
        told, until = 0, self._clock() + _TOGETHER_S
        for event in events:
            try:
                self._tell(event)
            except OutputError:
                if not told:
                    raise
                break
            told += 1
            if self._clock() >= until:
                break
        return told

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tell(self, event: Stored) -> None:
        body = to_line(published(event)).encode()
        status, again, reason = self._post(body, self._headers(event.event_id, body))
        if 200 <= status < 300:
            return
        why = f"{self._settings.url} answers {status} {reason}"
        if status not in _AGAIN and status < 500:
            hint = "redirects are not followed; name that address" if 300 <= status < 400 else "expected 2xx"
            why = f"{why}: {hint}. EVENTS WAIT, none is lost, until that is mended"
        if again:
            self._not_before, self._why = self._clock() + min(again, _LONGEST_S), why
        raise OutputError(why)

    def _headers(self, event_id: str, body: bytes) -> dict[str, str]:
        moment = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edgeline/{version('edgeline')}",
            "Idempotency-Key": event_id,
            "webhook-id": event_id,
            "webhook-timestamp": str(moment),
        }
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, event_id, moment, body)
        if self._settings.token is not None:
            headers["Authorization"] = f"Bearer {self._settings.token.reveal()}"
        return headers

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, float, str]:
        """Return the answer's status, after how many seconds to ask again (0: it does not say), and its reason."""
        fresh = self._connection is None
        try:
            if self._connection is None:
                self._connection = self._open()
            self._connection.request("POST", self._target, body, headers)
            answer = self._connection.getresponse()
            answer.read(1 << 20)
            if not answer.isclosed():  # more than anybody reads
                self.close()
            where = answer.headers.get("Location", "")
            return answer.status, _seconds(answer.headers.get("Retry-After", "")), f"{answer.reason} {where}".strip()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            if not fresh and isinstance(error, (http.client.RemoteDisconnected, ConnectionError)):
                return self._post(body, headers)  # it was closed while nothing was to be told
            what = f"does not answer within {self._settings.timeout:g} s" if isinstance(error, TimeoutError) else "says"
            raise OutputError(f"{self._settings.url} {what}: {error or type(error).__name__}") from error

    def _open(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._settings.timeout)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._settings.timeout, context=self._context
        )


def signature(key: bytes, event_id: str, moment: int, body: bytes) -> str:
    """Return what a receiver compares with the header webhook-signature."""
    signed = f"{event_id}.{moment}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def key_of(secret: Secret | None) -> bytes | None:
    """Return the bytes of a secret: whsec_BASE64 as the standard has it, or the text itself. Raises UsageError."""
    text = None if secret is None else secret.reveal()
    if text is None or not text.startswith("whsec_"):
        return None if text is None else text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise UsageError("the webhook's secret begins with whsec_, and what follows is no base64") from error


def _seconds(text: str) -> float:
    """Retry-After, as far as it is a number of seconds; 0: nothing is said."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0


def _tls(settings: Webhook) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot use {settings.ca} for a webhook: {error}; a PEM file is expected") from error
