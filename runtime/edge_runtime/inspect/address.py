"""The address of a stream: what a user typed, how it is opened, and how it may be written down.

Cameras are given addresses that no standard allows: `rtsp://me@corp:pa/ss?w@rd@10.0.0.5/cam`. Where user and password
end is found by what then has to be a host. They, and everything after `?`, are secrets: never printed nor recorded.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

__all__ = ["Address", "masked", "parse_address", "scrubbed"]

_HIDDEN = "***"
# Compiled by re when the first URL is looked at, which runs on files do without.
_URL = r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*"
# Some cameras take them in the path: /user=admin_password=secret_channel=1_stream=0.sdp
_IN_PATH = (
    r"(?i)(?<![a-z])((?:[a-z]*user(?:name)?|usr|login|[a-z]*pass(?:word|wd)?|pwd|psw|token|auth|key|secret|session)=)"
    r"(?:(?!_[a-z]+=)[^&;/])*"
)
_LABELS = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?"
_LISTENING = ("udp", "rtp", "srt", "tcp")  # udp://:1234 waits for whoever sends
_SHORTEST_SECRET = 3  # characters; of a shorter one alone, a text says nothing


@dataclass(frozen=True)
class Address:
    """A URL in its parts. `user` and `password` are plain text, "" for none; `rest` begins with / ? or #, or is "".

    Not shown by repr: user, password and rest.
    """

    scheme: str
    host: str
    port: int | None
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    rest: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """The host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """The path alone."""
        return re.split(r"[?#]", self.rest, maxsplit=1)[0]

    @property
    def target(self) -> str:
        """What an HTTP request asks for: path and query."""
        target = self.rest.split("#", 1)[0].replace(" ", "%20")
        return target if target.startswith("/") else f"/{target}"

    @property
    def bare(self) -> str:
        """The URL without user and password; its query may hold some."""
        return f"{self.scheme}://{self.place}{self.rest}"

    @property
    def url(self) -> str:
        """The URL as standards have it, user and password percent-encoded: for FFmpeg, never for people."""
        if not (self.user or self.password):
            return self.bare
        user = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        return f"{self.scheme}://{user}@{self.place}{self.rest}"

    @property
    def name(self) -> str:
        """The URL for people, logs and records."""
        place, path = self.place, re.sub(_IN_PATH, rf"\1{_HIDDEN}", self.path)
        known = bool(self.user or self.password)
        secret = f"{_HIDDEN}@" if known or ("@" in path and "://" in path) else ""
        if secret and "@" in path:  # or was it the password's?
            place, path = path.rpartition("@")[2], ""
        query = f"{self.rest[len(self.path)]}{_HIDDEN}" if len(self.rest) > len(self.path) + 1 else ""
        return f"{self.scheme}://{secret}{place}{path}{query}"

    def hide(self, text: str) -> str:
        """Take this address's secrets out of a text that a library or a server wrote."""
        secrets = {self.user, self.password, quote(self.user, safe=""), quote(self.password, safe="")}
        secrets |= {self.user.replace(" ", "+"), self.rest[len(self.path) + 1 :]}
        secrets |= set(re.findall(r"=([^&;#]+)", self.rest[len(self.path) :]))
        text = scrubbed(text.replace(self.url, self.name).replace(self.bare, self.name))
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, _HIDDEN)
        return text


def parse_address(text: str) -> Address:
    """Take a URL apart. Raises ValueError, without secrets, for one without a host or with a bad port."""
    scheme, mark, rest = text.strip().partition("://")
    if not mark or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise ValueError("not a URL: it needs a scheme and ://")
    begins = _where_the_host_begins(rest)
    user, _, password = rest[: max(begins - 1, 0)].partition(":")
    place, after = _split_place(rest[begins:])
    host, port = _host_and_port(place)
    if not host and (port is None or scheme.lower() not in _LISTENING):
        raise ValueError("it names no host")
    return Address(scheme.lower(), host, port, unquote(user), unquote(password), after)


def masked(text: str) -> str:
    """Return a text as it may be shown: of a URL, no user, password or query; anything else as it is."""
    if "://" not in text:
        return text
    try:
        return parse_address(text).name
    except ValueError:
        scheme, _, rest = text.partition("://")
        rest = f"{_HIDDEN}@{rest.rpartition('@')[2]}" if "@" in rest else rest
        return re.sub(_IN_PATH, rf"\1{_HIDDEN}", f"{scheme}://{re.sub(r'[?#].+', f'?{_HIDDEN}', rest)}")


def scrubbed(text: str) -> str:
    """Return a text with every URL in it masked."""
    return re.sub(_URL, lambda found: masked(found.group()), text)


def _where_the_host_begins(rest: str) -> int:
    """The place after the @ that ends user and password; 0: there are none.

    The standard's answer (the last @ before any / ? #) holds if a real host follows; else the @ that is followed by the
    likeliest one, the last of them.
    """
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    standard = authority.rfind("@") + 1
    best, rank = standard, _likely(rest[standard:])
    if rank >= 2:
        return best
    for found in re.finditer("@", rest[standard:]):
        begins = standard + found.end()
        before = rest[: begins - 1]
        # A user and a password, and no address or query that holds another's.
        if ":" not in before or "://" in before or re.search(r"\?[\w.-]+=", before):
            continue
        likely = _likely(rest[begins:])
        if likely > rank or (likely == rank and best != standard):
            best, rank = begins, likely
    return best


def _likely(text: str) -> float:
    """How much the beginning of a text looks like a host: 3 an address, 2 a full name, 1 a word, 0 not at all."""
    place, _ = _split_place(text)
    try:
        host, port = _host_and_port(place)
    except ValueError:
        return 0
    if not host:
        return 0
    if ":" in host or host == "localhost" or re.fullmatch(r"\d+(\.\d+){3}", host):
        return 3
    if re.fullmatch(r".+\.[A-Za-z]{2,}\.?", host):
        return 2
    return 1 if port is None else 1.5


def _split_place(text: str) -> tuple[str, str]:
    ends = re.search(r"[/?#]", text)
    return (text, "") if ends is None else (text[: ends.start()], text[ends.start() :])


def _host_and_port(place: str) -> tuple[str, int | None]:
    """Raises ValueError for what cannot be a host, or a port."""
    found = re.fullmatch(r"\[([^\]]*)\](?::(\d*))?|([^:\[\]]*)(?::(\d*))?", place)
    if found is None:
        raise ValueError("its host or its port cannot be one")
    six, six_port, host, port = found.groups()
    digits = six_port or port
    if digits and not 0 < int(digits) < 65536:
        raise ValueError("its port is not between 1 and 65535")
    if six is not None:
        ipaddress.IPv6Address(six.partition("%")[0])
        host = six
    elif host and not re.fullmatch(_LABELS, host.encode("idna").decode() if not host.isascii() else host):
        raise ValueError("its host cannot be one")
    return host or "", int(digits) if digits else None
