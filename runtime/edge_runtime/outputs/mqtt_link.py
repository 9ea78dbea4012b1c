"""A connection to an MQTT 5 broker that comes back by itself. Nothing that one connection began is ended by the next.

paho would send again, after a reconnect, what had not been acknowledged. Whoever sends through a link decides that by
what the broker says it has; so a connection that breaks while something is under way is dropped with all it holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import DependencyError, OutputError, UsageError
from edge_runtime.outputs.settings import Broker

if TYPE_CHECKING:
    from paho.mqtt.client import Client

__all__ = ["Heard", "Link", "Taken", "Wishes", "client_id", "tls_of"]

_RECONNECT_S = (1.0, 30.0)
_KEEPALIVE_S = 30
_GOODBYE_S = 1.0


@dataclass(frozen=True)
class Heard:
    """A message. `retained`: it is one of before, which the broker kept."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True)
class Wishes:
    """What a connection is for: topics to hear of with their QoS, what hears, and where it is said that we are there.

    `hear` and `changed` are called in the connection's thread; `changed` with "" once the connection is ready, else
    with the reason why it is not. `first`: topics and payloads to retain as soon as it is there.
    """

    topics: Mapping[str, int] = field(default_factory=dict)
    hear: Callable[[Heard], None] = lambda message: None
    availability: str = ""
    first: Mapping[str, bytes] = field(default_factory=dict)
    changed: Callable[[str], None] = lambda why: None


@dataclass(frozen=True)
class Taken:
    """Which of some messages the broker has surely taken, by their places, and why not all of them."""

    places: frozenset[int]
    why: str


