import asyncio
import contextlib
import json

import pytest
from patience import PATIENCE
from store_cases import event, opened, reading

from edge_runtime.errors import DependencyError, OutputError
from edge_runtime.outputs.base import published
from edge_runtime.outputs.opcua import NAMESPACE, OpcUaOutput
from edge_runtime.outputs.settings import OpcUa
from edge_runtime.store.entries import Batch, Event
from edge_tools.station.mosquitto import free_port

asyncua = pytest.importorskip("asyncua", reason="asyncua is not installed")


def events(folder):
    found = []
    for number, (verdict, part) in enumerate([("OK", "A"), ("NG", None), ("NG", "C")]):
        body = dict(event(number, verdict, part=part).body)
        found.append(Event.of({**body, "part_number": number, "lag_ms": 12.5, "ts_utc": "2026-01-31T10:00:00.250Z"}))
    with opened(folder / "store") as store:
        store.ledger.append(Batch(tuple(found)))
    with reading(folder / "store") as reader:
        return reader.after(0, ("belt",))


class Listening:
    """A subscription's handler: the values of a variable as they come."""

    def __init__(self):
        self.values = asyncio.Queue()

    def datachange_notification(self, node, value, data):
        self.values.put_nowait(value)


def test_clients_read_and_subscribe_to_the_last_verdict_and_the_counts(tmp_path):
    found, port = events(tmp_path), free_port()

    async def client(told):
        async with asyncua.Client(f"opc.tcp://127.0.0.1:{port}/edgeline/") as client:
            space = await client.get_namespace_index(NAMESPACE)

            def node(name):
                return client.get_node(asyncua.ua.NodeId(f"belt.{name}", space))

            assert [await node(name).read_value() for name in ("Count", "OK", "NG")] == [0, 0, 0]
            with pytest.raises(asyncua.ua.UaStatusCodeError, match="WaitingForInitialData"):
                await node("Verdict").read_value()
            listening = Listening()
            subscription = await client.create_subscription(10, listening)
            await subscription.subscribe_data_change(node("Count"))
            assert await asyncio.wait_for(listening.values.get(), PATIENCE) == 0
            for number in range(3):
                assert await asyncio.to_thread(told.send, found[number : number + 1]) == 1
                assert await asyncio.wait_for(listening.values.get(), PATIENCE) == number + 1
            names = ("Verdict", "Part", "PartNumber", "OK", "NG", "NO_READ", "LagMs", "EventId")
            values = [await node(name).read_value() for name in names]
            assert values == ["NG", "C", 2, 1, 2, 0, 12.5, found[2].event_id]
            assert json.loads(await node("Record").read_value()) == published(found[2])
            assert (await node("Time").read_value()).isoformat()[:23] == "2026-01-31T10:00:00.250"
            with pytest.raises(asyncua.ua.UaStatusCodeError, match=r"BadUserAccessDenied|BadNotWritable"):
                await node("Verdict").write_value("OK")
            children = await client.nodes.objects.get_child([f"{space}:Edgeline", f"{space}:belt", f"{space}:Verdict"])
            assert children == node("Verdict")

    with contextlib.closing(OpcUaOutput(OpcUa(port=port), ("belt", "other"))) as told:
        assert told.delivered() is None
        asyncio.run(client(told))
        with pytest.raises(OutputError, match=rf"cannot listen at 127.0.0.1:{port}: .*another address or port"):
            OpcUaOutput(OpcUa(port=port), ("belt",))


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "asyncua", None)
    with pytest.raises(DependencyError, match=r"edgeline\[opcua\]"):
        OpcUaOutput(OpcUa(), ())
