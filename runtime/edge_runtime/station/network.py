"""What a recipe says of the network, looked for before anything runs: certificates, and ports that are wanted twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from edge_runtime.errors import UsageError
from edge_runtime.inspect.secret import Secret
from edge_runtime.outputs.settings import Broker
from edge_runtime.station.recipe.load import Loaded
from edge_runtime.station.recipe.mistakes import Mistake

__all__ = ["network_mistakes"]


def network_mistakes(loaded: Loaded) -> Iterator[Mistake]:
    """Yield what cannot be. Nobody is asked: brokers and receivers may come later."""
    listening: dict[int, tuple[str, object]] = {}  # by port: who wants it, and what may share it
    for name, station in loaded.recipe.stations.items():
        entries = [(f"stations.{name}.outputs[{number}]", entry) for number, entry in enumerate(station.outputs)]
        wanted = [(f"stations.{name}.trigger", station.trigger), *entries]
        for place, entry in wanted:
            found = [(field.name, getattr(entry, field.name)) for field in fields(entry)] if entry is not None else []
            for kind, settings in found:
                where = f"{place}.{kind}"
                if isinstance(settings, Broker):
                    yield from _broken(loaded, where, settings)
                if kind == "webhook" and settings is not None:
                    yield from _webhook(loaded, where, settings.ca, settings.secret)
                if kind not in ("http", "prometheus", "opcua") or settings is None:
                    continue
                shared = (name, kind) if kind == "http" else settings
                other, by = listening.setdefault(settings.port, (where, shared))
                if by != shared:
                    yield loaded.mistake(where, f"the port {settings.port} is {other}'s already; name another one")


def _broken(loaded: Loaded, where: str, broker: Broker) -> Iterator[Mistake]:
    if not broker.tls:
        return
    from edge_runtime.outputs.mqtt_link import tls_of  # with it comes TLS, which other recipes do without

    try:
        tls_of(broker)
    except UsageError as error:
        yield loaded.mistake(where, str(error))


def _webhook(loaded: Loaded, where: str, authority: Path | None, secret: Secret | None) -> Iterator[Mistake]:
    import ssl

    from edge_runtime.outputs.webhook import key_of

    try:
        if authority is not None:
            ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        yield loaded.mistake(f"{where}.ca", f"cannot use {authority}: {error}; a PEM file is expected")
    try:
        key_of(secret)
    except UsageError as error:
        yield loaded.mistake(f"{where}.secret", str(error))