class Link:
    """A connection, sought from the beginning until `close`, in a thread of its own.

    It is ready when the broker has taken the subscriptions and everything in `first`: retained messages were heard by
    then. `number` counts the connections that were.
    """

    def __init__(self, broker: Broker, client: str, wishes: Wishes) -> None:
        """Begin to connect. Raises DependencyError, UsageError for certificates that cannot be read."""
        try:
            import paho.mqtt.client as paho
        except ImportError as error:
            raise DependencyError(
                "mqtt needs paho-mqtt, not installed here: pip install 'edgeline[station]'"
            ) from error
        self._paho: Any = paho
        self._broker, self._client_id, self._wishes = broker, client, wishes
        self._context = tls_of(broker) if broker.tls else None
        self._changed = threading.Condition()
        self._ready, self._why, self.number = False, "it is being connected", 0
        self._acknowledged: dict[int, Any] = {}  # by message id: the broker's reason code
        self._first: set[int] = set()  # what must be acknowledged before the link is ready
        self._client: Client | None = None
        self._closed = self._busy = False
        self._gone = threading.Event()
        self._retain = True  # what every broker does that does not say otherwise
        self._connect()

    def wait(self, seconds: float) -> int:
        """Wait until the link is ready, and return its connection's number. Raises OutputError where it is not."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._ready or self._closed, seconds) or self._closed:
                raise OutputError(f"no connection to {self._broker.url}: {self._why or 'it was closed'}")
            return self.number

    def publish(self, messages: Sequence[tuple[str, bytes]], seconds: float) -> Taken:
        """Send messages by QoS 1, to be retained, and return which the broker has taken.

        It ends when each was taken or refused, the connection is lost, or nothing has happened for so many seconds.
        """
        with self._changed:
            client, number = self._client, self.number
            if client is None or not self._ready:
                return Taken(frozenset(), self._why)
            self._acknowledged.clear()
            self._busy = True
        properties = self._properties()
        sent = [client.publish(topic, payload, 1, self._retain, properties).mid for topic, payload in messages]
        with self._changed:
            left = sum(mid not in self._acknowledged for mid in sent)
            while left and self.number == number and self._ready:
                self._changed.wait(seconds)
                before, left = left, sum(mid not in self._acknowledged for mid in sent)
                if left == before:
                    break
            self._busy = False
            lost = self.number != number or not self._ready  # and with it the thread of the client: see _on_disconnect
            codes = [self._acknowledged.get(mid) for mid in sent]
            refused = [f"it refuses {messages[place][0]}: {code}" for place, code in enumerate(codes) if _failed(code)]
            why = refused[0] if refused else self._why or "it does not acknowledge"
        if lost or None in codes:
            self._drop(why)
        taken = (place for place, code in enumerate(codes) if code is not None and not _failed(code))
        return Taken(frozenset(taken), why)

    def close(self) -> None:
        """Say that we leave, and leave; a second call does nothing."""
        with self._changed:
            if self._closed:
                return
            client, ready = self._client, self._ready
            self._closed = True
            self._changed.notify_all()
        if client is not None and ready and self._wishes.availability:
            with contextlib.suppress(ValueError, RuntimeError):
                client.publish(self._wishes.availability, b"offline", 1, self._retain).wait_for_publish(_GOODBYE_S)
            client.disconnect()
            self._gone.wait(_GOODBYE_S)  # what is not said would be said again by our last will
        self._leave(client)

    def _connect(self) -> None:
        paho = self._paho
        client: Client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=paho.MQTTv5)
        if self._broker.user is not None:
            password = self._broker.password
            client.username_pw_set(self._broker.user.reveal(), None if password is None else password.reveal())
        if self._context is not None:
            client.tls_set_context(self._context)
        if self._wishes.availability:
            client.will_set(self._wishes.availability, b"offline", 1, True)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        with self._changed:
            self._client = client
        client.connect_async(self._broker.host, self._broker.port, _KEEPALIVE_S, clean_start=True)
        client.loop_start()

    def _drop(self, why: str) -> None:
        """Leave this connection with all that is under way in it, and begin another one."""
        with self._changed:
            client, self._client = self._client, None
            self._ready, self._why = False, why
        self._leave(client)
        self._connect()

    def _leave(self, client: Client | None) -> None:
        if client is None:
            return
        client.disconnect()
        taken = client.socket()
        # Its thread ends as soon as it sees that: waiting for it could take as long as a dead network does.
        if taken is not None:
            with contextlib.suppress(OSError, ValueError):
                taken.shutdown(socket.SHUT_RDWR)

    def _is_old(self, client: Client) -> bool:
        return client is not self._client

    def _on_connect(self, client: Client, _data: Any, _flags: Any, code: Any, properties: Any) -> None:
        with self._changed:
            if self._is_old(client):
                return
            self._retain = getattr(properties, "RetainAvailable", 1) != 0
            if code.is_failure:
                self._lose(f"it says: {code}")
                return
            self.number += 1
            self._acknowledged.clear()
            self._first.clear()
        if self._wishes.topics:
            client.subscribe(list(self._subscriptions()))
        else:
            self._begin(client)

    def _subscriptions(self) -> list[tuple[str, Any]]:
        options = self._paho.SubscribeOptions
        return [(topic, options(qos=qos, noLocal=True)) for topic, qos in self._wishes.topics.items()]

    def _on_subscribe(self, client: Client, _data: Any, _mid: int, codes: Any, _properties: Any) -> None:
        refused = [str(code) for code in codes if code.is_failure]
        with self._changed:
            if self._is_old(client):
                return
            if refused:
                self._lose(f"it refuses to tell of {', '.join(self._wishes.topics)}: {refused[0]}")
                return
        self._begin(client)

    def _begin(self, client: Client) -> None:
        """Say that we are there. When that is acknowledged, what the broker had retained has been heard, too."""
        said = dict(self._wishes.first)
        if self._wishes.availability:
            said[self._wishes.availability] = b"online"
        with self._changed:  # so that no acknowledgement is looked at before all are sent
            self._first = {client.publish(topic, payload, 1, self._retain).mid for topic, payload in said.items()}
            self._look()

    def _on_publish(self, client: Client, _data: Any, mid: int, code: Any, _properties: Any) -> None:
        with self._changed:
            if self._is_old(client):
                return
            self._acknowledged[mid] = code
            self._look()
            self._changed.notify_all()

    def _look(self) -> None:
        """Whether all that comes first is acknowledged. Under the lock."""
        if self._ready or not self._first <= self._acknowledged.keys():
            return
        refused = [str(code) for mid in self._first if (code := self._acknowledged[mid]).is_failure]
        if refused:
            self._lose(f"it refuses {self._wishes.availability}: {refused[0]}")
            return
        self._ready, self._why = True, ""
        self._changed.notify_all()
        self._wishes.changed("")

    def _on_message(self, client: Client, _data: Any, message: Any) -> None:
        if not self._is_old(client):
            self._wishes.hear(Heard(message.topic, bytes(message.payload), bool(message.retain)))

    def _on_connect_fail(self, client: Client, _data: Any) -> None:
        why = sys.exc_info()[1]  # paho calls this where it has caught it, and does not tell it
        with self._changed:
            if not self._is_old(client):
                self._lose("it cannot be reached" if why is None else str(why))
            if self._is_old(client) or self._closed:
                client.loop_stop()

    def _on_disconnect(self, client: Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        with self._changed:
            if not self._is_old(client):
                self._lose(self._why if self._why and not self._ready else f"the connection is lost: {code}")
            if self._closed:
                self._gone.set()
            if self._is_old(client) or self._busy or self._closed:
                client.loop_stop()  # or it would connect again, and send again what was under way

    def _lose(self, why: str) -> None:
        """Under the lock."""
        changed = self._ready or why != self._why
        self._ready, self._why = False, why
        self._changed.notify_all()
        if changed and not self._closed:
            self._wishes.changed(why)

    def _properties(self) -> Any:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        return properties


def _failed(code: Any) -> bool:
    return code is not None and bool(code.is_failure)


def client_id(broker: Broker, *what: str) -> str:
    """Return the id that a recipe gives, or one of this machine and of what the connection is for.

    It is the same after a restart, so that the broker lets go of a connection whose machine has lost its power.
    """
    if broker.client:
        return broker.client
    text = json.dumps([platform.node(), *what])
    return f"edgeline-{hashlib.sha256(text.encode()).hexdigest()[:14]}"


def tls_of(broker: Broker) -> ssl.SSLContext:
    """Return how a broker is spoken to. Raises UsageError for files that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=broker.ca)
        if broker.certificate is not None:
            context.load_cert_chain(broker.certificate, broker.key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(str(path) for path in broker.files)
        raise UsageError(f"cannot use {names} for {broker.url}: {error}; PEM files are expected") from error
    return context
