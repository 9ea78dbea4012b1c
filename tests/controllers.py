"""A controller on the loopback: pymodbus's server, and a program that reads and writes its bits as a PLC's does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from patience import PATIENCE

__all__ = ["BITS", "Controller", "controller"]

BITS = ("ready", "busy", "valid", "ok", "ng", "no_read", "warn", "alive")


class Controller:
    """Coils and holding registers 0 to 299 on a free port, or the one it had before."""

    def __init__(self, port: int = 0) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(port,), daemon=True)
        self.port = 0
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        from pymodbus.client import ModbusTcpClient

        self._client = ModbusTcpClient("127.0.0.1", port=self.port, timeout=PATIENCE)
        assert self._client.connect()

    def _serve(self, port: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ways to make a server that newer versions have others for
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._begin(port))
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _begin(self, port: int) -> None:
        from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
        from pymodbus.server import ModbusTcpServer

        def block() -> Any:
            return ModbusSequentialDataBlock(1, [0] * 300)  # address 0 of the protocol is its 1

        device = ModbusDeviceContext(co=block(), di=block(), hr=block(), ir=block())
        self._server = ModbusTcpServer(ModbusServerContext(device, single=True), address=("127.0.0.1", port))
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]
        self._ready.set()

    def say(self, address: int, *bits: bool) -> None:
        """Write coils, as the controller's program does."""
        assert not self._client.write_coils(address, list(bits)).isError()

    def put(self, address: int, *words: int) -> None:
        """Write holding registers."""
        assert not self._client.write_registers(address, list(words)).isError()

    def bits(self, address: int = 100) -> set[str]:
        """The names of the station's bits that are up."""
        found = self._client.read_coils(address, count=len(BITS)).bits
        return {name for name, up in zip(BITS, found, strict=False) if up}

    def words(self, address: int, count: int) -> list[int]:
        """Holding registers."""
        return list(self._client.read_holding_registers(address, count=count).registers)

    def until(self, there: Callable[[set[str]], bool]) -> set[str]:
        """Look until the station's bits are as wanted, as a cycle of a program does."""
        end = time.monotonic() + PATIENCE
        while not there(bits := self.bits()):
            assert time.monotonic() < end, bits
        return bits

    def close(self) -> None:
        """Go away."""
        self._client.close()
        asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@contextlib.contextmanager
def controller(port: int = 0) -> Iterator[Controller]:
    """One, for a while."""
    made = Controller(port)
    try:
        yield made
    finally:
        made.close()
