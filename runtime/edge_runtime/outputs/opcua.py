"""An OPC UA server whose variables are what was last said of each station; clients read them, or subscribe.

Objects / Edgeline / STATION, namespace urn:edgeline, node ids "STATION.NAME". Nobody can write them. Until a first
verdict the variables about the last one are bad (BadWaitingForInitialData); the counts are of this run. `Count` is
written last: who subscribes to it alone finds the other variables as they are to it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from concurrent.futures import TimeoutError as LateError  # the built-in one from Python 3.11 on
from datetime import datetime, timezone
from typing import Any

from edge_runtime.errors import DependencyError, OutputError
from edge_runtime.inspect.record import to_line
from edge_runtime.outputs.base import published
from edge_runtime.outputs.settings import OpcUa
from edge_runtime.store.entries import VERDICTS, PartVerdict
from edge_runtime.store.reading import Stored

__all__ = ["NAMESPACE", "OpcUaOutput"]

_AT_ONCE = 100
_PATIENCE_S = 10.0
_START_S = 300.0  # some seconds of a board that does nothing else
NAMESPACE = "urn:edgeline"


class OpcUaOutput:
    """The server, in a thread of its own; an event is told when its values stand there."""

    def __init__(self, settings: OpcUa, stations: Sequence[str]) -> None:
        """Raises OutputError where the port cannot be had, DependencyError."""
        try:
            import asyncua
        except ImportError as error:
            raise DependencyError("opcua needs asyncua, not installed here: pip install 'edgeline[opcua]'") from error
        # What it has to say of a client that went away is nothing that somebody can mend.
        logging.getLogger("asyncua").addHandler(logging.NullHandler())
        logging.getLogger("asyncua").propagate = False
        _look_at(settings)
        self._ua = asyncua.ua
        self._server = asyncua.Server()
        self._counts = {station: Counter[PartVerdict]() for station in stations}
        self._nodes: dict[tuple[str, str], Any] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="edgeline-opcua", daemon=True)
        self._thread.start()
        self._open = True
        try:
            self._run(self._start(settings, stations), _START_S)
        except (OSError, LateError) as error:
            self._end()
            why = str(error) or f"it was not ready within {_START_S:g} s"
            raise _cannot_listen(settings, why) from error

    def delivered(self) -> str | None:
        """Clients are not asked."""
        return None

    def send(self, events: Sequence[Stored]) -> int:
        """Show one after another."""
        told = events[:_AT_ONCE]
        for event in told:
            self._run(self._show(published(event)), _PATIENCE_S)
        return len(told)

    def close(self) -> None:
        """End the server; a second call does nothing."""
        if self._open:
            try:
                self._run(self._server.stop(), _PATIENCE_S)
            finally:
                self._end()

    def _run(self, work: Coroutine[Any, Any, None], seconds: float) -> None:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result(seconds)
        except LateError:
            future.cancel()
            raise

    def _end(self) -> None:
        self._open = False
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self, settings: OpcUa, stations: Sequence[str]) -> None:
        ua = self._ua
        await self._server.init()
        self._server.set_endpoint(f"opc.tcp://{settings.address}:{settings.port}/edgeline/")
        self._server.set_server_name("Edgeline")
        self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        space = await self._server.register_namespace(NAMESPACE)
        home = await self._server.nodes.objects.add_object(ua.NodeId("Edgeline", space), f"{space}:Edgeline")
        for station in stations:
            place = await home.add_object(ua.NodeId(station, space), f"{space}:{station}")
            for name, value in _values(ua, None, self._counts[station]).items():
                node_id = ua.NodeId(f"{station}.{name}", space)
                node = await place.add_variable(node_id, f"{space}:{name}", value)
                if name not in (*VERDICTS, "Count"):
                    bad = ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)
                    await node.write_value(ua.DataValue(value, bad))
                self._nodes[station, name] = node
        await self._server.start()

    async def _show(self, record: dict[str, Any]) -> None:
        ua, station = self._ua, record["station"]
        counts = self._counts[station]
        counts[record["verdict"]] += 1
        moment = datetime.now(timezone.utc)
        for name, value in _values(ua, record, counts).items():
            shown = ua.DataValue(value, SourceTimestamp=moment, ServerTimestamp=moment)
            await self._nodes[station, name].write_value(shown)


def _look_at(settings: OpcUa) -> None:
    """Raise OutputError where the port cannot be had: to be told that by the server takes seconds."""
    try:
        socket.create_server((settings.address, settings.port)).close()
    except OSError as error:
        raise _cannot_listen(settings, str(error)) from error


def _cannot_listen(settings: OpcUa, why: str) -> OutputError:
    place = f"{settings.address}:{settings.port}"
    return OutputError(f"opcua cannot listen at {place}: {why}; name another address or port")


def _values(ua: Any, record: dict[str, Any] | None, counts: Counter[PartVerdict]) -> dict[str, Any]:
    """Return the variables of a station by name, in the order in which they are written; no record: empty ones."""
    found = record or {"verdict": "", "event_id": "", "reasons": [], "ts_utc": "1970-01-01T00:00:00Z"}
    part, number, lag = found.get("part"), found.get("part_number"), found.get("lag_ms")
    types = ua.VariantType
    return {
        "Verdict": ua.Variant(found["verdict"], types.String),
        "Part": ua.Variant("" if part is None else str(part), types.String),
        "PartNumber": ua.Variant(-1 if number is None else number, types.Int64),
        "Reasons": ua.Variant(json.dumps(found["reasons"], ensure_ascii=False), types.String),
        "EventId": ua.Variant(found["event_id"], types.String),
        "Time": ua.Variant(_moment(found["ts_utc"]), types.DateTime),
        "LagMs": ua.Variant(0.0 if lag is None else float(lag), types.Double),
        "Record": ua.Variant("" if record is None else to_line(record), types.String),
        **{verdict: ua.Variant(counts[verdict], types.UInt64) for verdict in VERDICTS},
        "Count": ua.Variant(sum(counts.values()), types.UInt64),
    }


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
