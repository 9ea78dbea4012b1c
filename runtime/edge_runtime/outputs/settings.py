"""What a recipe says of an output: one dataclass for each kind, and a field for each in `OutputEntry`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from edge_runtime.inspect.secret import Address, Secret
from edge_runtime.outputs.shaking_settings import GpioOutput, ModbusOutput

__all__ = ["Broker", "JsonLines", "Mqtt", "OpcUa", "OutputEntry", "Prometheus", "Webhook"]

_BROKER = r"(mqtts?)://(\[[0-9A-Fa-f:.]+\]|[^/@:?#\[\]\s]+)(?::(\d{1,5}))?/?"
_TOPIC = r"[^$+#\x00/][^+#\x00]{0,199}"


@dataclass(frozen=True)
class JsonLines:
    """One JSON object a line."""

    SHORT: ClassVar[str] = "path"

    path: Path = field(metadata={"help": "The file that lines are added to; a folder that is not there is made."})


@dataclass(frozen=True, kw_only=True)
class Broker:
    """An MQTT 5 broker, and who we are to it."""

    SHORT: ClassVar[str] = "url"

    url: str = field(metadata={"help": "mqtt://HOST[:1883], or mqtts://HOST[:8883] for TLS."})
    user: Secret | None = field(default=None, metadata={"help": "Whom the broker knows: ${MQTT_USER}."})
    password: Secret | None = field(default=None, metadata={"help": "${MQTT_PASSWORD}, from the environment."})
    ca: Path | None = field(
        default=None, metadata={"help": "Whose certificates the broker's is checked by (PEM); else the system's."}
    )
    certificate: Path | None = field(default=None, metadata={"help": "Ours, for brokers that ask for one (PEM)."})
    key: Path | None = field(default=None, metadata={"help": "The key of our certificate (PEM, without a password)."})
    client: str = field(
        default="",
        metadata={"help": "Our client id, one for each connection; one of this machine where none is given."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what is no broker, or no TLS."""
        found = re.fullmatch(_BROKER, self.url)
        if found is None or not 0 < int(found[3] or 1) < 65536:
            hint = "; user and password have keys of their own" if "@" in self.url else ""
            raise ValueError(f"a broker is mqtt://HOST[:PORT] or mqtts://HOST[:PORT]{hint}")
        if (self.ca or self.certificate or self.key) and not self.tls:
            raise ValueError("ca, certificate and key are for TLS: the url of such a broker begins with mqtts://")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key come together")
        if self.password is not None and self.user is None:
            raise ValueError("a password needs its user")
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", self.client):
            raise ValueError("client has letters, digits, - and _, 64 at most")

    @property
    def tls(self) -> bool:
        """Whether what is said is enciphered, and the broker's certificate checked."""
        return self.url.startswith("mqtts")

    @property
    def host(self) -> str:
        """The broker's name or address."""
        found = re.fullmatch(_BROKER, self.url)
        return "" if found is None else found[2].strip("[]")

    @property
    def port(self) -> int:
        """Where it listens."""
        found = re.fullmatch(_BROKER, self.url)
        return int(found[3]) if found is not None and found[3] else 8883 if self.tls else 1883

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        return tuple(path for path in (self.ca, self.certificate, self.key) if path is not None)


@dataclass(frozen=True, kw_only=True)
class Mqtt(Broker):
    """Each verdict as a message, and the last one of each station retained."""

    prefix: str = field(default="edgeline", metadata={"help": "What topics begin with: PREFIX/STATION/verdict."})
    home_assistant: str = field(
        default="",
        metadata={"help": "Home Assistant's discovery prefix, mostly homeassistant: stations show up there then."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what is no broker, or no topic."""
        super().__post_init__()
        for topic in filter(None, (self.prefix, self.home_assistant)):
            if not re.fullmatch(_TOPIC, topic) or topic.endswith("/"):
                raise ValueError("a topic does not begin with $ or /, does not end with /, and has no + and #")

    @property
    def queue(self) -> str:
        """What tells one receiver from another."""
        return f"{self.host}:{self.port}/{self.prefix}"


@dataclass(frozen=True)
class Webhook:
    """Each verdict as a POST of JSON to an address."""

    SHORT: ClassVar[str] = "url"

    url: Address = field(metadata={"help": "http:// or https://; what is secret in it comes from ${NAME}."})
    secret: Secret | None = field(
        default=None,
        metadata={"help": "Signs each request (HMAC-SHA256, standardwebhooks.com): ${HOOK_SECRET}, whsec_... or any."},
    )
    token: Secret | None = field(default=None, metadata={"help": "Sent as Authorization: Bearer TOKEN."})
    ca: Path | None = field(
        default=None, metadata={"help": "Whose certificates the server's is checked by (PEM); else the system's."}
    )
    timeout: float = field(
        default=10.0, metadata={"unit": "seconds", "help": "A server that has not answered by then is asked again."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what is no address."""
        if not re.fullmatch(r"https?://[^/?#@\s]+([/?][^\s#]*)?", self.url.reveal()):
            raise ValueError("an address is http://HOST[:PORT]/PATH or https://..., without user, password and #")
        if not self.url.reveal().isascii():
            raise ValueError("an address has no other letters than A to Z: write others as %..")
        if self.timeout <= 0:
            raise ValueError("a timeout is longer than nothing")
        if self.ca is not None and not self.url.reveal().startswith("https"):
            raise ValueError("ca is for https://")

    @property
    def queue(self) -> str:
        """What tells one receiver from another: the address as it was written, or without what is secret in it."""
        shown, address = str(self.url), self.url.reveal()
        if self.url.parts or shown == address:
            return shown
        return f"{shown}#{hashlib.sha256(address.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Prometheus:
    """A page of metrics that Prometheus reads."""

    SHORT: ClassVar[str] = "port"

    port: int = field(default=9464, metadata={"help": "Where it is: http://ADDRESS:PORT/metrics."})
    address: str = field(
        default="127.0.0.1",
        metadata={"help": "127.0.0.1: this machine alone may ask; 0.0.0.0: everybody who reaches it."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what is no port."""
        _check_port(self.port)


@dataclass(frozen=True)
class OpcUa:
    """An OPC UA server with the last verdict, the last part and the counts of each station."""

    SHORT: ClassVar[str] = "port"

    port: int = field(default=4840, metadata={"help": "Where it is: opc.tcp://ADDRESS:PORT/edgeline/."})
    address: str = field(
        default="127.0.0.1",
        metadata={"help": "127.0.0.1: this machine alone may ask; 0.0.0.0: everybody who reaches it."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what is no port."""
        _check_port(self.port)


def _check_port(port: int) -> None:
    if not 0 < port < 65536:
        raise ValueError("a port is a number from 1 to 65535")


@dataclass(frozen=True)
class OutputEntry:
    """One output: exactly one of these keys."""

    ONE_OF: ClassVar[bool] = True

    jsonl: JsonLines | None = field(default=None, metadata={"help": "JSON lines in a file."})
    mqtt: Mqtt | None = field(default=None, metadata={"help": "Messages of an MQTT 5 broker."})
    webhook: Webhook | None = field(default=None, metadata={"help": "A POST for each verdict."})
    prometheus: Prometheus | None = field(default=None, metadata={"help": "Metrics, for Prometheus to read."})
    modbus: ModbusOutput | None = field(default=None, metadata={"help": "A controller's coils over Modbus TCP."})
    gpio: GpioOutput | None = field(default=None, metadata={"help": "Lines of a GPIO chip."})
    opcua: OpcUa | None = field(default=None, metadata={"help": "An OPC UA server (pip install 'edgeline[opcua]')."})
